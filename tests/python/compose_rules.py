"""Rules for the Compose file. Each rule yields problems, which name their services."""
import re
from urllib.parse import urlsplit

import kubernetes_rules

VARIABLE = re.compile(r"\$\{?\w+")


def is_ours(service):
    return kubernetes_rules.is_ours({"image": service.get("image", "")})


def variables(service):
    """The variables of a service with their values, from a list or a map."""
    given = service.get("environment", {})
    return dict(one.partition("=")[::2] for one in given) if isinstance(given, list) else given


def named(entries, key="source"):
    return [one[key] if isinstance(one, dict) else one for one in entries]


def has_only_known_variables(name, service, keys):
    for variable in variables(service):
        known = is_ours(service) and (variable in keys or kubernetes_rules.OTHER_VARIABLES.fullmatch(variable))
        if not known:
            yield f"service {name}: the program does not read {variable}"
    if "env_file" in service:
        yield f"service {name}: env_file hides its variables from this check"


def publishes_on_loopback(name, service):
    for port in service.get("ports", []):
        address = port.get("host_ip") if isinstance(port, dict) else re.sub(r":[^:]*:[^:]*$", "", str(port))
        if address != "127.0.0.1":
            yield f"service {name}: port {port} is published beyond 127.0.0.1"
    if service.get("network_mode") == "host":
        yield f"service {name}: the host's network publishes every port"


def references_declared_objects(name, service, file):
    for secret in named(service.get("secrets", [])):
        if secret not in file.get("secrets", {}):
            yield f"service {name}: secret {secret} is not declared"
    for volume in service.get("volumes", []):
        source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
        if not source.startswith((".", "/", "$")) and source not in file.get("volumes", {}):
            yield f"service {name}: volume {source} is not declared"
    for other, how in service.get("depends_on", {}).items():
        if other not in file["services"]:
            yield f"service {name}: depends on {other}, which is not a service"
        elif how["condition"] == "service_healthy" and "healthcheck" not in file["services"][other]:
            yield f"service {name}: depends on the health of {other}, which needs a healthcheck"


def has_settings_that_fit(name, service):
    targets = [one["target"] for one in service.get("secrets", []) if isinstance(one, dict)]
    mounted = [one.split(":")[1] for one in service.get("volumes", []) if isinstance(one, str)]
    for variable, value in variables(service).items():
        if variable.endswith("_FILE") and value not in targets:
            yield f"service {name}: {variable} is {value}, but no secret is mounted there"
        if variable in ("SUBWATCH_ARTIFACTS", "SUBWATCH_DATASET_ROOTS", "SUBWATCH_CACHE_DIR"):
            if not any((value + "/").startswith(at + "/") for at in mounted):
                yield f"service {name}: {variable} is {value}, which is not on a volume"
    if "SUBWATCH_SHUTDOWN_GRACE_SECONDS" in variables(service):
        grace = int(variables(service)["SUBWATCH_SHUTDOWN_GRACE_SECONDS"]) + kubernetes_rules.GRACE_MARGIN_SECONDS
        given = int(service.get("stop_grace_period", "10s").removesuffix("s"))
        if given < grace:
            yield f"service {name}: stop_grace_period is {given} s: it must be at least {grace}"


def is_confined(name, service):
    wanted = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
    for what, want in wanted.items():
        if service.get(what) != want:
            yield f"service {name}: {what} is {service.get(what)}, expected {want}"
    if not kubernetes_rules.is_pinned(service.get("image", "")):
        yield f"service {name}: image {service.get('image')} must have a fixed tag"
    if not is_ours(service) and service.get("user") in (None, "root", "0"):
        yield f"service {name}: runs as root"


def has_memory_for_decoding(name, service):
    command = service.get("command", [])
    if "subwatch-crawler" in service.get("image", ""):
        kinds = {"crawl"}
    else:
        kinds = set(command[command.index("--kinds") + 1].split(",")) if "--kinds" in command else set()
    limit = service.get("mem_limit")
    yield from kubernetes_rules.decoding_problems(f"service {name}", variables(service), kinds, limit)


def problems(file, keys, urls):
    """All problems of the Compose file; `keys` are the variables that the programs read."""
    found = []
    for name, service in file["services"].items():
        found += has_only_known_variables(name, service, keys)
        found += publishes_on_loopback(name, service)
        found += references_declared_objects(name, service, file)
        found += has_settings_that_fit(name, service)
        found += is_confined(name, service)
        found += has_memory_for_decoding(name, service)
    servers = {urlsplit(url).hostname for url in urls}
    found += [f"a secret names host {server}, which is not a service" for server in servers - set(file["services"])]
    for secret in file.get("secrets", {}).values():
        if not secret.get("file", "").startswith("secrets/"):
            found.append(f"secret {secret} is not in deploy/secrets")
    return found
