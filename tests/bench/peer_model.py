"""The network and the pixels of the peers that embed."""

import os

import numpy as np
import redis
import torch

import network
from peer import compiled
from pillow_rate import decode


class Embedder:
    """ResNet34 in the mode `eager` (fp32, as in 2020) or `compile` (torch.compile with freezing)."""

    def __init__(self, mode: str, threads: int):
        torch.set_num_threads(threads)
        self.kind = torch.float32 if mode == "eager" or os.environ["PEER_PRECISION"] == "fp32" else torch.bfloat16
        self.network = network.load(os.environ["PEER_WEIGHTS"], "cpu", self.kind)
        if mode == "compile":
            self.network = compiled(self.network, "default", freezing=True)
        self.store = redis.Redis.from_url(os.environ["SUBWATCH_REDIS_URL"])

    @torch.inference_mode()
    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """Features in f16 of bytes `[n, 224, 224, 3]`."""
        images = network.normalised(pixels).to(dtype=self.kind, memory_format=torch.channels_last)
        return self.network(images).float().half().numpy()

    def save(self, paths: list[str], vectors: np.ndarray) -> None:
        pipe = self.store.pipeline(transaction=False)
        for path, vector in zip(paths, vectors):
            pipe.set(f"peer:{path}", vector.tobytes())
        pipe.execute()


def read(path: str) -> np.ndarray:
    return np.asarray(decode(path))
