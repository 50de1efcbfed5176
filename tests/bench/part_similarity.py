"""Exact similarity search, top 10, one query at a time: ours through the API, beside FAISS on the same vectors."""

import hashlib
import json
import random
import statistics
import struct
import time
from collections.abc import Iterator

import scale
from harness import Bench, say
from system import System, embedding, redis_load, request

DIMENSIONS, K, QUERIES = 512, 10, 7
SPACE = "bench-space"


def measure(bench: Bench) -> None:
    count = 2000 if bench.quick else 500_000
    vectors = random_vectors(count) if bench.quick else array(count)
    system = System(bench.processes, bench.programs, bench.work, None)
    try:
        say(f"similarity: storing {count} embeddings in Redis")
        store(vectors)
        pid = bench.processes.running["coordinator"].pid
        empty = scale.status_of(pid)[1]
        began = time.monotonic()
        search(0)
        bench.results.notes["similarity index"] = (
            f"{count:,} × {DIMENSIONS}; loaded from Redis in {time.monotonic() - began:.1f} s; "
            f"{(scale.status_of(pid)[1] - empty) / count:.0f} bytes of the coordinator's memory an image"
        )
        peer = None if bench.quick else Faiss(vectors)
        for number in bench.rounds("similarity"):
            queries = [(number * QUERIES + query) * 97 % count for query in range(QUERIES)]
            times, found = zip(*(search(query) for query in queries))
            bench.results.add("similarity/ours, through the API", statistics.median(times) * 1e3, "ms")
            if peer:
                peer.measure(bench, queries, found)
    finally:
        system.stop()
    ours = "similarity/ours, through the API"
    bench.results.ratio("similarity_speed_vs_faiss", ours, "similarity/FAISS flat f32", inverse=True)
    bench.results.ratio("similarity_vs_reading_f16", ours, "similarity/floor: reading f16 once")


def digest(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(4)).digest()


def random_vectors(count: int) -> list[bytes]:
    """Embeddings as Redis stores them, without numpy."""
    source = random.Random(0)
    return [struct.pack(f"<{DIMENSIONS}e", *(source.gauss(0, 1) for _ in range(DIMENSIONS))) for _ in range(count)]


def array(count: int):
    """The same as an array of f16; features of real images are not independent, but an exact search reads them all."""
    import numpy

    return numpy.random.default_rng(0).standard_normal((count, DIMENSIONS), dtype=numpy.float32).astype("<f2")


def store(vectors) -> None:
    """Stores embeddings and names as workers do (common/src/store/catalogue.rs)."""

    def commands() -> Iterator[tuple[bytes, ...]]:
        yield b"HSET", b"subwatch:spaces", SPACE.encode(), b"bench"
        for number, vector in enumerate(vectors):
            key = digest(number)
            yield embedding(SPACE, key, vector if isinstance(vector, bytes) else vector.tobytes())
            names = json.dumps([{"item": f"{number}.jpg", "dataset": "file:///bench/"}]).encode()
            yield b"HSET", f"subwatch:image:{{{key.hex()[:3]}}}".encode(), key, names

    redis_load(commands())


def search(number: int) -> tuple[float, list[str]]:
    """The seconds of a query with image `number`, and the digests that it found."""
    url = f"/v1/similar?sha256={digest(number).hex()}&space={SPACE}&k={K}"
    began = time.perf_counter()
    found = request(url)["neighbours"]
    seconds = time.perf_counter() - began
    if len(found) != K:
        raise RuntimeError(f"{url} found {len(found)} neighbours instead of {K}")
    return seconds, [neighbour["sha256"] for neighbour in found]


class Faiss:
    """FAISS's exact index, with as many threads as there are cores, and the bandwidth of memory."""

    def __init__(self, vectors):
        import faiss
        import numpy

        self.rows = vectors.astype(numpy.float32)
        self.rows /= numpy.linalg.norm(self.rows, axis=1, keepdims=True)
        self.index = faiss.IndexFlatIP(DIMENSIONS)
        self.index.add(self.rows)
        self.f16_bytes = vectors.nbytes
        self.agreeing = self.asked = 0

    def measure(self, bench: Bench, queries: list[int], found: tuple[list[str], ...]) -> None:
        import machine

        times = []
        for query, ours in zip(queries, found):
            began = time.perf_counter()
            _, rows = self.index.search(self.rows[query : query + 1], K + 1)
            times.append(time.perf_counter() - began)
            theirs = [digest(row).hex() for row in map(int, rows[0]) if row != query][:K]
            self.agreeing, self.asked = self.agreeing + (theirs == ours), self.asked + 1
        bench.results.add("similarity/FAISS flat f32", statistics.median(times) * 1e3, "ms")
        bandwidth = machine.read_bandwidth()
        bench.results.add("similarity/floor: reading f16 once", self.f16_bytes / bandwidth * 1e3, "ms")
        bench.results.add("bandwidth/reading on all cores", bandwidth / 1e9, "GB/s")
        bench.results.notes["similarity, same top 10 in the same order as FAISS"] = f"{self.agreeing} of {self.asked} queries"
