"""A batch prediction of a large dataset into a bucket, during which one of two workers is killed, and its rows read back.

The embeddings of all images are in the cache, so this measures everything but the model: reading and hashing files, the
cache, the head, shards, and the manifest. Then the same dataset is embedded, as cached items alone.
"""

import collections
import hashlib
import json
import shutil
import socket
import sys
import time
import urllib.request
from pathlib import Path

import scale
from harness import Bench, say
from part_interactive import labelled, train
from system import HTTP, System, embedding, redis_load, request

IMAGES_PER_FOLDER = 10_000
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": "us-east-1"}


def measure(bench: Bench) -> None:
    rows = 2000 if bench.quick else 1_000_000
    bench.make_weights()
    settings: dict[str, object] = {"SUBWATCH_MODEL_WEIGHTS": bench.weights, "SUBWATCH_MODEL_PRECISION": bench.precision}
    settings |= {"SUBWATCH_MODEL_DEVICE": "cpu", "SUBWATCH_MODEL_THREADS": 1}
    folder = f"{bench.work}/predictions"
    endpoint = None if bench.quick else start_bucket(bench)
    if endpoint:
        folder = "s3://bucket/artifacts/predictions"
        settings |= CREDENTIALS | {"AWS_ENDPOINT_URL": endpoint, "SUBWATCH_ARTIFACTS": "s3://bucket/artifacts"}
    system = System(bench.processes, bench.programs, bench.work, "subwatch-worker", **settings)
    try:
        system.start_worker("worker-2")
        run = train(labelled(bench, bench.images("480x360", 12 if bench.quick else 256), "predictions"))
        dataset = bench.work / "rows"
        say(f"predictions: writing {rows:,} images, and their embeddings to Redis")
        write(bench, dataset, rows, request("/v1/workers")["workers"][0]["space"])
        view = predict(bench, system, run, dataset, folder, rows)
        say(f"predictions: {view['output']['shards']} shards; reading them back")
        read_back(folder, endpoint, rows)
        embed(bench, dataset, rows)
        shutil.rmtree(dataset)
    finally:
        bench.processes.stop("s3")
        system.stop()


def start_bucket(bench: Bench) -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bench.processes.start("s3", [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port])
    endpoint = f"http://127.0.0.1:{port}"

    def make_bucket() -> bool:
        try:
            return HTTP.open(urllib.request.Request(f"{endpoint}/bucket", method="PUT"), timeout=5).status == 200
        except OSError:
            return False

    bench.processes.wait("s3", make_bucket)
    return endpoint


def write(bench: Bench, dataset: Path, rows: int, space: str) -> None:
    """Writes different images of some 4 kB with metadata, and an embedding of each to Redis."""
    source = sorted(bench.images("112x84", 12 if bench.quick else 64).glob("*.jpg"))
    pictures = [path.read_bytes() for path in source]

    def commands():
        with open(dataset / "metadata.jsonl", "w") as metadata:
            for number in range(rows):
                folder = f"{number // IMAGES_PER_FOLDER:04}"
                if number % IMAGES_PER_FOLDER == 0:
                    (dataset / folder).mkdir()
                name = f"{folder}/{number:07}.jpg"
                content = pictures[number % len(pictures)] + b"%d" % number
                (dataset / name).write_bytes(content)
                metadata.write(json.dumps({"file_name": name, "title": f"The title of video {number}"}) + "\n")
                key = hashlib.sha256(content).digest()
                # 512 numbers in half precision, between -2 and 2.
                vector = bytes(byte & 0xBF for byte in hashlib.shake_128(key).digest(1024))
                yield embedding(space, key, vector)

    dataset.mkdir()
    redis_load(commands())
    bench.results.notes["predictions, bytes of an image"] = round(sum(map(len, pictures)) / len(pictures))


