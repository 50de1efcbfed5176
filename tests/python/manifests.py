"""Checks that the Kubernetes manifests and the Compose file in deploy/ match the programs.

    manifests.py kubernetes KEYS KUSTOMIZE    renders the overlays and checks them
    manifests.py compose KEYS [COMPOSE]       checks the Compose file, and its syntax with docker-compose
    manifests.py broken KEYS KUSTOMIZE        breaks both in known ways, each of which must be detected

KEYS are the variables that the programs read, separated by commas. Problems are printed one per line.
"""
import copy
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

import compose_rules
import kubernetes_rules

ROOT = pathlib.Path(__file__).parents[2]
OVERLAYS = ("dev-cpu", "gpu")
COMPOSE_FILE = ROOT / "deploy/compose.yaml"


class Loader(yaml.SafeLoader):
    """Rejects duplicate keys, which YAML forbids and PyYAML accepts."""

    def construct_mapping(self, node, deep=False):
        if not getattr(node, "is_checked", False):
            keys = [key.value for key, _ in node.value]
            for key in keys:
                if keys.count(key) > 1:
                    raise yaml.constructor.ConstructorError(None, None, f"duplicate key '{key}'", node.start_mark)
            # A later construction of this node may repeat merged keys.
            node.is_checked = True
        return super().construct_mapping(node, deep)


def render(kustomize, overlay):
    folder = ROOT / "deploy/kubernetes/overlays" / overlay
    done = subprocess.run([kustomize, "build", folder], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{overlay}: kustomize: {done.stderr.strip()}")
    return [*yaml.load_all(done.stdout, Loader)]


def secret_urls():
    """The URLs that deploy/secrets.sh writes. Exits if it does not write exactly the expected files."""
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder) / "secrets"
        subprocess.run([ROOT / "deploy/secrets.sh", made], check=True, capture_output=True)
        files = {file.name: file.read_text().strip() for file in made.iterdir()}
    wanted = kubernetes_rules.OPERATOR_OBJECTS[("Secret", "subwatch-servers")]
    if set(files) != wanted:
        sys.exit(f"deploy/secrets.sh writes {sorted(files)}, expected {sorted(wanted)}")
    return [files["amqp_url"], files["redis_url"]]


def check_documents():
    """deploy/README.md covers all objects that the operator creates."""
    readme = (ROOT / "deploy/README.md").read_text()
    for _, name in kubernetes_rules.OPERATOR_OBJECTS:
        if name not in readme:
            yield f"deploy/README.md does not explain how to create {name}"


def find(objects, name):
    return next(thing for thing in objects if kubernetes_rules.name(thing).startswith(name))


def container(objects, name):
    return kubernetes_rules.pod(find(objects, name))["containers"][0]


