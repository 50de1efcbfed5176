"""Processes of a run: the coordinator with a worker, and the peers. All of them end with the run."""

import json
import os
import signal
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterable
from pathlib import Path

MARK = "BENCH_RUN"
START_SECONDS = 180
# Proxies from the environment are not for loopback.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Processes:
    """Child processes with their log files. They and what they start carry this run's mark in their environment."""

    def __init__(self, logs: Path):
        self.logs, self.mark = logs, uuid.uuid4().hex
        # Seconds that a process has for stopping; an interrupted run shortens it.
        self.grace = 10.0
        self.running: dict[str, subprocess.Popen] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def environment(self, **settings: object) -> dict[str, str]:
        return os.environ | {MARK: self.mark} | {key: str(value) for key, value in settings.items()}

    def start(self, name: str, command: list[object], **settings: object) -> None:
        with open(self.logs / f"{name}.log", "w") as log:
            words, environment = [str(word) for word in command], self.environment(**settings)
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.running[name] = subprocess.Popen(words, env=environment, **streams)

    def call(self, name: str, command: list[object], limit: float = 600, **settings: object) -> dict:
        """Runs a program that prints one line of JSON last, and returns that."""
        self.start(name, command, **settings)
        try:
            status = self.running[name].wait(limit)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{name} did not end within {limit:.0f} s: {self.tail(name)}") from None
        finally:
            self.stop(name)
        if status != 0:
            raise RuntimeError(f"{name} ended with status {status}: {self.tail(name)}")
        return json.loads((self.logs / f"{name}.log").read_text().strip().splitlines()[-1])

    def wait(self, name: str, ready, limit: float = START_SECONDS) -> None:
        """Waits until `ready()` holds."""
        until = time.monotonic() + limit
        while not ready():
            if self.running[name].poll() is not None:
                raise RuntimeError(f"{name} ended with status {self.running[name].returncode}: {self.tail(name)}")
            if time.monotonic() > until:
                raise RuntimeError(f"{name} was not ready within {limit:.0f} s: {self.tail(name)}")
            time.sleep(0.05)

    def tail(self, name: str) -> str:
        return (self.logs / f"{name}.log").read_text()[-1200:]

    def stop(self, *names: str) -> None:
        processes = [self.running.pop(name) for name in names if name in self.running]
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(self.grace)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def stop_all(self) -> None:
        """Also ends what children left behind, such as Ray's daemons."""
        self.stop(*self.running)
        mark = f"{MARK}={self.mark}".encode()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
            except (OSError, ProcessLookupError):
                pass


def request(path: str, body: dict | None = None) -> dict:
    """Sends a request to the coordinator and returns the response."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    with HTTP.open(urllib.request.Request(os.environ["SUBWATCH_URL"] + path, data, headers), timeout=60) as answer:
        return json.load(answer)


class System:
    """A coordinator and one worker on empty servers."""

    def __init__(self, processes: Processes, programs: Path, work: Path, worker: str | None, **settings: object):
        redis_cli("FLUSHALL")
        self.processes = processes
        settings = {
            "SUBWATCH_DATASET_ROOTS": work,
            "SUBWATCH_ARTIFACTS": work / f"artifacts-{uuid.uuid4().hex[:8]}",
            "SUBWATCH_CACHE_DIR": work / "cache",
            "SUBWATCH_LOG": "warn",
            **settings,
        }
        processes.start("coordinator", [programs / "subwatch", "serve"], **settings)
        processes.wait("coordinator", lambda: self.answers("/readyz"))
        self.worker, self.settings, self.workers = programs / worker if worker else None, settings, []
        if worker:
            self.start_worker("worker")

    def start_worker(self, name: str) -> None:
        self.workers.append(name)
        self.processes.start(name, [self.worker], **self.settings)
        self.processes.wait(name, lambda: len(request("/v1/workers")["workers"]) == len(self.workers))

    @staticmethod
    def answers(path: str) -> bool:
        try:
            return HTTP.open(os.environ["SUBWATCH_URL"] + path, timeout=5).status == 200
        except OSError:
            return False

    def embed(self, folder: Path, items: int) -> dict:
        """Embeds a folder. Adds to the submission's view how long its jobs took, from their first publish on."""
        submission = request("/v1/submissions", {"kind": "embed", "dataset": str(folder)})["submission"]
        while (view := request(f"/v1/submissions/{submission}"))["state"] == "preparing":
            time.sleep(0.002)
        prepared = view["elapsed_seconds"]
        while view["state"] == "running":
            self.processes.wait("worker", lambda: True)
            time.sleep(0.1)
            view = request(f"/v1/submissions/{submission}")
        if view["state"] != "succeeded" or view["succeeded"] != items:
            raise RuntimeError(f"embedding {items} items of {folder} ended as {view}")
        return view | {"jobs_seconds": view["elapsed_seconds"] - prepared}

    def stop(self) -> None:
        self.processes.stop(*self.workers, "coordinator")


def redis_load(commands: Iterable[tuple[bytes, ...]]) -> None:
    """Runs many commands in a pipeline. Their replies are not read, but an error is reported."""
    pipe = ["redis-cli", "-u", os.environ["SUBWATCH_REDIS_URL"], "--pipe"]
    loader = subprocess.Popen(pipe, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for words in commands:
        loader.stdin.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
    output = loader.communicate()[0].decode()
    if loader.returncode != 0 or "errors: 0" not in output:
        raise RuntimeError(f"redis-cli could not run the commands: {output[-300:]}")


def embedding(space: str, digest: bytes, vector: bytes) -> tuple[bytes, ...]:
    """The command that stores an embedding as workers do (common/src/store/embeddings.rs)."""
    return b"HSET", f"subwatch:emb:{space}:{{{digest.hex()[:3]}}}".encode(), digest, vector


def redis_cli(*words: str, stdin=None) -> str:
    command = ["redis-cli", "-u", os.environ["SUBWATCH_REDIS_URL"], *words]
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True)
    if done.returncode != 0 or done.stdout.startswith("ERR"):
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-300:]} {done.stderr[-300:]}")
    return done.stdout
