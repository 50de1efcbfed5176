"""JPEG files to stored embeddings, with empty caches: ours through RabbitMQ and Redis, beside Celery and Ray Data.

All use the same files, weights, precision and threads. Each round has files of its own, with the same pixels but
another digest, so that nothing is cached.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from harness import Bench, say
from peer_celery import drive, start_worker
from system import System, request

# Items of a job, and jobs in flight: for ours and for Celery. Images per batch of the peers.
JOB_ITEMS, PREFETCH, BATCH = 64, 4, 32
# The name of each Celery worker, with its mode, processes, and threads of each process (None: one per core).
CELERY: dict[str, tuple[str, int, int | None]] = {
    "Celery eager fp32": ("eager", 1, None),
    "Celery compile": ("compile", 1, None),
    "Celery compile, 1 thread a process": ("compile", 2, 1),
}


def measure(bench: Bench) -> None:
    images = bench.images("480x360", 12 if bench.quick else 256)
    bench.make_weights()
    count = 24 if bench.quick else 640
    warm_up = copies(bench, images, "warm-up", JOB_ITEMS if not bench.quick else 4)
    settings = {"SUBWATCH_MODEL_WEIGHTS": bench.weights, "SUBWATCH_MODEL_PRECISION": bench.precision}
    settings |= {"SUBWATCH_CHUNK_ITEMS": JOB_ITEMS, "SUBWATCH_PREFETCH": PREFETCH, "SUBWATCH_MODEL_DEVICE": "cpu"}
    workers: dict[str, str] = {}
    system = System(bench.processes, bench.programs, bench.work, "subwatch-worker", **settings)
    try:
        system.embed(warm_up, len(list(warm_up.iterdir())))
        if not bench.quick:
            start_celery(bench, workers)
        for number in bench.rounds("embed"):
            folder = copies(bench, images, f"round-{number}", count)
            measure_ours(bench, system, folder, count)
            for name, queue in workers.items():
                rate = drive(bench, "embed", queue, folder, JOB_ITEMS)
                bench.results.add(f"embed/{name}", rate, "img/s")
            if not bench.quick:
                measure_ray(bench, folder)
            shutil.rmtree(folder)
        system.stop()
        measure_two_workers(bench, settings, count)
    finally:
        bench.processes.stop(*(f"celery-{queue}" for queue in workers.values()))
        system.stop()
    ours = "embed/ours"
    bench.results.ratio("embed_vs_ceiling", ours, "embed/ceiling: 1 ÷ (1/decode + 1/model)")
    bench.results.ratio("embed_two_workers_vs_one", "embed/ours, two workers with half the threads each", ours)
    bench.results.ratio("embed_vs_celery_compile", ours, "embed/Celery compile")
    bench.results.ratio("embed_vs_celery_compile_processes", ours, "embed/Celery compile, 1 thread a process")
    bench.results.ratio("embed_vs_celery_eager_fp32", ours, "embed/Celery eager fp32")
    bench.results.ratio("embed_vs_ray", ours, "embed/Ray Data compile, steady")


def batch_of(bench: Bench) -> int:
    """Images per batch of our worker (worker/src/model/backbone.rs)."""
    return min(max(8 * bench.cores, 16), 64)


def copies(bench: Bench, images: Path, name: str, count: int) -> Path:
    """Copies images to a new folder, with bytes after the end of the JPEG that change the digest only."""
    folder = bench.work / f"embed-{name}"
    folder.mkdir()
    files = [path.read_bytes() for path in sorted(images.glob("*.jpg"))]
    for number in range(count):
        (folder / f"{number:05}.jpg").write_bytes(files[number % len(files)] + f"{name} {number}".encode())
    return folder


def measure_ours(bench: Bench, system: System, folder: Path, count: int) -> None:
    """Measures the two stages alone, then the whole."""
    seconds, batch = (0.1, 2) if bench.quick else (3.0, batch_of(bench))
    arguments = ["--parts", "decode,model", "--seconds", seconds, "--batches", batch, "--precisions", bench.precision]
    report = bench.worker.report(folder, *arguments)
    decode = max(report["decode"], key=lambda row: row["threads"])["images_per_second"]
    model = report["model"][0]["images_per_second"]
    unit = "img/s"
    bench.results.add("embed/decode alone, all cores", decode, unit)
    bench.results.add("embed/model alone, all cores", model, unit)
    bench.results.add("embed/ceiling: 1 ÷ (1/decode + 1/model)", 1 / (1 / decode + 1 / model), unit)
    view = system.embed(folder, count)
    say(f"embed: {view['succeeded']} images, {view['cached']} from the cache")
    if view["cached"]:
        raise RuntimeError(f"{view['cached']} embeddings were in the cache: this does not measure computing them")
    bench.results.add("embed/ours", count / view["elapsed_seconds"], unit)
    bench.results.notes["items from the cache"] = view["cached"]
    bench.results.notes["worker"] = ", ".join(
        f"{worker['device']}, {worker['threads']} threads, {worker['space']}" for worker in request("/v1/workers")["workers"]
    )


def measure_two_workers(bench: Bench, settings: dict[str, object], count: int) -> None:
    """Measures two workers with half the threads each, beside one with all of them."""
    halves = settings | {"SUBWATCH_MODEL_THREADS": max(bench.cores // 2, 1), "SUBWATCH_DECODE_THREADS": max(bench.cores // 2, 1)}
    system = System(bench.processes, bench.programs, bench.work, "subwatch-worker", **halves)
    try:
        system.start_worker("worker-2")
        images = bench.images("480x360", 12 if bench.quick else 256)
        for number in range(bench.runs):
            folder = copies(bench, images, f"two-{number}", count)
            view = system.embed(folder, count)
            bench.results.add("embed/ours, two workers with half the threads each", count / view["elapsed_seconds"], "img/s")
            shutil.rmtree(folder)
    finally:
        system.stop()


def start_celery(bench: Bench, queues: dict[str, str]) -> None:
    """Starts the Celery workers, which compile before the first round, and adds their queues by name."""
    for name, (mode, processes, threads) in CELERY.items():
        queues[name] = queue = f"{mode}-{processes}"
        start_worker(bench, queue, processes, PREFETCH, PEER_MODE=mode, PEER_THREADS=threads or bench.cores)
        say(f"embed: warming up {name}")
        warm_up = copies(bench, bench.images("480x360", 256), queue, BATCH * 2 * processes * 2)
        drive(bench, "embed", queue, warm_up, JOB_ITEMS)


def measure_ray(bench: Bench, folder: Path) -> None:
    command = [sys.executable, Path(__file__).with_name("ray_embed.py"), folder, "--batch", BATCH, "--threads", bench.cores]
    settings = {"PEER_PRECISION": bench.precision, "PEER_WEIGHTS": bench.weights}
    settings |= {"TORCHINDUCTOR_CACHE_DIR": bench.work / "inductor-ray", "RAY_USAGE_STATS_ENABLED": 0}
    # In /tmp, since the names of sockets may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as temporary:
        report = bench.processes.call("ray", [*command, "--temporary", temporary], **settings)
    bench.results.add("embed/Ray Data compile, steady", report["steady_images_per_second"], "img/s")
    bench.results.add("embed/Ray Data compile, with its start", report["images_per_second"], "img/s")
