//! Settings, ports, probes and paths in `deploy/` match the programs.
//!
//! The rules are in `tests/python`; the settings' names come from the programs.

use common::config::Settings;
use tests::python::{Program, run};

const KUSTOMIZE: Program =
    Program { name: "kustomize", variable: "SUBWATCH_TEST_KUSTOMIZE", unpacked: "usr/bin/kustomize" };
const COMPOSE: Program = Program {
    name: "docker-compose",
    variable: "SUBWATCH_TEST_COMPOSE",
    unpacked: "usr/libexec/docker/cli-plugins/docker-compose",
};

fn keys() -> String {
    Settings::environment_keys().join(",")
}

#[test]
fn kubernetes_manifests_match_the_programs() {
    let test = "kubernetes_manifests_match_the_programs";
    if let Some(kustomize) = KUSTOMIZE.find(test, "the Kubernetes manifests") {
        run("manifests.py", &["kubernetes", &keys(), &kustomize]);
    }
}

#[test]
fn compose_file_matches_the_programs() {
    let compose = COMPOSE.find("compose_file_matches_the_programs", "the Compose file's syntax");
    let keys = keys();
    let mut arguments = vec!["compose", &keys];
    arguments.extend(compose.as_deref());
    run("manifests.py", &arguments);
}

#[test]
fn broken_manifests_are_detected() {
    let test = "broken_manifests_are_detected";
    if let Some(kustomize) = KUSTOMIZE.find(test, "whether broken manifests are detected") {
        let detected = run("manifests.py", &["broken", &keys(), &kustomize]);
        tests::print_line(&format!("{} broken manifests were detected", detected.lines().count()));
    }
}
