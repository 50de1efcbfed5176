"""Measures the worker on a machine with a GPU, beside PyTorch, in a few minutes. Called by gpu.sh.

A part that fails is reported with its error and the others continue; results are written after each part. The most
important parts come first: parity, the model beside PyTorch's, decoding, pipelines.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peer_process import PeerProcess
from worker_bench import WorkerBench

# Variants of torch.compile with their batch sizes, the most important first; each runs in a process of its own.
COMPILED = [
    ("compile_reduce_overhead", "256"),
    ("compile_reduce_overhead", "1024"),
    ("compile_default", "256"),
    ("compile_freezing", "256"),
    ("compile_max_autotune", "256"),
]
SIZES = {"320x180": (320, 180), "480x360": (480, 360), "1280x720": (1280, 720)}
BEGAN = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - BEGAN:5.1f} s] {text}", file=sys.stderr, flush=True)


def library_folders():
    """Finds the folders of libtorch and of NVIDIA's libraries without importing torch."""
    torch = Path(importlib.util.find_spec("torch").origin).parent
    return [torch / "lib", *sorted(path for path in (torch.parent / "nvidia").glob("*/lib") if path.is_dir())]


class Run:
    def __init__(self, options):
        self.options = options
        self.out = options.out
        self.work = Path(tempfile.mkdtemp(prefix="subwatch-gpu-"))
        weights, cache = str(self.work / "weights.pth"), self.work / "cache"
        self.worker = WorkerBench(options.worker, weights, cache, options.device, library_folders())
        self.cores = len(os.sched_getaffinity(0))
        self.results = {"errors": {}, "seconds": {}}
        self.peers = []
        self.bytes = {}
        quick = options.quick
        self.count = 12 if quick else 256
        self.batches = options.batches or ("2,4" if quick else "64,128,256,512,1024")
        self.seconds = 0.2 if quick else 0.4
        self.rounds = 1 if quick else 3

    def left(self):
        return self.options.limit - (time.monotonic() - BEGAN)

    def part(self, name, work, limit):
        """Runs one part if enough time is left."""
        if self.left() < 5:
            self.results["errors"][name] = "skipped: the time limit was reached"
            return
        say(name)
        start = time.monotonic()
        signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError(f"exceeded its limit of {limit} s")))
        signal.alarm(int(min(limit, max(5, self.left()))))
        try:
            work()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self.results["errors"][name] = f"{type(error).__name__}: {str(error)[-1500:]}"
            say(f"{name} failed: {self.results['errors'][name][-700:]}")
        finally:
            signal.alarm(0)
        self.results["seconds"][name] = round(time.monotonic() - start, 1)
        self.write()

    def write(self):
        (self.out / "results.json").write_text(json.dumps(self.results, indent=1) + "\n")
        try:
            (self.out / "results.md").write_text(markdown(self.results))
        except Exception as error:
            self.results["errors"]["markdown"] = repr(error)

    # --- The worker

    def bench(self, folder, *arguments, **settings):
        return self.worker.report(folder, *arguments, **settings)

    def embeddings(self, name, *arguments, **settings):
        import numpy

        path = self.work / f"{name}.npy"
        self.worker.text(self.work / "480x360", "--embeddings", path, *arguments, **settings)
        return numpy.load(path)

    # --- The parts

    def describe_machine(self):
        cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
        from importlib.metadata import version

        machine = {"cpu": cpu, "cores": self.cores, "python": platform.python_version(), "torch": version("torch")}
        self.results["machine"] = machine | {"device": self.options.device, "kernel": platform.release()}
        commit = Path(self.options.worker).parent / "commit"
        self.results["machine"]["commit"] = commit.read_text().strip() if commit.exists() else "unknown"
        self.results["machine"]["libraries"] = [str(folder) for folder in library_folders()]
        self.results["machine"]["gpu"] = self.card() if self.options.device != "cpu" else None

    @staticmethod
    def card():
        fields = "name,driver_version,memory.total,memory.used,clocks.sm,clocks.max.sm,clocks.mem,power.draw,power.limit,temperature.gpu"
        query = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
        try:
            text = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.strip().splitlines()[0]
            return dict(zip(fields.split(","), (value.strip() for value in text.split(","))))
        except Exception as error:
            return {"error": repr(error)}

    def draw(self):
        import drawing

        for name, size in SIZES.items():
            self.bytes[name] = drawing.draw_folder(self.work / name, size, self.count, self.cores)
        self.results["mean_file_bytes"] = self.bytes

    def make_weights(self):
        import numpy
        import network

        # The worker decodes without weights, and calibrating the weights needs decoded images.
        path = self.work / "pixels.npy"
        self.worker.text(self.work / "480x360", "--pixels", path, device="cpu")
        self.pixels = numpy.load(path)
        network.write_weights(self.work / "weights.pth", self.pixels[:64])

    def start_peers(self):
        """Starts PyTorch's variants, which compile while parts run that measure no time."""
        arguments = ["--weights", str(self.work / "weights.pth"), "--device", self.options.device]
        arguments += ["--seconds", str(self.seconds / 2)]
        gpu = self.options.device != "cpu"
        variants = "eager,folded,folded_graph,fused" if gpu else "eager,folded"
        self.peers.append(PeerProcess("python", variants, self.batches, self.out, [*arguments, "--checks"]))
        requested = self.options.compiled.split(",")
        for variant, batch in [(variant, batch) for variant, batch in COMPILED if variant in requested]:
            batch = batch if gpu else self.batches.split(",")[0]
            self.peers.append(PeerProcess(f"python_{variant}_{batch}", variant, batch, self.out, arguments))

    def wait_for_peers(self):
        """Waits until the processes are ready; drops those that fail or are late."""
        until = time.monotonic() + min(self.options.compile_wait, self.left() - 110)
        self.results["peer"] = {"errors": {}, "prepare_seconds": {}}
        for peer in list(self.peers):
            try:
                peer.wait(until)
                self.results["peer"]["errors"] |= peer.about.pop("errors")
                self.results["peer"]["prepare_seconds"] |= peer.about.pop("prepare_seconds")
                self.results["peer"] |= {key: value for key, value in peer.about.items() if key != "ready"}
            except Exception as error:
                self.drop(peer, error)

    def drop(self, peer, error):
        self.results["errors"][peer.name] = str(error)[-1500:]
        peer.stop()
        self.peers.remove(peer)

    def check_parity(self):
        import network

        parity = self.results["parity"] = {}
        cpu = self.embeddings("cpu-fp32", device="cpu", precision="fp32")
        parity["worker cpu fp32 / torchvision cpu fp32"] = compare(
            cpu, network.features(self.work / "weights.pth", self.pixels, "cpu")
        )
        self.write()
        variants = {"fp32": ("fp32",), "bf16 separate": ("bf16", "--kernels", "separate")}
        if self.options.device != "cpu":
            variants["bf16 fused"] = ("bf16", "--kernels", "fused")
        found = {}
        for name, (precision, *arguments) in variants.items():
            try:
                found[name] = self.embeddings(name.replace(" ", "-"), *arguments, precision=precision)
                parity[f"worker {self.options.device} {name} / worker cpu fp32"] = compare(found[name], cpu)
            except Exception as error:
                self.results["errors"][f"parity {name}"] = str(error)[-1500:]
            self.write()
        again = self.embeddings("again", precision="bf16")
        same = found.get("bf16 fused", found.get("bf16 separate"))
        parity["bf16 as jobs run it, two processes: equal bits"] = bool((again == same).all())

    def check_python_parity(self):
        import torch
        import network

        torch.backends.cudnn.allow_tf32 = False
        reference = network.features(self.work / "weights.pth", self.pixels, "cpu")
        for name, kind, tf32 in (("fp32", torch.float32, False), ("tf32", torch.float32, True), ("bf16", torch.bfloat16, False)):
            torch.backends.cudnn.allow_tf32 = tf32
            found = network.features(self.work / "weights.pth", self.pixels, self.options.device, kind)
            key = f"torchvision {self.options.device} {name} / torchvision cpu fp32"
            self.results["parity"][key] = compare(found, reference)

    def measure_model(self):
        self.wait_for_peers()
        rounds = self.results["rounds"] = []
        for number in range(self.rounds):
            if number > 0 and self.left() < 85:
                say(f"only {number} rounds, to leave time for the rest")
                break
            ours = self.bench_model(self.batches, "bf16")
            theirs = {}
            for peer in list(self.peers):
                try:
                    answer = peer.rates()
                    theirs |= answer["rates"]
                    self.results["peer"]["errors"] |= answer["errors"]
                except Exception as error:
                    self.drop(peer, error)
            rounds.append({"worker": ours, "python": theirs, "card": self.card()})
            self.summarise()
            self.write()
        batch = self.batches.split(",")[len(self.batches.split(",")) // 2]
        self.results["worker_fp32"] = self.bench_model(batch, "fp32")

    def bench_model(self, batches, precision):
        arguments = ["--parts", "model", "--seconds", self.seconds, "--batches", batches, "--precisions", precision]
        try:
            return self.bench(self.work / "480x360", *arguments)["model"]
        except Exception as error:
            self.results["errors"][f"worker's model {precision}, all kernels"] = str(error)[-1500:]
            return self.bench(self.work / "480x360", *arguments, "--kernels", "separate")["model"]

    def summarise(self):
        rates, before = {}, {}
        for one in self.results["rounds"]:
            for row in one["worker"]:
                name = f"worker_{row['precision']}_{row['kernels']}/{row['batch']}"
                rates.setdefault(name, []).append(row["images_per_second"])
                for key in ("staging", "upload", "normalisation"):
                    before.setdefault(f"{key}/{row['batch']}", []).append(row[f"{key}_ms_per_batch"])
            for name, rate in one["python"].items():
                rates.setdefault(f"python_{name}", []).append(rate)
        medians = lambda of: {name: statistics.median(values) for name, values in sorted(of.items())}
        self.results["model_images_per_second"] = medians(rates)
        self.results["before_the_network_ms_per_batch"] = medians(before)

    def stop_peers(self):
        for peer in self.peers:
            peer.stop()
        self.peers = []

    def measure_decoding(self):
        from pillow_rate import pillow_rate

        rows = self.results["decode"] = {}
        for name in SIZES:
            report = self.bench(self.work / name, "--parts", "decode", "--seconds", 0.2 if self.options.quick else 1.5, device="cpu")
            by_threads = {row["threads"]: row for row in report["decode"]}
            rows[name] = {
                "one_core_images_per_second": by_threads[1]["images_per_second"],
                "one_core_ms": by_threads[1]["core_ms_per_image"],
                "all_cores_images_per_second": by_threads[max(by_threads)]["images_per_second"],
                "cores": max(by_threads),
                "pillow_one_core_images_per_second": pillow_rate(self.work / name, 0.5),
            }

    def count_cores(self):
        rates = self.results.get("model_images_per_second", {})
        ours = {name: rate for name, rate in rates.items() if name.startswith("worker_bf16")}
        fastest = max(ours, key=ours.get)
        cores = {"model": fastest, "model_images_per_second": ours[fastest]}
        for name, row in self.results["decode"].items():
            cores[name] = {
                "alone": ours[fastest] / row["one_core_images_per_second"],
                "with_all_busy": ours[fastest] / (row["all_cores_images_per_second"] / row["cores"]),
            }
        self.results["cores_per_gpu"] = cores

    def measure_pipelines(self):
        rows = self.results["pipeline"] = {}
        large = {"PREFETCH": 16, "CHUNK_ITEMS": 256} if not self.options.quick else {}
        runs = [("480x360", "large jobs", large), ("320x180", "large jobs", large), ("1280x720", "large jobs", large)]
        runs.append(("480x360", "default settings", {}))
        for size, name, settings in runs:
            if self.left() < 12:
                self.results["errors"][f"pipeline {size} {name}"] = "skipped: the time limit was reached"
                continue
            arguments = ["--parts", "pipeline", "--seconds", 0.3 if self.options.quick else 2.5]
            precision = "fp32" if self.options.quick else "bf16"
            try:
                report = self.bench(self.work / size, *arguments, precision=precision, **settings)
                rows[f"{size}, {name}"] = report["pipeline"]
            except Exception as error:
                self.results["errors"][f"pipeline {size} {name}"] = str(error)[-1500:]
            self.write()

    def compare_with_targets(self):
        """Computes the ratios for which the project has targets."""
        rates = self.results.get("model_images_per_second", {})
        ratios = self.results["ratios"] = {}
        for batch in sorted({int(name.rsplit("/", 1)[1]) for name in rates}):
            ours = rates.get(f"worker_bf16_fused/{batch}")
            compiled = {name: rate for name, rate in rates.items() if name.startswith("python_compile") and name.endswith(f"/{batch}")}
            if ours and compiled:
                best = max(compiled, key=compiled.get)
                ratios[f"model, batch {batch}: worker ÷ {best}"] = ours / compiled[best]
        model = rates.get("worker_bf16_fused/256")
        for name, rows in self.results.get("pipeline", {}).items() if model else ():
            by_input = {row["input"]: row["images_per_second"] for row in rows}
            decode = self.results["decode"][name.split(",")[0]]["all_cores_images_per_second"]
            ratios[f"{name}: from pixels ÷ model at 256"] = by_input["pixels"] / model
            ratios[f"{name}: from files ÷ min(decode, model)"] = by_input["files"] / min(decode, model)


def compare(found, reference):
    """Compares features: cosines after subtraction of the reference's mean, and errors in standard deviations."""
    import numpy

    found, reference = found.astype(numpy.float64), reference.astype(numpy.float64)
    centre, deviation = reference.mean(0), reference.std(0)
    a, b = found - centre, reference - centre
    cosine = (a * b).sum(1) / (numpy.linalg.norm(a, axis=1) * numpy.linalg.norm(b, axis=1))
    error = numpy.abs(found - reference)
    return {
        "centred_cosine_median": float(numpy.median(cosine)),
        "centred_cosine_least": float(cosine.min()),
        "largest_error": float(error.max()),
        "largest_error_in_deviations": float((error / numpy.maximum(deviation, 1e-12)).max()),
        "mean_error_in_mean_deviation": float(error.mean() / deviation.mean()),
        "finite": bool(numpy.isfinite(found).all()),
        "images": len(found),
    }


def markdown(results):
    machine = results.get("machine", {})
    gpu = machine.get("gpu") or {}
    lines = [f"# {gpu.get('name', machine.get('device'))}", ""]
    lines += [f"- {key}: {value}" for key, value in {**machine, **gpu}.items() if key not in ("gpu", "libraries")]
    lines += ["", "## Parity", "", "| compared | centred cosine, median | least | largest error ÷ deviation |", "| --- | --- | --- | --- |"]
    for name, row in results.get("parity", {}).items():
        if isinstance(row, dict):
            lines.append(f"| {name} | {row['centred_cosine_median']:.6f} | {row['centred_cosine_least']:.6f} | {row['largest_error_in_deviations']:.2e} |")
        else:
            lines.append(f"| {name} | {row} | | |")
    rates = results.get("model_images_per_second", {})
    batches = sorted({int(name.rsplit("/", 1)[1]) for name in rates})
    lines += ["", "## Model, img/s by batch", "", "| variant | " + " | ".join(map(str, batches)) + " |", "| --- " * (len(batches) + 1) + "|"]
    for variant in sorted({name.rsplit("/", 1)[0] for name in rates}):
        cells = [f"{rates[f'{variant}/{batch}']:.0f}" if f"{variant}/{batch}" in rates else "–" for batch in batches]
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    before = results.get("before_the_network_ms_per_batch", {})
    lines += ["", "## Before the network, ms per batch", ""]
    lines += [f"- {name}: {ms:.3f}" for name, ms in before.items()]
    lines += ["", "## Ratios", ""] + [f"- {name}: {ratio:.3f}" for name, ratio in results.get("ratios", {}).items()]
    lines += ["", "## Decode and resize", "", "| size | one core, img/s | all cores, img/s | Pillow, one core | cores per GPU |", "| --- " * 5 + "|"]
    for name, row in results.get("decode", {}).items():
        cores = results.get("cores_per_gpu", {}).get(name)
        cores = f"{cores['alone']:.1f} ({cores['with_all_busy']:.1f} with all busy)" if cores else "–"
        lines.append(f"| {name} | {row['one_core_images_per_second']:.0f} | {row['all_cores_images_per_second']:.0f} ({row['cores']} cores) | {row['pillow_one_core_images_per_second']:.0f} | {cores} |")
    lines += ["", "## Pipeline, img/s", "", "| run | from pixels | from files | jobs × items |", "| --- " * 4 + "|"]
    for name, rows in results.get("pipeline", {}).items():
        by_input = {row["input"]: row for row in rows}
        files = by_input["files"]
        lines.append(f"| {name} | {by_input['pixels']['images_per_second']:.0f} | {files['images_per_second']:.0f} | {files['jobs']} × {files['job_items']} |")
    lines += ["", "## Errors", ""] + [f"- {name}: {error[:300]}" for name, error in results.get("errors", {}).items()]
    lines += [f"- python {name}: {error[:200]}" for name, error in results.get("peer", {}).get("errors", {}).items()]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="gpu.sh run")
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--worker", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cuda", help="device to measure: cuda or cpu [default: cuda]")
    parser.add_argument("--quick", action="store_true", help="measure few images for a short time, to try the script")
    parser.add_argument("--batches", help="batch sizes of the model, such as 64,256")
    parser.add_argument("--limit", type=float, default=240, help="seconds after which no further part starts [default: 240]")
    parser.add_argument("--compiled", help="variants of torch.compile, such as compile_default [default: all; none with --quick]")
    parser.add_argument("--compile-wait", type=float, default=60, help="seconds to wait until they are compiled [default: 60]")
    options = parser.parse_args()
    if options.compiled is None:
        options.compiled = "" if options.quick else ",".join(variant for variant, _ in COMPILED)
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(options)
    gpu = options.device != "cpu"
    try:
        run.part("machine", run.describe_machine, 30)
        run.part("drawing", run.draw, 60)
        run.part("weights", run.make_weights, 60)
        run.part("PyTorch's start", run.start_peers, 10)
        run.part("parity", run.check_parity, 110)
        if gpu:
            run.part("parity of PyTorch on the GPU", run.check_python_parity, 40)
        run.part("model", run.measure_model, 200)
        run.part("PyTorch's end", run.stop_peers, 20)
        run.part("decoding", run.measure_decoding, 60)
        run.part("cores per GPU", run.count_cores, 5)
        run.part("pipelines", run.measure_pipelines, 120)
        run.part("ratios", run.compare_with_targets, 5)
    finally:
        with contextlib.suppress(Exception):
            run.stop_peers()
        run.results["seconds"]["all"] = round(time.monotonic() - BEGAN, 1)
        run.write()
        print((run.out / "results.md").read_text())
        say("done")


main()