def predict(bench: Bench, system: System, run: str, dataset: Path, folder: str, rows: int) -> dict:
    """Predicts all rows. Kills a worker after a third of them."""
    pids = processes_of(bench) | {"worker": bench.processes.running["worker"].pid}
    cpu: dict[str, float] = {}
    before = {name: scale.cpu_seconds(pid) for name, pid in pids.items()}
    memory = scale.used_memory()
    output = {"folder": folder, "columns": ["title"]}
    body = {"kind": "predict", "run": run, "dataset": str(dataset), "output": output}
    submission = request("/v1/submissions", body)["submission"]
    prepared = None
    while (view := request(f"/v1/submissions/{submission}"))["state"] in ("preparing", "running"):
        if prepared is None and view["state"] == "running":
            prepared = view["elapsed_seconds"]
        if "worker" in system.workers and view["succeeded"] > rows // 3:
            cpu["worker"] = scale.cpu_seconds(pids["worker"]) - before["worker"]
            bench.processes.running.pop("worker").kill()
            system.workers.remove("worker")
            say(f"predictions: killed a worker after {view['succeeded']:,} rows")
        bench.processes.wait("worker-2", lambda: True)
        time.sleep(0.02 if bench.quick else 0.2)
    if view["state"] != "succeeded" or view["succeeded"] != rows or view["cached"] != rows:
        raise RuntimeError(f"predicting {rows} rows ended as {view}")
    if "worker" in system.workers:
        raise RuntimeError("all rows were predicted before a worker was killed")
    cpu |= {name: scale.cpu_seconds(pid) - before[name] for name, pid in pids.items() if name not in cpu}
    cpu["worker-2"] += cpu.pop("worker")
    add_cpu(bench, "predictions CPU", cpu, rows)
    results, unit = bench.results, "rows/s"
    results.add("predictions/ours", rows / view["elapsed_seconds"], unit)
    results.add("predictions/ours, after the manifest", rows / (view["elapsed_seconds"] - (prepared or 0)), unit)
    results.add("predictions/Redis, results", (scale.used_memory() - memory) / rows, "bytes a row")
    results.notes["predictions"] = (
        f"{rows:,} rows in {view['output']['shards']} shards, all embeddings in the cache; one of two workers was killed "
        "after a third of the rows; the rows were read back and are complete"
    )
    return view


def embed(bench: Bench, dataset: Path, rows: int) -> None:
    """Embeds the images again, on the worker that is left."""
    pids = processes_of(bench)
    before = {name: scale.cpu_seconds(pid) for name, pid in pids.items()}
    submission = request("/v1/submissions", {"kind": "embed", "dataset": str(dataset)})["submission"]
    while (view := request(f"/v1/submissions/{submission}"))["state"] == "preparing":
        time.sleep(0.02)
    bench.results.add("cached/ours, embed, to the first job", view["elapsed_seconds"], "s")
    while (view := request(f"/v1/submissions/{submission}"))["state"] == "running":
        bench.processes.wait("worker-2", lambda: True)
        time.sleep(0.02 if bench.quick else 0.2)
    if view["state"] != "succeeded" or view["cached"] != rows:
        raise RuntimeError(f"embedding {rows} cached images ended as {view}")
    add_cpu(bench, "cached CPU", {name: scale.cpu_seconds(pid) - before[name] for name, pid in pids.items()}, rows)
    bench.results.add("cached/ours, embed", rows / view["elapsed_seconds"], "img/s")


def processes_of(bench: Bench) -> dict[str, int]:
    """Coordinator, one worker and the servers, with their processes."""
    pids = {name: bench.processes.running[name].pid for name in ("coordinator", "worker-2")}
    server = next(line for line in scale.redis("INFO server") if line.startswith("process_id"))
    broker = bench.work.parent / "rabbitmq" / "rabbitmq.pid"
    return pids | {"Redis": int(server.split(":")[1]), "RabbitMQ": int(broker.read_text())}


def add_cpu(bench: Bench, name: str, seconds: dict[str, float], items: int) -> None:
    for process, used in seconds.items():
        bench.results.add(f"{name}/{process.replace('worker-2', 'workers')}", used * 1e6 / items, "µs an item")


def read_back(folder: str, endpoint: str | None, rows: int) -> None:
    """Compares the rows with the dataset's: each once, with its column and a prediction."""
    if endpoint is None:
        # The packages that read Parquet are not installed for a quick run.
        manifest = json.loads((Path(folder) / "_manifest.json").read_text())
        if manifest["rows"] != rows or sum(shard["rows"] for shard in manifest["shards"]) != rows:
            raise RuntimeError(f"the manifest has other rows than {rows}: {manifest}")
        return
    import pandas
    import pyarrow.fs

    address = {"scheme": "http", "endpoint_override": endpoint.removeprefix("http://")}
    keys = {"access_key": "bench", "secret_key": "bench", "region": "us-east-1"}
    files = pyarrow.fs.S3FileSystem(**keys, **address)
    frame = pandas.read_parquet(folder.removeprefix("s3://"), filesystem=files)
    numbers = frame["item"].str.extract(r"/(\d+)\.jpg$")[0].astype(int)
    if len(frame) != rows or set(numbers) != set(range(rows)):
        repeated = [item for item, count in collections.Counter(frame["item"]).items() if count > 1]
        raise RuntimeError(f"{len(frame)} rows instead of {rows}; repeated: {repeated[:5]}")
    if frame["prediction"].isna().any() or (frame["title"] != "The title of video " + numbers.astype(str)).any():
        raise RuntimeError("a row has no prediction or another row's title")
