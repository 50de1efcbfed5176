"""Runs `subwatch-worker bench`."""

import json
import os
import subprocess
import sys
from pathlib import Path


class WorkerBench:
    """`libraries`: folders of libtorch, if the program does not find it by itself."""

    def __init__(self, program: str, weights: str, cache: Path, device: str, libraries: list[Path] | None = None):
        self.program, self.weights, self.cache, self.device = program, weights, cache, device
        self.libraries = libraries or []

    def text(
        self, folder: Path, *arguments: object, device: str | None = None, precision: str = "auto", **settings: object
    ) -> str:
        """Returns the standard output. `settings` are settings without their prefix, such as PREFETCH=16."""
        folders = os.pathsep.join(map(str, self.libraries))
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SUBWATCH_")}
        environment |= {
            "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [folders, os.environ.get("LD_LIBRARY_PATH")])),
            "SUBWATCH_MODEL_DEVICE": device or self.device,
            "SUBWATCH_MODEL_PRECISION": precision,
            "SUBWATCH_MODEL_WEIGHTS": self.weights,
            "SUBWATCH_CACHE_DIR": str(self.cache),
            "SUBWATCH_LOG": "warn",
        }
        environment |= {f"SUBWATCH_{key}": str(value) for key, value in settings.items()}
        command = [self.program, "bench", str(folder), *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {done.stderr[-1200:]}")
        if done.stderr.strip():
            print(f"the worker's log: {done.stderr.strip()[-300:]}", file=sys.stderr, flush=True)
        return done.stdout

    def report(self, folder: Path, *arguments: object, **settings: object) -> dict:
        return json.loads(self.text(folder, "-o", "json", *arguments, **settings))
