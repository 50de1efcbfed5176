"""Rules for rendered Kubernetes objects. Each rule yields problems, which name their objects."""
import re
from urllib.parse import urlsplit

import kubernetes_validate

# The oldest and newest supported versions of Kubernetes.
VERSIONS = ("1.29", "1.37")
NAMESPACE = "subwatch"
# Objects that the operator creates (see deploy/README.md), with their keys; None if any keys are allowed.
OPERATOR_OBJECTS = {
    ("Secret", "subwatch-servers"): {"amqp_url", "redis_url", "rabbitmq.conf", "redis.conf", "tokens", "token"},
    ("Secret", "subwatch-aws"): None,
    ("Secret", "subwatch-youtube"): {"api_key"},
}
# The kinds of `subwatch-worker --kinds`.
KINDS = {"crawl", "embed", "train-epoch", "predict"}
OUR_IMAGES = ("subwatch-coordinator", "subwatch-worker", "subwatch-crawler")
# Allowed variables that are not settings of subwatch.
OTHER_VARIABLES = re.compile(r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|REGION|ENDPOINT_URL|ALLOW_HTTP)|RUST_BACKTRACE")
PROBES = {"startupProbe": {"/healthz", "/readyz"}, "readinessProbe": {"/readyz"}, "livenessProbe": {"/healthz"}}
HEALTH_PORT = 8471
# Further container ports of our programs besides the health port.
API_PORTS = {"coordinator": [8470]}
DEFAULT_GRACE_SECONDS, GRACE_MARGIN_SECONDS = 30, 5
MIB = 1 << 20
# Memory of a worker besides the images that it decodes: image files that wait (512 MiB), and the program, with the model.
MODEL_WORKER_BYTES, CRAWLER_BYTES = 1536 * MIB, 384 * MIB
# The largest image is decoded even if the budget is smaller.
LARGEST_IMAGE_BYTES = 900 * MIB


def name(thing):
    return f"{thing['kind']}/{thing['metadata']['name']}"


def of_kind(objects, *kinds):
    return [thing for thing in objects if thing["kind"] in kinds]


def workloads(objects):
    return of_kind(objects, "Deployment", "StatefulSet")


def pod(workload):
    return workload["spec"]["template"]["spec"]


def containers(workload):
    return pod(workload).get("initContainers", []) + pod(workload)["containers"]


def is_ours(container):
    return re.split("[@:]", container["image"].rpartition("/")[2])[0] in OUR_IMAGES


def matches(selector, labels):
    """Whether a label selector, or a Service's plain map, selects labels. An empty selector selects everything."""
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return all(labels.get(key) == value for key, value in selector.items())
    wanted = selector.get("matchLabels", {}).items()
    by_expression = (
        (labels.get(one["key"]) in one["values"]) == {"In": True, "NotIn": False}[one["operator"]]
        for one in selector.get("matchExpressions", [])
    )
    return all(labels.get(key) == value for key, value in wanted) and all(by_expression)


def selected(objects, selector):
    return [one for one in workloads(objects) if matches(selector, one["spec"]["template"]["metadata"]["labels"])]


def has_port(container, port, protocol="TCP"):
    ports = (one for one in container.get("ports", []) if one.get("protocol", "TCP") == protocol)
    return any(port in (one.get("name"), one["containerPort"]) for one in ports)


