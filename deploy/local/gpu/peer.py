"""Measures the model in PyTorch, in turns with the worker.

Prepares the requested variants, prints `ready`, then measures each of them for each line `go` on standard input and
answers with one line of JSON. A variant that fails is reported with its error, and the others continue. A CUDA error ends
the context of the process and so all later variants, so compiled variants run in processes of their own.
"""

import argparse
import json
import statistics
import sys
import time

import torch

import network


def passes_per_sample(device):
    return 8 if device == "cuda" else 1


def measure(run, x, batch, device, seconds):
    passes = passes_per_sample(device)
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(passes):
            run(x)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / passes)
    return batch / statistics.median(times)


def graphed(run, x):
    """Captures `run` on a fixed input as a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run(x)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run(x)
    # The graph has the addresses of the weights and the input, but does not keep them alive.
    return lambda _, alive=(run, x): graph.replay()


def compiled(model, mode, freezing=False):
    import torch._inductor.config as inductor

    # Read by the first call, which compiles the model and follows at once.
    inductor.freezing = freezing
    return torch.compile(model, mode=mode, dynamic=False)


def openvino(model, x):
    """Compiles the model with OpenVINO, which runs it with as many threads as PyTorch."""
    import openvino as ov

    precision = "bf16" if x.dtype == torch.bfloat16 else "f32"
    converted = ov.convert_model(model.float(), example_input=x.float(), input=list(x.shape))
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    request = ov.Core().compile_model(converted, "CPU", settings | {"NUM_STREAMS": 1}).create_infer_request()
    images = x.float().contiguous().numpy()
    return lambda _: request.infer([images], share_inputs=True, share_outputs=True)


def variants(weights, device, kind):
    """Functions that make the variants for an input, by name."""
    plain = lambda: network.load(weights, device, kind)
    folded = lambda fused: network.Folded(network.load(weights, device, torch.float32), kind, fused)
    return {
        "eager": lambda x: plain(),
        "folded": lambda x: folded(False),
        "folded_graph": lambda x: graphed(folded(False), x),
        "fused": lambda x: folded(True),
        "compile_default": lambda x: compiled(plain(), "default"),
        "compile_reduce_overhead": lambda x: compiled(plain(), "reduce-overhead"),
        "compile_freezing": lambda x: compiled(plain(), "reduce-overhead", freezing=True),
        "compile_max_autotune": lambda x: compiled(plain(), "max-autotune"),
        "openvino": lambda x: openvino(plain(), x),
    }


def poisoned_run(fused, x):
    """Whether a fused pass gives the same features if its memory contained NaN before."""
    clean = fused(x)
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    poison = [torch.full((1 << 27,), float("nan"), dtype=torch.bfloat16, device="cuda") for _ in range(16)]
    torch.cuda.synchronize()
    del poison
    again = fused(x)
    return {"finite": bool(again.isfinite().all()), "equal": bool(torch.equal(clean, again))}


def profile(run, x):
    """The kernels with the largest shares of the time."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    run(x)
    torch.cuda.synchronize()
    with record(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as recorded:
        for _ in range(3):
            run(x)
        torch.cuda.synchronize()
    events = [event for event in recorded.key_averages() if event.device_type.name == "CUDA"]
    time_us = lambda event: event.self_device_time_total
    total = sum(map(time_us, events)) or 1
    longest = sorted(events, key=time_us, reverse=True)[:14]
    row = lambda e: {"kernel": e.key[:110], "calls": e.count // 3, "ms": time_us(e) / 3e3, "share": time_us(e) / total}
    return {"total_ms": total / 3e3, "kernels": [row(event) for event in longest]}


def copies():
    """GB/s of copies of 256 images to the device, and within host memory."""
    size = 256 * 224 * 224 * 3
    pageable, pinned = torch.ones(size, dtype=torch.uint8), torch.ones(size, dtype=torch.uint8).pin_memory()
    target, device = torch.empty(size, dtype=torch.uint8), torch.empty(size, dtype=torch.uint8, device="cuda")
    answer = {}
    torch.set_num_threads(1)
    for name, source, into in (("pageable", pageable, device), ("pinned", pinned, device), ("host", pageable, target)):
        times = []
        for _ in range(12):
            start = time.perf_counter()
            into.copy_(source, non_blocking=True)
            torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        answer[f"{name}_gb_per_second"] = size / statistics.median(times) / 1e9
    return answer


def attempt(answer, name, work):
    try:
        answer[name] = work()
    except Exception as error:
        answer[name] = {"error": f"{type(error).__name__}: {str(error)[:400]}"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--batches", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--variants", required=True, help="names, such as eager,fused")
    parser.add_argument("--precision", default="bf16", choices=("bf16", "fp32"))
    parser.add_argument("--checks", action="store_true", help="also profile the variants and measure copies")
    options = parser.parse_args()
    device, kind = options.device, {"bf16": torch.bfloat16, "fp32": torch.float32}[options.precision]
    batches = [int(batch) for batch in options.batches.split(",")]
    began = time.perf_counter()
    inputs = {}
    for batch in batches:
        x = torch.randn(batch, 3, 224, 224).to(device=device, dtype=kind, memory_format=torch.channels_last)
        inputs[batch] = x
    prepared, about, errors, made = {}, {"prepare_seconds": {}}, {}, {}
    with torch.inference_mode():
        makers = variants(options.weights, device, kind)
        for name in options.variants.split(","):
            for batch in batches:
                start = time.perf_counter()
                try:
                    # One module serves all sizes, but a graph and OpenVINO belong to their input.
                    if name not in made or name.endswith(("_graph", "openvino")):
                        made[name] = makers[name](inputs[batch])
                    run = made[name]
                    for _ in range(3):
                        run(inputs[batch])
                    if device == "cuda":
                        torch.cuda.synchronize()
                    prepared[name, batch] = run
                except Exception as error:
                    errors[f"{name}/{batch}"] = f"{type(error).__name__}: {str(error)[:400]}"
                about["prepare_seconds"][f"{name}/{batch}"] = time.perf_counter() - start
                print(f"peer: {name} {batch} after {time.perf_counter() - began:.0f} s", file=sys.stderr)
        if device == "cuda" and options.checks:
            middle = inputs.get(256, inputs[batches[0]])
            if "fused" in made:
                attempt(about, "fused_on_poisoned_memory", lambda: poisoned_run(made["fused"], middle))
            for name in ("folded", "fused"):
                if name in made:
                    attempt(about, f"profile_{name}", lambda: profile(made[name], middle))
            attempt(about, "copies", copies)
            about["cudnn"] = torch.backends.cudnn.version()
        print(json.dumps({"ready": True, "errors": errors, **about}), flush=True)
        for line in sys.stdin:
            if line.strip() != "go":
                break
            rates = {}
            for (name, batch), run in prepared.items():
                try:
                    rates[f"{name}/{batch}"] = measure(run, inputs[batch], batch, device, options.seconds)
                except Exception as error:
                    errors[f"{name}/{batch}"] = f"{type(error).__name__}: {str(error)[:400]}"
            print(json.dumps({"rates": rates, "errors": errors}), flush=True)


if __name__ == "__main__":
    main()
