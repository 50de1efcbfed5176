"""Jobs that do nothing, on their whole path: ours beside Celery, and beside RabbitMQ with nothing around it.

Ours: the coordinator publishes a job per item with confirms; the worker marks it as started, runs nothing, stores the
result and finishes the job in one script, and acknowledges it.
"""

from pathlib import Path

import scale
from harness import Bench
from peer_celery import drive, start_worker
from system import System

PREFETCH = 128


def measure(bench: Bench) -> None:
    count, few, many = (200, 0, 2000) if bench.quick else (20_000, 3000, 100_000)
    dataset = names(bench, count)
    # The worker that does nothing needs no model, and the coordinator splits the dataset into a job per item.
    settings = {"SUBWATCH_CHUNK_ITEMS": 1, "SUBWATCH_PREFETCH": PREFETCH}
    system = System(bench.processes, bench.programs, bench.work, "subwatch-noop-worker", **settings)
    try:
        system.embed(names(bench, 20), 20)
        if not bench.quick:
            start_worker(bench, "noop", 2, PREFETCH)
            drive(bench, "noop", "noop", 100)
        for _ in bench.rounds("queue"):
            measure_ours(bench, system, dataset, count)
            if not bench.quick:
                bench.results.add("queue/Celery", drive(bench, "noop", "noop", few), "jobs/s")
            raw = bench.processes.call("raw-queue", [bench.programs / "examples" / "raw-queue", many])
            bench.results.add("queue/raw lapin, publish and consume", raw["messages_per_second"], "jobs/s")
    finally:
        bench.processes.stop("celery-noop")
        system.stop()
    bench.results.ratio("queue_vs_celery", "queue/ours", "queue/Celery")
    bench.results.ratio("queue_with_the_manifest_vs_celery", "queue/ours, with the manifest", "queue/Celery")
    bench.results.ratio("queue_vs_raw_lapin", "queue/ours", "queue/raw lapin, publish and consume")
    bench.results.notes["queue"] = (
        f"{count:,} jobs of one item, prefetch {PREFETCH}; Celery: {few:,} tasks, prefork 2, results in Redis; lapin: {many:,} "
        "messages of 512 bytes. The floor of ours is raw lapin plus two scripts in Redis a job"
    )


def names(bench: Bench, count: int) -> Path:
    """A dataset of `count` names: nothing reads the files."""
    seed, folder = bench.work / "seed", bench.work / f"names-{count}"
    (seed / "thumbnails").mkdir(parents=True, exist_ok=True)
    (seed / "thumbnails" / "x.jpg").write_bytes(b"x")
    scale.dataset(seed, folder, count, "listing")
    return folder


def measure_ours(bench: Bench, system: System, dataset: Path, count: int) -> None:
    pids = {name: bench.processes.running[name].pid for name in ("coordinator", "worker")}
    before = {name: scale.cpu_seconds(pid) for name, pid in pids.items()}
    view = system.embed(dataset, count)
    bench.results.add("queue/ours", count / view["jobs_seconds"], "jobs/s")
    bench.results.add("queue/ours, with the manifest", count / view["elapsed_seconds"], "jobs/s")
    for name, pid in pids.items():
        used = scale.cpu_seconds(pid) - before[name]
        bench.results.add(f"queue CPU/ours, {name}", used * 1e6 / count, "µs a job")
