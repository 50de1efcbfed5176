"""GIF files in unusual forms, and damaged ones."""
import struct

import numpy as np
from PIL import Image

from odd_common import cuts, damaged, picture, pixels, saved

COLOURS = bytes((index * 37 + shift) % 256 for index in range(256) for shift in (0, 90, 170))
GREYS = bytes(index for index in range(256) for _ in range(3))


def indices(width=61, height=47, colours=16):
    return (pixels(width, height)[..., 0].astype(int) * colours // 256).astype(np.uint8)


def blocks(data, size=255):
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def lzw(values, bits, clear_first=True, end=True):
    """Compresses without compressing: a clear code comes before the code size would grow."""
    clear, size, out, count = 1 << bits, bits + 1, [], 0
    codes = [clear] if clear_first else []
    for value in values:
        if count == (1 << bits) - 2:
            codes.append(clear)
            count = 0
        codes.append(int(value))
        count += 1
    codes += [clear + 1] if end else []
    number, length = 0, 0
    for code in codes:
        number |= code << length
        length += size
        while length >= 8:
            out.append(number & 255)
            number, length = number >> 8, length - 8
    return bytes(out + ([number & 255] if length else []))


def frame(values, bits, x=0, y=0, table=None, interlaced=False, data=None, size=None):
    height, width = values.shape
    width, height = size or (width, height)
    flags = (0x80 | (len(table) // 3).bit_length() - 2 if table else 0) | (0x40 if interlaced else 0)
    data = blocks(lzw(values.reshape(-1), bits)) if data is None else data
    return b"," + struct.pack("<HHHHB", x, y, width, height, flags) + (table or b"") + bytes([bits]) + data


def gif(frames, screen=(61, 47), table=COLOURS[:48], background=0, version=b"GIF89a", trailer=b";"):
    flags = 0x80 | (len(table) // 3).bit_length() - 2 if table else 0
    return version + struct.pack("<HHBBB", *screen, flags, background, 0) + (table or b"") + frames + trailer


def control(transparent=None, dispose=0):
    flags = dispose << 2 | (transparent is not None)
    return b"!\xf9\4" + bytes([flags, 5, 0, transparent or 0, 0])


def saves():
    for colours in (2, 3, 16, 256):
        yield f"{colours}-colours", saved(picture().quantize(colours), "GIF")
    yield "grey", saved(picture().convert("L"), "GIF")
    yield "one-bit", saved(picture().convert("1"), "GIF")
    yield "rgb", saved(picture(), "GIF")
    yield "interlaced", saved(picture(64, 50).quantize(32), "GIF", interlace=1)
    yield "transparent", saved(picture().quantize(32), "GIF", transparency=3)
    yield "rgba", saved(Image.fromarray(np.dstack([pixels(), pixels()[..., 0]])), "GIF")
    yield "comment", saved(picture(), "GIF", comment=b"c" * 1000)
    yield "large", saved(picture(300, 200), "GIF")
    frames = [Image.fromarray(np.roll(pixels(), 9 * i, axis=1)) for i in range(3)]
    for dispose in range(4):
        yield f"animated-dispose-{dispose}", saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50, disposal=dispose, loop=0)


def canvases():
    values = indices()
    whole = frame(values, 4)
    yield "plain", gif(whole)
    for name, screen in {"larger": (80, 60), "smaller": (40, 30), "wider": (80, 30), "empty": (0, 0), "one-pixel": (1, 1)}.items():
        for transparent in (None, 5, 200):
            suffix = "" if transparent is None else f"-transparent-{transparent}"
            head = b"" if transparent is None else control(transparent)
            yield f"screen-{name}{suffix}", gif(head + whole, screen)
            yield f"screen-{name}-background-7{suffix}", gif(head + whole, screen, background=7)
    yield "screen-larger-local-table", gif(frame(values, 4, table=COLOURS[300:348]), (80, 60), background=3)
    yield "screen-larger-local-table-only", gif(frame(values, 4, table=COLOURS[300:348]), (80, 60), None, 3)
    yield "screen-larger-without-table", gif(whole, (80, 60), None, 3)
    yield "screen-larger-without-table-transparent", gif(control(9) + whole, (80, 60), None)
    yield "screen-larger-grey-table", gif(control(9) + whole, (80, 60), GREYS[:48])
    yield "offset", gif(frame(values, 4, 10, 8), (80, 60))
    yield "offset-outside", gif(frame(values, 4, 40, 30), (80, 60))
    yield "offset-far-outside", gif(frame(values, 4, 200, 100), (80, 60))
    yield "offset-transparent", gif(control(2) + frame(values, 4, 10, 8), (80, 60))
    yield "dispose-background", gif(control(2, 2) + frame(values, 4, 10, 8) + whole, (80, 60), background=4)
    yield "frame-empty", gif(frame(values, 4, size=(0, 0)))
    yield "frame-without-width", gif(frame(values, 4, size=(0, 47)))
    yield "frame-without-height", gif(frame(values, 4, size=(61, 0)))
    yield "frame-lower-than-its-data", gif(frame(values, 4, size=(61, 20)))
    yield "frame-taller-than-its-data", gif(frame(values, 4, size=(61, 80)), (61, 80))
    for height in (1, 2, 3, 4, 5, 7, 8, 9):
        yield f"interlaced-{height}-rows", gif(frame(indices(20, height), 4, interlaced=True), (20, height))
    yield "interlaced-offset", gif(frame(indices(20, 17), 4, 5, 6, interlaced=True), (40, 40))


def tables():
    values = indices()
    whole = frame(values, 4)
    yield "without-table", gif(whole, table=None)
    yield "grey-table", gif(whole, table=GREYS[:48])
    yield "grey-table-local", gif(frame(values, 4, table=GREYS[:48]))
    yield "table-short", gif(whole, table=COLOURS[:12])
    yield "table-short-local", gif(frame(values, 4, table=COLOURS[300:312]))
    yield "table-long", gif(whole, table=COLOURS)
    yield "table-local", gif(frame(values, 4, table=COLOURS[300:348]))
    yield "transparent-outside-table", gif(control(200) + whole)
    for bits in (1, 2, 3, 5, 8, 9, 11, 12, 13):
        colours = min(1 << bits, 16)
        table = COLOURS[: 3 << min(bits, 8)]
        yield f"code-size-{bits}", gif(frame(indices(colours=colours), bits), table=table)
    yield "code-size-0", gif(frame(values, 4).replace(b"\x04\xff", b"\0\xff", 1))


def structure():
    values = indices()
    data = lzw(values.reshape(-1), 4)
    whole = frame(values, 4)
    yield "version-87", gif(whole, version=b"GIF87a")
    yield "version-88", gif(whole, version=b"GIF88a")
    yield "without-trailer", gif(whole, trailer=b"")
    yield "without-last-block", gif(whole[:-1], trailer=b"")
    yield "garbage-behind", gif(whole) + b"garbage" * 20
    yield "garbage-in-front", b"\0" + gif(whole)
    yield "small-blocks", gif(frame(values, 4, data=blocks(data, 1)))
    yield "empty-block-in-the-middle", gif(frame(values, 4, data=blocks(data[:300]) + blocks(data[300:])))
    yield "without-clear-code", gif(frame(values, 4, data=blocks(lzw(values.reshape(-1)[:14], 4, False))))
    yield "without-end-code", gif(frame(values, 4, data=blocks(lzw(values.reshape(-1), 4, end=False))))
    yield "end-code-early", gif(frame(values, 4, data=blocks(lzw(values.reshape(-1)[:1000], 4))))
    yield "end-code-early-and-more", gif(frame(values, 4, data=blocks(lzw(values.reshape(-1)[:1000], 4) + data)))
    yield "one-pixel-missing", gif(frame(values, 4, data=blocks(lzw(values.reshape(-1)[:-1], 4))))
    yield "one-row-more", gif(frame(values, 4, data=blocks(lzw(np.append(values, values[:1]), 4))))
    yield "without-pixels", gif(frame(values, 4, data=b"\0"))
    yield "code-too-large", gif(frame(values, 4, data=blocks(b"\x10\xff\xff" + data)))
    yield "clear-codes", gif(frame(values, 4, data=blocks(b"\x10\x42\x08\x21\x84" + data)))
    yield "pixels-missing", gif(b"", trailer=b";")
    yield "trailer-first", gif(b";" + whole)
    yield "bytes-before-frame", gif(b"\0\0xyz" + whole)
    yield "two-controls", gif(control(3) + control() + whole, (80, 60))
    yield "control-short", gif(b"!\xf9\1\1\0" + whole)
    yield "control-empty", gif(b"!\xf9\0" + whole)
    yield "control-long", gif(b"!\xf9\6\1\0\0\3\0\0\0" + whole, (80, 60))
    yield "control-in-two-blocks", gif(b"!\xf9\2\1\0\2\0\3\0" + whole, (80, 60))
    yield "text-extension", gif(b"!\x01\x0c" + bytes(12) + b"\5hello\0" + whole)
    yield "unknown-extension", gif(b"!\x77\3abc\0" + whole)
    yield "loop-extension", gif(b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0" + whole)
    yield "loop-extension-broken", gif(b"!\xff\x0bNETSCAPE2.0\1\1\0" + whole)
    yield "comment-empty", gif(b"!\xfe\0" + whole)
    yield "second-frame-broken", gif(whole + b",\0\0")
    yield from cuts("plain", gif(whole), (2, 5, 10, 50, 90, 99))
    yield from cuts("saved", saved(picture().quantize(16), "GIF"))
    yield from damaged("damaged", saved(picture(120, 90).quantize(32), "GIF"), 24)
    yield from damaged("header-damaged", gif(control(3) + whole, (80, 60)), 24, start=6, end=90)


def cases():
    for group in (saves, canvases, tables, structure):
        for name, data in group():
            yield f"{name}.gif", data