def follows_the_schema(objects):
    for thing in objects:
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(thing, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                where = ".".join(map(str, error.path))
                yield f"{name(thing)}: Kubernetes {version} rejects {where or 'it'}: {error.message[:300]}"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield f"{name(thing)}: {error.message}"


def is_named_once_and_in_its_namespace(objects):
    seen = set()
    for thing in objects:
        if name(thing) in seen:
            yield f"{name(thing)} is defined twice"
        seen.add(name(thing))
        where = thing["metadata"].get("namespace")
        if thing["kind"] != "Namespace" and where != NAMESPACE:
            yield f"{name(thing)} is in namespace {where}, expected {NAMESPACE}"


def variables(objects, container):
    """The variables of a container with their values; None for values from a Secret or field."""
    found = {}
    for source in container.get("envFrom", []):
        for thing in of_kind(objects, "ConfigMap"):
            if thing["metadata"]["name"] == source.get("configMapRef", {}).get("name"):
                found.update({source.get("prefix", "") + key: value for key, value in thing.get("data", {}).items()})
    found.update({one["name"]: one.get("value") for one in container.get("env", [])})
    return found


def has_only_known_variables(objects, keys):
    for workload in workloads(objects):
        for container in containers(workload):
            for variable in variables(objects, container):
                known = is_ours(container) and (variable in keys or OTHER_VARIABLES.fullmatch(variable))
                if not known:
                    yield f"{name(workload)}: container {container['name']}: the program does not read {variable}"


def folders(workload, container):
    """Volumes and mounts of a container by path."""
    volumes = {one["name"]: one for one in pod(workload).get("volumes", [])}
    return {
        mount["mountPath"]: (volumes.get(mount["name"], {}), mount) for mount in container.get("volumeMounts", [])
    }


def is_loopback(url):
    """Whether a coordinator with this SUBWATCH_URL listens on loopback, which is the default."""
    return url is None or urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")


def has_settings_that_fit_the_pod(objects):
    """Files and folders in settings are on volumes, and probes use the port on which the program listens."""
    for workload in workloads(objects):
        for container in filter(is_ours, containers(workload)):
            where = f"{name(workload)}: container {container['name']}"
            mounted = folders(workload, container)
            values = variables(objects, container)
            for variable, value in values.items():
                if value and variable.endswith("_FILE"):
                    folder, _, file = value.rpartition("/")
                    items = mounted.get(folder, ({}, {}))[0].get("secret", {}).get("items", [])
                    if file not in [item["path"] for item in items]:
                        yield f"{where}: {variable} is {value}, which no Secret provides"
                if value and variable in ("SUBWATCH_ARTIFACTS", "SUBWATCH_DATASET_ROOTS", "SUBWATCH_CACHE_DIR"):
                    for path in re.split(r":(?!//)", value):
                        if "://" not in path and not any((path + "/").startswith(at + "/") for at in mounted):
                            yield f"{where}: {variable} is {path}, which is not on a volume"
            if not is_loopback(values.get("SUBWATCH_URL")) and not values.get("SUBWATCH_TOKENS_FILE"):
                yield f"{where}: SUBWATCH_URL is {values['SUBWATCH_URL']}, which requires SUBWATCH_TOKENS_FILE"
            address = values.get("SUBWATCH_HEALTH_ADDRESS")
            if address != f"0.0.0.0:{HEALTH_PORT}":
                yield f"{where}: SUBWATCH_HEALTH_ADDRESS is {address}: the probes need port {HEALTH_PORT} of the pod"
            grace = int(values.get("SUBWATCH_SHUTDOWN_GRACE_SECONDS") or DEFAULT_GRACE_SECONDS) + GRACE_MARGIN_SECONDS
            given = pod(workload).get("terminationGracePeriodSeconds", 30)
            if given < grace:
                yield f"{name(workload)}: terminationGracePeriodSeconds is {given}: it must be at least {grace}"


SIZE_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "kb": 2**10, "mb": 2**20, "gb": 2**30}
DEFAULT_MAX_UPLOAD_BYTES = 2**30


def redis_memory(text):
    """`maxmemory` of a redis.conf, in bytes; None if it has no limit."""
    found = re.search(r"^maxmemory\s+(\d+)([a-z]*)\s*$", text, re.MULTILINE)
    return int(found[1]) * SIZE_UNITS[found[2]] if found else None


def has_room_for_uploads(objects):
    """Uploads, which users fill, leave Redis at least half of its memory."""
    configs = of_kind(objects, "ConfigMap")
    limits = [redis_memory(thing["data"]["redis.conf"]) for thing in configs if "redis.conf" in thing.get("data", {})]
    for workload in workloads(objects):
        for container in filter(is_ours, containers(workload)):
            budget = int(variables(objects, container).get("SUBWATCH_MAX_UPLOAD_BYTES") or DEFAULT_MAX_UPLOAD_BYTES)
            for limit in filter(None, limits):
                if budget > limit / 2:
                    yield f"{name(workload)}: SUBWATCH_MAX_UPLOAD_BYTES is {budget}, over half of Redis's maxmemory {limit}"


def has_probes(objects):
    for workload in workloads(objects):
        for container in pod(workload)["containers"]:
            where = f"{name(workload)}: container {container['name']}"
            for kind, paths in PROBES.items():
                probe = container.get(kind)
                if probe is None:
                    if is_ours(container) or kind != "livenessProbe":
                        yield f"{where}: {kind} is missing"
                    continue
                get = probe.get("httpGet")
                if is_ours(container) and get is None:
                    yield f"{where}: {kind} must be an httpGet"
                if get and get["path"] not in paths:
                    yield f"{where}: {kind} uses {get['path']}, expected {' or '.join(sorted(paths))}"
                port = (get or probe.get("tcpSocket") or {}).get("port")
                if port is not None and not has_port(container, port):
                    yield f"{where}: {kind} uses port {port}, which the container does not declare"
            wanted = [HEALTH_PORT, *API_PORTS.get(container["name"], [])]
            if is_ours(container) and [one["containerPort"] for one in container.get("ports", [])] != wanted:
                yield f"{where}: container ports must be {wanted}"


