"""Describes the machine, and measures its peaks."""

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# ResNet34 at 224×224: 3.67 GMAC.
FLOPS_PER_IMAGE = 2 * 3.67e9
# The first flag that a CPU has names its instruction set.
FLAGS = {"amx_bf16": "amx", "avx512_bf16": "avx512bf16", "avx512f": "avx512", "avx2": "avx2", "asimd": "neon"}


def cpu_info() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    return {key.strip(): value.strip() for key, value in (line.split(":", 1) for line in lines if ":" in line)}


def isa() -> str:
    """Names vendor and instruction set, such as `epyc-avx512bf16`."""
    info = cpu_info()
    model = info.get("model name", "cpu").lower()
    family = next((word for word in ("epyc", "ryzen", "xeon", "core", "neoverse") if word in model), "cpu")
    flags = info.get("flags", info.get("Features", "")).split()
    return f"{family}-{next((name for flag, name in FLAGS.items() if flag in flags), os.uname().machine)}"


def describe() -> dict[str, object]:
    memory = re.search(r"MemTotal: *(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cpu": cpu_info().get("model name", "unknown"),
        "isa": isa(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / 2**20) if memory else None,
        "kernel": os.uname().release,
        "load_at_the_start": os.getloadavg()[0],
    }


def fastest_seconds(work, repeats: int = 9) -> float:
    """The fastest repetition: a floor is what the machine can do, whatever else runs."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def gemm_flops(kind: str) -> float:
    """FLOP/s of a large matrix product on all cores: the ceiling of the model."""
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[kind]
    a, b = torch.ones(2048, 2048, dtype=dtype), torch.ones(2048, 2048, dtype=dtype)
    return 2 * 2048**3 / fastest_seconds(lambda: torch.mm(a, b))


def read_bandwidth() -> float:
    """Bytes per second that all cores read from memory: each takes the dot product of a part with itself."""
    import numpy

    cores = len(os.sched_getaffinity(0))
    parts = numpy.array_split(numpy.ones(1 << 28, numpy.float32), cores)
    with ThreadPoolExecutor(cores) as threads:
        return sum(part.nbytes for part in parts) / fastest_seconds(lambda: list(threads.map(squared, parts)))


def squared(numbers) -> float:
    return float(numbers @ numbers)