# Ways to break the objects, each applied to a copy, with the expected problem as a regular expression.
BROKEN_OBJECTS = [
    (lambda o: container(o, "Deployment/worker").update(imagePullPolice="Always"),
     "Deployment/worker: Kubernetes 1.37 rejects spec.template.spec.containers.0: .*imagePullPolice"),
    (lambda o: find(o, "ConfigMap/subwatch-settings")["data"].update(SUBWATCH_MODEL_DEVISE="cpu"),
     "Deployment/worker: container worker: the program does not read SUBWATCH_MODEL_DEVISE"),
    (lambda o: container(o, "Deployment/coordinator").update(env=[{"name": "SUBWATCH_ULR", "value": "http://[::1]:1"}]),
     "Deployment/coordinator: container coordinator: the program does not read SUBWATCH_ULR"),
    (lambda o: find(o, "Service/redis")["spec"]["ports"][0].update(targetPort=6380),
     "Service/redis: StatefulSet/redis does not have targetPort 6380"),
    (lambda o: find(o, "Service/rabbitmq")["spec"]["selector"].update({"app.kubernetes.io/name": "rabbit"}),
     "Service/rabbitmq: its selector matches the pods of 0 workloads"),
    (lambda o: find(o, "Deployment/worker")["spec"]["selector"]["matchLabels"].update(tier="gpu"),
     "Deployment/worker: its selector does not match its own pods"),
    (lambda o: find(o, "NetworkPolicy/redis")["spec"]["ingress"][0]["from"][0].update(podSelector={"matchLabels": {"app": "x"}}),
     "NetworkPolicy/redis: an ingress podSelector does not match any pod"),
    (lambda o: kubernetes_rules.pod(find(o, "Deployment/worker")).update(terminationGracePeriodSeconds=30),
     "Deployment/worker: terminationGracePeriodSeconds is 30: it must be at least 35"),
    (lambda o: find(o, "ConfigMap/subwatch-settings")["data"].update(SUBWATCH_SHUTDOWN_GRACE_SECONDS="90"),
     "Deployment/worker: terminationGracePeriodSeconds is 45: it must be at least 95"),
    (lambda o: find(o, "ConfigMap/subwatch-settings")["data"].update(SUBWATCH_MAX_UPLOAD_BYTES="536870913"),
     "Deployment/coordinator: SUBWATCH_MAX_UPLOAD_BYTES is 536870913, over half of Redis's maxmemory 1073741824"),
    (lambda o: o.remove(find(o, "ConfigMap/redis")),
     "StatefulSet/redis: ConfigMap/redis-.* does not exist"),
    (lambda o: o.remove(find(o, "ServiceAccount/subwatch")),
     "Deployment/worker: ServiceAccount/subwatch does not exist"),
    (lambda o: kubernetes_rules.pod(find(o, "StatefulSet/redis"))["volumes"][1]["secret"].update(secretName="redis"),
     "StatefulSet/redis: Secret/redis does not exist, and deploy/README.md does not ask the operator to create it"),
    (lambda o: container(o, "StatefulSet/redis")["volumeMounts"][0].update(name="date"),
     "StatefulSet/redis: mounts undeclared volume date"),
    (lambda o: find(o, "ConfigMap/subwatch-settings")["data"].update(SUBWATCH_REDIS_URL_FILE="/run/secrets/redis_url"),
     "Deployment/coordinator: .*SUBWATCH_REDIS_URL_FILE is /run/secrets/redis_url, which no Secret provides"),
    (lambda o: find(o, "ConfigMap/subwatch-settings")["data"].update(SUBWATCH_ARTIFACTS="/artifacts"),
     "Deployment/coordinator: .*SUBWATCH_ARTIFACTS is /artifacts, which is not on a volume"),
    (lambda o: container(o, "Deployment/worker")["readinessProbe"]["httpGet"].update(path="/ready"),
     "Deployment/worker: container worker: readinessProbe uses /ready, expected /readyz"),
    (lambda o: container(o, "Deployment/worker")["livenessProbe"]["httpGet"].update(port=8470),
     "Deployment/worker: container worker: livenessProbe uses port 8470"),
    (lambda o: container(o, "Deployment/coordinator")["env"].pop(1),
     "Deployment/coordinator: container coordinator: SUBWATCH_URL is http://0.0.0.0:8470, which requires SUBWATCH_TOKENS_FILE"),
    (lambda o: container(o, "Deployment/coordinator")["env"][1].update(value="/run/secrets/subwatch/token_list"),
     "Deployment/coordinator: .*SUBWATCH_TOKENS_FILE is /run/secrets/subwatch/token_list, which no Secret provides"),
    (lambda o: o.remove(find(o, "PersistentVolumeClaim/data")),
     "Deployment/crawler: PersistentVolumeClaim/data does not exist"),
    (lambda o: container(o, "Deployment/crawler").update(args=["--kinds", "crawls"]),
     "Deployment/crawler: crawls is not a kind of job"),
    (lambda o: o.remove(find(o, "Deployment/crawler")),
     "no workload runs crawl jobs"),
    (lambda o: container(o, "Deployment/crawler")["volumeMounts"][-1].update(readOnly=True, mountPath="/data"),
     "Deployment/crawler: cannot write datasets: /data is mounted read-only"),
    (lambda o: container(o, "Deployment/worker").update(image="subwatch-worker:latest"),
     "Deployment/worker: container worker: image subwatch-worker:latest must have a fixed tag"),
    (lambda o: container(o, "StatefulSet/rabbitmq").pop("resources"),
     "StatefulSet/rabbitmq: container rabbitmq: resources.limits.memory is missing"),
    (lambda o: container(o, "StatefulSet/rabbitmq")["securityContext"].update(readOnlyRootFilesystem=False),
     "StatefulSet/rabbitmq: container rabbitmq: readOnlyRootFilesystem is False"),
    (lambda o: container(o, "Deployment/worker")["resources"]["limits"].update(memory="2Gi"),
     "Deployment/worker: container worker: the limit on memory is 2Gi: it must be at least 2560Mi"),
    (lambda o: find(o, "ConfigMap/subwatch-settings")["data"].update(SUBWATCH_DECODE_MEMORY_BYTES="2147483648"),
     "Deployment/crawler: container crawler: the limit on memory is 1536Mi: it must be at least 2432Mi"),
    (lambda o: find(o, "ConfigMap/subwatch-settings")["data"].pop("SUBWATCH_DECODE_THREADS"),
     "Deployment/worker: container worker: SUBWATCH_DECODE_THREADS is unset"),
    (lambda o: find(o, "Service/redis")["spec"]["ports"][0].update(port=6380),
     "redis://redis:6379 does not match a Service port"),
]
BROKEN_COMPOSE = [
    (lambda f: f["services"]["worker"]["environment"].update(SUBWATCH_MODEL_DEVISE="cpu"),
     "service worker: the program does not read SUBWATCH_MODEL_DEVISE"),
    (lambda f: f["services"]["rabbitmq"].update(ports=["5672:5672"]),
     "service rabbitmq: port 5672:5672 is published beyond 127.0.0.1"),
    (lambda f: f["services"]["redis"].update(ports=[{"target": 6379, "published": 6379}]),
     "service redis: port .* is published beyond 127.0.0.1"),
    (lambda f: f["services"]["worker"].update(stop_grace_period="10s"),
     "service worker: stop_grace_period is 10 s: it must be at least 35"),
    (lambda f: f["services"]["coordinator"]["environment"].update(SUBWATCH_TOKENS_FILE="/run/secrets/tokens"),
     "service coordinator: SUBWATCH_TOKENS_FILE is /run/secrets/tokens, but no secret is mounted there"),
    (lambda f: f["secrets"].pop("redis_url"),
     "service coordinator: secret redis_url is not declared"),
    (lambda f: f["services"]["redis"].pop("healthcheck"),
     "service coordinator: depends on the health of redis"),
    (lambda f: f["services"]["worker"].pop("mem_limit"),
     "service worker: the limit on memory is None: it must be at least 2560Mi"),
    (lambda f: f["services"]["redis"].update(image="redis"),
     "service redis: image redis must have a fixed tag"),
]


