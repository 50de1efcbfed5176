"""Draws JPEG images that compress and decode like photographs: gradients, edges, text and noise."""

from multiprocessing import Pool
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

QUALITY = 85


def draw(job):
    path, width, height, seed = job
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    # Noise from coarse to fine with falling amplitude approximates the spectrum of natural images.
    for cells, weight in ((3, 110), (7, 60), (17, 32), (43, 16)):
        field = random.random((cells, cells * 16 // 9, 3)).astype(np.float32)
        small = Image.fromarray((field * 255).astype(np.uint8))
        picture += np.asarray(small.resize((width, height), Image.BICUBIC), np.float32) / 255 * weight
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(int(random.integers(4, 10))):
        x, y = random.integers(0, width), random.integers(0, height)
        w, h = random.integers(8, max(9, width // 3)), random.integers(8, max(9, height // 3))
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        (pen.ellipse if random.random() < 0.5 else pen.rectangle)((x, y, x + w, y + h), fill=colour)
    for line in range(3):
        at = (int(width * 0.05), int(height * (0.1 + 0.25 * line)))
        pen.text(at, f"thumbnail {seed} line {line}", fill=(255, 255, 255), font_size=max(10, height // 10))
    grain = random.normal(0, 5, (height, width, 1)).astype(np.float32)
    noisy = np.clip(np.asarray(image, np.float32) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(path, quality=QUALITY)


def draw_folder(folder, size, count, processes):
    width, height = size
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folder / f"{number:04}.jpg", width, height, number) for number in range(count)]
    with Pool(processes) as pool:
        pool.map(draw, jobs, chunksize=8)
    return sum(path.stat().st_size for path in folder.glob("*.jpg")) / count
