"""Writes unusual and damaged images of all formats to a folder:  odd_images.py FOLDER

The files are Pillow's, changed by byte surgery, or assembled by hand where Pillow cannot write them.
"""
import sys
from pathlib import Path

import odd_bmp
import odd_gif
import odd_jpeg
import odd_png
import odd_webp


def other():
    yield "empty.jpg", b""
    yield "text.jpg", b"<!doctype html><title>404</title>"
    yield "named-jpg-but-png.jpg", dict(odd_png.cases())["plain.png"]
    yield "named-png-but-jpg.png", odd_jpeg.jpeg()


def write(folder):
    folder = Path(folder)
    for group in (odd_jpeg.cases, odd_png.cases, odd_gif.cases, odd_bmp.cases, odd_webp.cases, other):
        for name, data in group():
            path = folder / name
            assert not path.exists(), name
            path.write_bytes(data)


if __name__ == "__main__":
    write(*sys.argv[1:])