def undetected(whole, breaks, problems):
    for broken, want in breaks:
        copied = copy.deepcopy(whole)
        broken(copied)
        found = problems(copied)
        seen = next((problem for problem in found if re.match(want, problem)), None)
        if seen:
            print(f"detected: {seen}")
        else:
            yield f"expected '{want}', found: {found or 'nothing'}"


def main(command, keys, program=None):
    keys, urls = set(keys.split(",")), secret_urls()

    def check_objects(objects):
        return kubernetes_rules.problems(objects, keys, urls)

    def check_compose(file):
        return compose_rules.problems(file, keys, urls)

    file = yaml.load(COMPOSE_FILE.read_text(), Loader)
    found = [*check_documents()]
    if command == "kubernetes":
        for overlay in OVERLAYS:
            found += [f"{overlay}: {problem}" for problem in check_objects(render(program, overlay))]
    elif command == "compose":
        found += check_compose(file)
        if program:
            arguments = ["-f", COMPOSE_FILE, "--profile", "cli", "config", "--quiet"]
            done = subprocess.run([program, *arguments], capture_output=True, text=True)
            found += done.stderr.splitlines()
    elif command == "broken":
        found += undetected(render(program, "dev-cpu"), BROKEN_OBJECTS, check_objects)
        found += undetected(file, BROKEN_COMPOSE, check_compose)
    else:
        sys.exit(__doc__)
    sys.exit("\n".join(found) or 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
