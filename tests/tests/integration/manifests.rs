//! What `deploy/` says of the programs is true: their settings, ports, probes and paths.
//!
//! The rules are in `tests/python`; the settings come from the programs themselves.

use common::config::Settings;
use tests::python::{Program, run};

const KUSTOMIZE: Program =
    Program { name: "kustomize", named_by: "SUBWATCH_TEST_KUSTOMIZE", unpacked: "usr/bin/kustomize" };
const COMPOSE: Program = Program {
    name: "docker-compose",
    named_by: "SUBWATCH_TEST_COMPOSE",
    unpacked: "usr/libexec/docker/cli-plugins/docker-compose",
};

fn keys() -> String {
    Settings::environment_keys().join(",")
}

#[test]
fn kubernetes_manifests_are_true_of_the_programs() {
    let test = "kubernetes_manifests_are_true_of_the_programs";
    if let Some(kustomize) = KUSTOMIZE.find(test, "the Kubernetes manifests") {
        run("manifests.py", &["kubernetes", &keys(), &kustomize]);
    }
}

#[test]
fn the_compose_file_is_true_of_the_programs() {
    let compose = COMPOSE.find("the_compose_file_is_true_of_the_programs", "the Compose file's form");
    let keys = keys();
    let mut arguments = vec!["compose", &keys];
    arguments.extend(compose.as_deref());
    run("manifests.py", &arguments);
}

#[test]
fn each_broken_manifest_is_noticed() {
    let test = "each_broken_manifest_is_noticed";
    if let Some(kustomize) = KUSTOMIZE.find(test, "whether broken manifests are noticed") {
        let noticed = run("manifests.py", &["broken", &keys(), &kustomize]);
        tests::say(&format!("{} broken manifests were noticed", noticed.lines().count()));
    }
}
