"""Embeds a folder with Ray Data: tasks decode, one actor runs the model and writes to Redis. Prints one line of JSON.

The steady rate counts from the end of the first batch: before, the actor starts and compiles the model.
"""

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
import ray
import ray.data


class Model:
    def __init__(self, threads: int):
        from peer_model import Embedder

        self.embedder = Embedder("compile", threads)

    def __call__(self, batch: dict) -> dict:
        vectors = self.embedder.embed(np.stack(list(batch["pixels"])))
        self.embedder.save(list(batch["path"]), vectors)
        return {"done": np.full(len(vectors), time.time())}


def decode(batch: dict) -> dict:
    from peer_model import read

    return {"path": batch["path"], "pixels": np.stack([read(path) for path in batch["path"]])}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--temporary", required=True)
    options = parser.parse_args()
    paths = sorted(map(str, options.folder.glob("*.jpg")))
    began = time.time()
    # One core more than there are, so that all of them decode while the actor, which also uses all, waits.
    ray.init(
        num_cpus=options.threads + 1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=1 << 30,
        _temp_dir=options.temporary,
    )
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = ray.data.from_items([{"path": path} for path in paths], override_num_blocks=len(paths) // options.batch)
        rows = rows.map_batches(decode, batch_size=options.batch, num_cpus=1)
        actor = {"fn_constructor_args": (options.threads,), "num_cpus": 1, "compute": ray.data.ActorPoolStrategy(size=1)}
        rows = rows.map_batches(Model, batch_size=options.batch, **actor)
        done = sorted(row["done"] for row in rows.iter_rows())
    finally:
        ray.shutdown()
    first, last = done[0], done[-1]
    after_the_first = sum(time > first for time in done)
    rates = {"images_per_second": len(done) / (last - began), "steady_images_per_second": after_the_first / (last - first)}
    print(json.dumps({"images": len(done), **rates}))


main()
