"""The time from submitting one uploaded image to its prediction: on an idle worker, and while it embeds a large dataset.

Both by the clock of the server, from the record of the submission to its end. Under load, the model may have begun a
batch of other images, which is part of the floor.
"""

import json
import os
import statistics
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request

from harness import Bench
from part_embed import JOB_ITEMS, PREFETCH, batch_of, copies
from system import HTTP, System, request

POLL_SECONDS = 0.04


def measure(bench: Bench) -> None:
    count, bulk = (4, 40) if bench.quick else (40, 3000)
    images = bench.images("480x360", 12 if bench.quick else 256)
    bench.make_weights()
    settings = {"SUBWATCH_MODEL_WEIGHTS": bench.weights, "SUBWATCH_MODEL_PRECISION": bench.precision}
    settings |= {"SUBWATCH_CHUNK_ITEMS": JOB_ITEMS, "SUBWATCH_PREFETCH": PREFETCH, "SUBWATCH_MODEL_DEVICE": "cpu"}
    system = System(bench.processes, bench.programs, bench.work, "subwatch-worker", **settings)
    try:
        run = train(labelled(bench, images))
        floor = one_image(bench, images)
        for number in bench.rounds("interactive"):
            idle = predict(run, copies(bench, images, f"idle-{number}", count))
            bench.results.add("interactive/ours, idle, p50", idle, "ms")
            bench.results.add("interactive/ours, idle, p50 beyond decode and model", idle - floor["one"], "ms")
            folder = copies(bench, images, f"bulk-{number}", bulk)
            submission = request("/v1/submissions", {"kind": "embed", "dataset": str(folder)})["submission"]
            while request(f"/v1/submissions/{submission}")["succeeded"] == 0:
                time.sleep(0.05)
            loaded = predict(run, copies(bench, images, f"loaded-{number}", count))
            cancel(submission, may_have_ended=bench.quick)
            over = loaded - floor["one"] - floor["batch"]
            bench.results.add("interactive/ours, under load, p50", loaded, "ms")
            bench.results.add("interactive/ours, under load, p50 beyond decode, model and one batch", over, "ms")
    finally:
        system.stop()
    bench.results.add("interactive/one image: decode and model", floor["one"], "ms")
    bench.results.add(f"interactive/one batch of {batch_of(bench)}: model", floor["batch"], "ms")
    bench.results.notes["interactive"] = (
        f"{count} predictions of one new 480×360 image each, one after the other; load: an embed submission of {bulk:,} "
        "images; target: 5 ms beyond"
    )


def cancel(submission: str, may_have_ended: bool) -> None:
    try:
        request(f"/v1/submissions/{submission}/cancel", {})
    except HTTPError as error:
        if error.code != 409 or not may_have_ended:
            raise RuntimeError("the large submission ended before the predictions") from error


def labelled(bench: Bench, images: Path, name: str = "labelled") -> Path:
    """A dataset with metadata, to train a head on."""
    folder = copies(bench, images, name, 12 if bench.quick else 64)
    names = sorted(path.name for path in folder.iterdir())
    rows = [{"file_name": name, "views": 10 + 7 * number, "subscribers": 5} for number, name in enumerate(names)]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def train(dataset: Path) -> str:
    run = request("/v1/runs", {"dataset": str(dataset), "epochs": 1})["run"]
    while (view := request(f"/v1/runs/{run}"))["state"] in ("preparing", "running"):
        time.sleep(0.05)
    if view["state"] != "succeeded":
        raise RuntimeError(f"the run ended as {view}")
    return run


def one_image(bench: Bench, images: Path) -> dict[str, float]:
    """Milliseconds for one image alone, and for a batch in the model."""
    seconds = 0.1 if bench.quick else 3.0
    arguments = ["--parts", "decode,model", "--seconds", seconds, "--batches", f"1,{batch_of(bench)}"]
    report = bench.worker.report(images, *arguments, "--precisions", bench.precision)
    decode = next(row for row in report["decode"] if row["threads"] == 1)["images_per_second"]
    rates = {row["batch"]: row["images_per_second"] for row in report["model"]}
    return {"one": 1e3 / decode + 1e3 / rates[1], "batch": 1e3 * batch_of(bench) / rates[batch_of(bench)]}


def predict(run: str, folder: Path) -> float:
    """Predicts each image of a folder in a submission of its own. Returns the median time in milliseconds."""
    times = []
    for path in sorted(folder.iterdir()):
        upload = Request(os.environ["SUBWATCH_URL"] + "/v1/images", path.read_bytes())
        with HTTP.open(upload, timeout=60) as answer:
            sha256 = json.load(answer)["sha256"]
        images = [{"item": path.name, "sha256": sha256}]
        submission = request("/v1/submissions", {"kind": "predict", "run": run, "images": images})["submission"]
        while (view := request(f"/v1/submissions/{submission}"))["state"] in ("preparing", "running"):
            # Requests during the prediction would take part of the cores.
            time.sleep(POLL_SECONDS)
        if view["state"] != "succeeded" or view["cached"] != 0:
            raise RuntimeError(f"predicting {path.name} ended as {view}")
        times.append(view["elapsed_seconds"] * 1e3)
    return statistics.median(times)