def has_selectors_that_match(objects):
    for workload in workloads(objects):
        if not matches(workload["spec"]["selector"], workload["spec"]["template"]["metadata"]["labels"]):
            yield f"{name(workload)}: its selector does not match its own pods"
        if len(selected(objects, workload["spec"]["selector"])) > 1:
            yield f"{name(workload)}: its selector matches pods of other workloads"
    for budget in of_kind(objects, "PodDisruptionBudget"):
        if not selected(objects, budget["spec"]["selector"]):
            yield f"{name(budget)}: its selector does not match any pod"
    for service in of_kind(objects, "Service"):
        found = selected(objects, service["spec"]["selector"])
        if len(found) != 1:
            yield f"{name(service)}: its selector matches the pods of {len(found)} workloads, expected 1"
        for port in service["spec"]["ports"]:
            target, protocol = port.get("targetPort", port["port"]), port.get("protocol", "TCP")
            for workload in found:
                if not any(has_port(container, target, protocol) for container in containers(workload)):
                    yield f"{name(service)}: {name(workload)} does not have targetPort {target}"
    for policy in of_kind(objects, "NetworkPolicy"):
        found = selected(objects, policy["spec"]["podSelector"])
        if not found:
            yield f"{name(policy)}: its podSelector does not match any pod"
        for rule in policy["spec"].get("ingress", []):
            for peer in rule.get("from", []):
                if not selected(objects, peer["podSelector"]):
                    yield f"{name(policy)}: an ingress podSelector does not match any pod"
            for port in rule.get("ports", []):
                for workload in found:
                    if not any(has_port(container, port["port"]) for container in containers(workload)):
                        yield f"{name(policy)}: {name(workload)} does not have port {port['port']}"


def references(workload):
    """Objects that a pod references: kind, name and keys."""
    spec = pod(workload)
    if "serviceAccountName" in spec:
        yield "ServiceAccount", spec["serviceAccountName"], ()
    if "serviceName" in workload["spec"]:
        yield "Service", workload["spec"]["serviceName"], ()
    for volume in spec.get("volumes", []):
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], ()
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            for kind, field in ("ConfigMap", "configMap"), ("Secret", "secret"):
                if field in source:
                    one = source[field]
                    yield kind, one.get("name", one.get("secretName")), [item["key"] for item in one.get("items", [])]
    for container in containers(workload):
        for source in container.get("envFrom", []):
            for kind, field in ("ConfigMap", "configMapRef"), ("Secret", "secretRef"):
                if field in source:
                    yield kind, source[field]["name"], ()
        for one in container.get("env", []):
            for kind, field in ("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef"):
                if field in one.get("valueFrom", {}):
                    yield kind, one["valueFrom"][field]["name"], [one["valueFrom"][field]["key"]]


def references_existing_objects(objects):
    there = {(thing["kind"], thing["metadata"]["name"]): set(thing.get("data", {})) for thing in objects}
    for workload in workloads(objects):
        for kind, wanted, keys in references(workload):
            if (kind, wanted) not in there and (kind, wanted) not in OPERATOR_OBJECTS:
                yield f"{name(workload)}: {kind}/{wanted} does not exist, and deploy/README.md does not ask the operator to create it"
                continue
            known = there.get((kind, wanted), OPERATOR_OBJECTS.get((kind, wanted)))
            for key in keys:
                if known is not None and key not in known:
                    yield f"{name(workload)}: {kind}/{wanted} does not have key {key}"


def mounts_exactly_the_declared_volumes(objects):
    for workload in workloads(objects):
        claims = [one["metadata"]["name"] for one in workload["spec"].get("volumeClaimTemplates", [])]
        declared = {one["name"] for one in pod(workload).get("volumes", [])} | set(claims)
        mounted = {one["name"] for container in containers(workload) for one in container.get("volumeMounts", [])}
        for volume in mounted - declared:
            yield f"{name(workload)}: mounts undeclared volume {volume}"
        for volume in declared - mounted:
            yield f"{name(workload)}: volume {volume} is not mounted"


def is_confined(objects):
    for workload in workloads(objects):
        spec = pod(workload)
        context = spec.get("securityContext", {})
        wanted = {
            "securityContext.runAsNonRoot": (context.get("runAsNonRoot"), True),
            "securityContext.seccompProfile.type": (context.get("seccompProfile", {}).get("type"), "RuntimeDefault"),
            "automountServiceAccountToken": (spec.get("automountServiceAccountToken"), False),
            # Otherwise Service names become variables, which the programs would read as settings.
            "enableServiceLinks": (spec.get("enableServiceLinks"), False),
        }
        for container in containers(workload):
            at, inner = f"container {container['name']}: ", container.get("securityContext", {})
            wanted |= {
                at + "allowPrivilegeEscalation": (inner.get("allowPrivilegeEscalation"), False),
                at + "readOnlyRootFilesystem": (inner.get("readOnlyRootFilesystem"), True),
                at + "capabilities": (inner.get("capabilities"), {"drop": ["ALL"]}),
                at + "privileged": (inner.get("privileged", False), False),
            }
        for what, (value, want) in wanted.items():
            if value != want:
                yield f"{name(workload)}: {what} is {value}, expected {want}"


