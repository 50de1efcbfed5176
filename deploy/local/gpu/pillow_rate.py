"""Measures decoding and resizing with Pillow."""

import io
import time
from pathlib import Path

from PIL import Image


def decode(source):
    """Decodes and resizes a file, as workers do."""
    return Image.open(source).convert("RGB").resize((224, 224), Image.BILINEAR)


def pillow_rate(folder, seconds):
    """Images per second of one thread that decodes the folder's images in turn."""
    files = [path.read_bytes() for path in sorted(Path(folder).glob("*.jpg"))]
    done, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        decode(io.BytesIO(files[done % len(files)]))
        done += 1
    return done / (time.perf_counter() - start)
