"""Runs Celery workers and their driver."""

import sys
from pathlib import Path

from harness import Bench


def start_worker(bench: Bench, queue: str, processes: int, prefetch: int, **settings: object) -> None:
    pool = ["-P", "solo", "-c", "1"] if processes == 1 else ["-P", "prefork", "-c", processes]
    command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", *pool, "-Q", queue, "-l", "ERROR"]
    command += ["--prefetch-multiplier", max(1, prefetch // processes), "--without-gossip", "--without-mingle"]
    name = f"celery-{queue}"
    cache = bench.work / f"inductor-{queue}"
    settings |= {"PEER_PRECISION": bench.precision, "PEER_WEIGHTS": bench.weights, "TORCHINDUCTOR_CACHE_DIR": cache}
    bench.processes.start(name, [*command, "-n", f"{queue}@bench"], **settings)


def drive(bench: Bench, kind: str, queue: str, *subject: object) -> float:
    """Sends tasks to a Celery queue, and returns the images or tasks per second."""
    command = [sys.executable, Path(__file__).with_name("celery_drive.py"), kind, queue, *subject]
    return bench.processes.call(f"drive-{queue}", command)["per_second"]