def is_bounded_and_pinned(objects):
    for workload in workloads(objects):
        for container in containers(workload):
            where, resources = f"{name(workload)}: container {container['name']}", container.get("resources", {})
            for side, what in ("requests", "cpu"), ("requests", "memory"), ("limits", "memory"):
                if what not in resources.get(side, {}):
                    yield f"{where}: resources.{side}.{what} is missing"
            if not is_pinned(container["image"]):
                yield f"{where}: image {container['image']} must have a fixed tag"


def memory_bytes(text):
    """The bytes of a quantity of Kubernetes (`3Gi`) or of Compose (`3g`)."""
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]*)", str(text)).groups()
    powers = {"": 0, "k": 1, "ki": 1, "m": 2, "mi": 2, "g": 3, "gi": 3}
    return int(number) * 1024 ** powers[unit.lower()]


def decoding_problems(where, values, kinds, limit):
    """Images that are being decoded must fit a container's limit on memory, however many cores its node has."""
    if not kinds & {"crawl", "embed", "predict"}:
        return
    if not values.get("SUBWATCH_DECODE_THREADS"):
        yield f"{where}: SUBWATCH_DECODE_THREADS is unset: a worker would use every core of its node"
    budget = values.get("SUBWATCH_DECODE_MEMORY_BYTES")
    if not budget:
        yield f"{where}: SUBWATCH_DECODE_MEMORY_BYTES is unset"
        return
    others = MODEL_WORKER_BYTES if kinds & {"embed", "predict"} else CRAWLER_BYTES
    need = max(int(budget), LARGEST_IMAGE_BYTES) + others
    if limit is None or memory_bytes(limit) < need:
        yield f"{where}: the limit on memory is {limit}: it must be at least {need // MIB}Mi"


def has_memory_for_decoding(objects):
    for workload in workloads(objects):
        for container in filter(is_ours, containers(workload)):
            arguments = container.get("args", [])
            kinds = set(arguments[arguments.index("--kinds") + 1].split(",")) if "--kinds" in arguments else set()
            where, limits = f"{name(workload)}: container {container['name']}", container.get("resources", {}).get("limits", {})
            yield from decoding_problems(where, variables(objects, container), kinds, limits.get("memory"))


def is_pinned(image):
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag not in ("", "latest")


def has_workers_for_every_kind(objects):
    """Every kind of job has workers, and workers of kind crawl can write the datasets."""
    done = set()
    for workload in workloads(objects):
        for container in filter(is_ours, containers(workload)):
            arguments = container.get("args", [])
            if "--kinds" not in arguments:
                continue
            kinds = set(arguments[arguments.index("--kinds") + 1].split(","))
            for kind in kinds - KINDS:
                yield f"{name(workload)}: {kind} is not a kind of job"
            done |= kinds
            for path, (_, mount) in folders(workload, container).items():
                if "crawl" in kinds and path == "/data" and mount.get("readOnly"):
                    yield f"{name(workload)}: cannot write datasets: {path} is mounted read-only"
    for kind in KINDS - done:
        yield f"no workload runs {kind} jobs"


def reaches_the_servers(objects, urls):
    """The URLs that deploy/secrets.sh writes name Services and their ports."""
    services = {thing["metadata"]["name"]: thing for thing in of_kind(objects, "Service")}
    for url in urls:
        at = urlsplit(url)
        ports = [one["port"] for one in services.get(at.hostname, {}).get("spec", {}).get("ports", [])]
        if at.port not in ports:
            yield f"{at.scheme}://{at.hostname}:{at.port} does not match a Service port"


def problems(objects, keys, urls):
    """All problems of the rendered objects; `keys` are the variables that the programs read."""
    found = [*follows_the_schema(objects)]
    if found:
        # The other rules rely on valid objects.
        return found
    rules = (
        is_named_once_and_in_its_namespace, has_settings_that_fit_the_pod, has_room_for_uploads, has_probes, has_selectors_that_match,
        references_existing_objects, mounts_exactly_the_declared_volumes, is_confined, is_bounded_and_pinned, has_workers_for_every_kind,
        has_memory_for_decoding,
    )
    found += [problem for rule in rules for problem in rule(objects)]
    return found + [*has_only_known_variables(objects, keys), *reaches_the_servers(objects, urls)]
