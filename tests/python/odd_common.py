"""What the generators of odd images share."""
import io
import random

import numpy as np
from PIL import Image


def pixels(width=61, height=47):
    """A picture with ramps, edges and saturated colours, so that a wrong decode shows."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 255 // width, y * 255 // height, (x // 8 + y // 8) % 2 * 200], axis=-1).astype(np.uint8)
    rgb[height // 4 : height // 2, width // 4 : width // 2] = (230, 20, 40)
    return rgb


def picture(width=61, height=47):
    return Image.fromarray(pixels(width, height))


def alpha(width=61, height=47):
    """A ramp with fully transparent and fully opaque pixels."""
    y, x = np.mgrid[0:height, 0:width]
    return ((x + y) * 5 % 256).astype(np.uint8)


def saved(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def damaged(name, data, count, start=0, end=None):
    """Copies with one to four random bytes replaced."""
    for seed in range(count):
        chosen = random.Random(seed)
        copy = bytearray(data)
        for _ in range(chosen.randint(1, 4)):
            copy[chosen.randrange(start, end or len(data))] = chosen.randrange(256)
        yield f"{name}-{seed}", bytes(copy)


def cuts(name, data, percents=(5, 30, 60, 90, 99)):
    for percent in percents:
        yield f"{name}-cut-at-{percent}-percent", data[: len(data) * percent // 100]
