"""Measures this project beside its peers; deploy/local/bench.sh prepares everything and calls this.

Each part is a module with a function `measure(bench)`. A part that fails is reported with its error, and the others
continue; the results are written after each part. The exit status is 1 if something was not measured.
"""

import argparse
import importlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from harness import Bench, say

# Part, and the module that measures it.
PARTS = {name: f"part_{name}" for name in ("model", "decode", "embed", "interactive", "queue", "predictions", "similarity")}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.sh")
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--runs", type=int)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--note")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    parts = options.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"unknown part '{unknown[0]}': the parts are {', '.join(PARTS)}")
    if options.runs is not None and options.runs < 1:
        parser.error(f"RUNS is {options.runs}: it must be at least 1")
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    out = options.out or (options.work.parent if options.quick else Path(__file__).parent) / "results"
    bench = Bench(options)

    def interrupt(*_) -> None:
        bench.processes.grace = 0.2
        sys.exit(143)

    signal.signal(signal.SIGTERM, interrupt)
    results, stem = bench.results, None
    try:
        for part in parts:
            began = time.monotonic()
            try:
                importlib.import_module(PARTS[part]).measure(bench)
            except Exception as error:
                results.errors[part] = f"{type(error).__name__}: {error}"
                say(f"{part} failed: {results.errors[part]}")
            results.seconds[part] = round(time.monotonic() - began, 1)
            results.machine["load_at_the_end"] = os.getloadavg()[0]
            stem = results.write(out, plot=not bench.quick)
    finally:
        bench.processes.stop_all()
    print(stem.with_suffix(".md").read_text())
    say(f"results: {stem}.json and .md{'' if bench.quick else ' and .png'}")
    return 1 if results.errors else 0


if __name__ == "__main__":
    sys.exit(main())
