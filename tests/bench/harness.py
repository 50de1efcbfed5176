"""What the parts of a run share: options, images, weights, processes and results."""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import machine
from results import Results
from system import Processes
from worker_bench import WorkerBench

BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", file=sys.stderr, flush=True)


class Bench:
    """What the parts share. `quick`: ours alone, with small counts and the packages of any Python."""

    def __init__(self, options: argparse.Namespace):
        self.quick, self.programs, self.work = options.quick, options.programs, options.work
        self.runs = options.runs or (1 if self.quick else 5)
        about = machine.describe()
        self.cores = int(about["cores"])
        targets = None if self.quick else int(not str(about["isa"]).endswith("amx"))
        self.results = Results(about | {"profile": options.profile}, targets)
        if options.note:
            self.results.notes["remark"] = options.note
        self.processes = Processes(self.work.parent / "logs")
        # Without bf16 instructions, and in a quick run, only fp32 is measured.
        is_fast = str(about["isa"]).endswith(("amx", "avx512bf16"))
        self.precisions = ["fp32", "bf16"] if is_fast and not self.quick else ["fp32"]
        self.precision = self.precisions[-1]
        self.weights = "random:0"

    @property
    def worker(self) -> WorkerBench:
        return WorkerBench(str(self.programs / "subwatch-worker"), self.weights, self.work / "cache", "cpu")

    def rounds(self, name: str) -> Iterator[int]:
        """Yields the numbers of the rounds, with progress."""
        for number in range(self.runs):
            say(f"{name}: round {number + 1} of {self.runs}")
            yield number

    def images(self, size: str, count: int) -> Path:
        """Draws images of `size`, such as 480x360, once; in a quick run, generated thumbnails of any size."""
        folder = self.work / f"images-{size}"
        if folder.exists():
            return folder
        if self.quick:
            sample = self.work / f"sample-{size}"
            command = [self.programs / "subwatch", "-o", "json", "dataset", "sample", sample, "--count", count]
            self.processes.start("sample", command)
            if self.processes.running.pop("sample").wait() != 0:
                raise RuntimeError(f"'subwatch dataset sample' failed: {self.processes.tail('sample')}")
            return (sample / "thumbnails").rename(folder)
        import drawing

        width, height = map(int, size.split("x"))
        bytes_per_file = drawing.draw_folder(folder, (width, height), count, self.cores)
        self.results.notes[f"mean bytes of a JPEG, {size}"] = round(bytes_per_file)
        return folder

    def make_weights(self) -> None:
        """The same weights for all: normalised for the drawn images, so that activations have usual sizes."""
        if self.quick or self.weights != "random:0":
            return
        import network
        import numpy

        pixels, weights = self.work / "pixels.npy", self.work / "weights.pth"
        self.worker.text(self.images("480x360", 256), "--pixels", pixels)
        network.write_weights(weights, numpy.load(pixels)[:64])
        self.weights = str(weights)
