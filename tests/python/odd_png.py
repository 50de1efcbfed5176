"""PNG files in unusual forms, and damaged ones."""
import struct
import zlib

import numpy as np
from PIL import Image, PngImagePlugin

from odd_common import alpha, cuts, damaged, picture, pixels, saved

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
COLOURS = bytes((index * 37 + shift) % 256 for index in range(256) for shift in (0, 90, 170))


def chunk(name, data, crc=None):
    crc = zlib.crc32(name + data) if crc is None else crc
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def header(width, height, bits, kind, compression=0, filters=0, interlace=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, compression, filters, interlace))


def packed(row, bits):
    """Packs a row of samples of 1, 2, 4, 8 or 16 bits."""
    row = row.reshape(-1)
    if bits == 16:
        return row.astype(">u2").tobytes()
    if bits == 8:
        return row.astype(np.uint8).tobytes()
    per_byte = 8 // bits
    row = np.concatenate([row, np.zeros(-len(row) % per_byte, row.dtype)]).reshape(-1, per_byte)
    shifts = np.arange(per_byte)[::-1] * bits
    return (row.astype(np.uint32) << shifts).sum(axis=1).astype(np.uint8).tobytes()


def filtered(row, previous, distance, kind):
    """Applies a PNG filter to a packed row."""
    out = bytearray([kind])
    for index, value in enumerate(row):
        left = row[index - distance] if index >= distance else 0
        up = previous[index] if previous else 0
        corner = previous[index - distance] if previous and index >= distance else 0
        estimate = left + up - corner
        paeth = min((left, up, corner), key=lambda candidate: abs(estimate - candidate))
        guess = (0, left, up, (left + up) // 2, paeth)[kind]
        out.append((value - guess) % 256)
    return bytes(out)


def scanlines(samples, bits, interlace=False, filters=(0,)):
    """Rows of a picture, filtered with the given filters in turn."""
    samples = samples[..., None] if samples.ndim == 2 else samples
    distance = max(1, bits * samples.shape[2] // 8)
    out = []
    for x, y, step_x, step_y in ADAM7 if interlace else ((0, 0, 1, 1),):
        part, previous = samples[y::step_y, x::step_x], None
        if part.size:
            for number, row in enumerate(part):
                row = packed(row, bits)
                out.append(filtered(row, previous, distance, filters[number % len(filters)]))
                previous = row
    return b"".join(out)


def png(samples, bits, kind, interlace=False, filters=(0,), before=b"", data=None, behind=b""):
    height, width = samples.shape[:2]
    data = zlib.compress(scanlines(samples, bits, interlace, filters)) if data is None else data
    head = header(width, height, bits, kind, interlace=int(interlace))
    return SIGNATURE + head + before + chunk(b"IDAT", data) + behind + chunk(b"IEND", b"")


def samples(bits, kind):
    """A picture in samples of this colour type."""
    scale = (1 << bits) - 1
    wide = pixels().astype(np.uint32) * 257 + np.arange(61)[None, :, None] % 200
    rgb = np.minimum(wide, 65535) >> (16 - bits)
    transparency = alpha().astype(np.uint32) * scale // 255
    if kind == RGB:
        return rgb
    if kind == RGBA:
        return np.dstack([rgb, transparency])
    if kind == GREY_ALPHA:
        return np.dstack([rgb[..., 0], transparency])
    return rgb[..., 0]


KINDS = {"grey": (GREY, (1, 2, 4, 8, 16)), "rgb": (RGB, (8, 16)), "palette": (PALETTE, (1, 2, 4, 8)), "grey-alpha": (GREY_ALPHA, (8, 16)), "rgba": (RGBA, (8, 16))}


def colour_types():
    for name, (kind, depths) in KINDS.items():
        for bits in depths:
            before = chunk(b"PLTE", COLOURS[: 3 << bits]) if kind == PALETTE else b""
            for interlace in (False, True):
                suffix = "-interlaced" if interlace else ""
                yield f"{name}-{bits}-bit{suffix}", png(samples(bits, kind), bits, kind, interlace, range(5), before)
    for bits in (1, 8, 16):
        yield f"grey-{bits}-bit-transparent", png(samples(bits, GREY), bits, GREY, before=chunk(b"tRNS", b"\0\1"))
    for bits in (8, 16):
        yield f"rgb-{bits}-bit-transparent", png(samples(bits, RGB), bits, RGB, before=chunk(b"tRNS", b"\0\1\0\2\0\3"))
    for size in ((1, 1), (2, 2), (1, 9), (9, 1), (4, 5)):
        for interlace in (False, True):
            suffix = "-interlaced" if interlace else ""
            yield f"rgb-{size[0]}x{size[1]}{suffix}", png(pixels(*size), 8, RGB, interlace)
    for bits, kind in ((3, GREY), (1, RGB), (16, PALETTE), (4, RGBA), (8, 1), (8, 7), (0, GREY)):
        yield f"impossible-{bits}-bit-kind-{kind}", png(samples(8, GREY), 8, GREY).replace(header(61, 47, 8, GREY), header(61, 47, bits, kind))


def palettes():
    indices = samples(8, PALETTE)
    palette = chunk(b"PLTE", COLOURS)
    yield "palette-short", png(indices, 8, PALETTE, before=chunk(b"PLTE", COLOURS[:30]))
    yield "palette-1-colour", png(indices, 8, PALETTE, before=chunk(b"PLTE", COLOURS[:3]))
    yield "palette-too-long-for-its-bits", png(samples(2, PALETTE), 2, PALETTE, before=palette)
    yield "palette-over-256", png(indices, 8, PALETTE, before=chunk(b"PLTE", COLOURS + b"abc"))
    yield "palette-empty", png(indices, 8, PALETTE, before=chunk(b"PLTE", b""))
    yield "palette-missing", png(indices, 8, PALETTE)
    yield "palette-not-of-threes", png(indices, 8, PALETTE, before=chunk(b"PLTE", COLOURS[:100]))
    yield "palette-twice", png(indices, 8, PALETTE, before=palette + chunk(b"PLTE", COLOURS[::-1]))
    yield "palette-behind-pixels", png(indices, 8, PALETTE, behind=palette)
    yield "palette-in-rgb", png(pixels(), 8, RGB, before=palette)
    yield "palette-in-grey", png(indices, 8, GREY, before=palette)
    for name, content in {"one": b"\xff\xff\0", "many": bytes(range(200)), "too-many": bytes(300), "none": b""}.items():
        yield f"palette-transparent-{name}", png(indices, 8, PALETTE, before=palette + chunk(b"tRNS", content))
    yield "palette-transparency-before-palette", png(indices, 8, PALETTE, before=chunk(b"tRNS", b"\0") + palette)
    yield "transparency-short", png(pixels(), 8, RGB, before=chunk(b"tRNS", b"\0"))
    yield "transparency-in-rgba", png(samples(8, RGBA), 8, RGBA, before=chunk(b"tRNS", b"\0\1\0\2\0\3"))


def structure():
    plain = png(pixels(), 8, RGB, filters=range(5))
    lines = scanlines(pixels(), 8, filters=range(5))
    compressed = zlib.compress(lines)

    def idats(parts, between=b""):
        data = between.join(chunk(b"IDAT", part) for part in parts)
        return SIGNATURE + header(61, 47, 8, RGB) + data + chunk(b"IEND", b"")

    yield "plain", plain
    yield "without-iend", plain[:-12]
    yield "without-iend-and-checksum", plain[:-16]
    yield "with-half-a-checksum", plain[:-14]
    yield "with-half-an-iend", plain[:-6]
    yield "garbage-behind", plain + b"garbage" * 20
    yield "garbage-in-front", b"\0" + plain
    yield "one-byte-chunks", idats([compressed[i : i + 1] for i in range(len(compressed))])
    yield "empty-chunks", idats([b"", compressed[:100], b"", b"", compressed[100:], b""])
    yield "chunk-between-pixels", idats([compressed[:100], compressed[100:]], chunk(b"tEXt", b"a\0b"))
    yield "text-behind-pixels-broken", png(pixels(), 8, RGB, behind=chunk(b"tEXt", b"a\0b", 5))
    yield "pixels-without-chunk", SIGNATURE + header(61, 47, 8, RGB) + chunk(b"IEND", b"")
    yield "without-header", SIGNATURE + plain[33:]
    yield "header-second", SIGNATURE + chunk(b"tEXt", b"a\0b") + plain[8:]
    yield "header-twice", SIGNATURE + plain[8:33] + plain[8:]
    yield "header-with-17-bytes", SIGNATURE + chunk(b"IHDR", plain[16:29] + b"more") + plain[33:]
    yield "header-with-12-bytes", SIGNATURE + chunk(b"IHDR", plain[16:28]) + plain[33:]
    yield "apple-chunk-first", SIGNATURE + chunk(b"CgBI", b"\x50\0\x20\x06") + plain[8:]
    for name, values in {"compression": dict(compression=1), "filter": dict(filters=1), "interlace": dict(interlace=2)}.items():
        yield f"unknown-{name}-method", SIGNATURE + header(61, 47, 8, RGB, **values) + plain[33:]
    for width, height in ((0, 47), (61, 0), (61, 46), (61, 48), (60, 47), (2**31, 1)):
        yield f"declared-{width}x{height}", SIGNATURE + header(width, height, 8, RGB) + plain[33:]
    for name in (b"IDAT", b"IHDR", b"IEND"):
        at = plain.index(name)
        length = int.from_bytes(plain[at - 4 : at], "big")
        end = at + 4 + length
        yield f"checksum-of-{name.decode().lower()}-wrong", plain[:end] + b"\1\2\3\4" + plain[end + 4 :]
    yield "filter-5", png(pixels(), 8, RGB, data=zlib.compress(lines[:184] + b"\5" + lines[185:]))
    yield "zlib-checksum-wrong", idats([compressed[:-4] + b"\1\2\3\4"])
    yield "zlib-checksum-missing", idats([compressed[:-4]])
    yield "zlib-window-wrong", idats([b"\x08\x1d" + compressed[2:]])
    yield "zlib-header-wrong", idats([b"\x79" + compressed[1:]])
    yield "zlib-stored", idats([zlib.compress(lines, 0)])
    yield "zlib-too-long", idats([zlib.compress(lines + b"\0" * 5000)])
    yield "zlib-garbage-behind", idats([compressed + b"garbage"])
    yield "zlib-one-row-missing", idats([zlib.compress(lines[:-184])])
    yield "zlib-one-row-missing-garbage-behind", idats([zlib.compress(lines[:-184]) + b"garbage"])
    yield "zlib-one-byte-missing", idats([zlib.compress(lines[:-1])])
    yield "zlib-cut-in-the-middle", idats([compressed[: len(compressed) // 2]])
    yield "zlib-wrong-block", idats([b"\x78\x9c\x07"])
    yield "zlib-raw-deflate", idats([compressed[2:-4]])


def extra_chunks():
    for name, content in {
        b"tEXt": b"no separator",
        b"zTXt": b"a\0\0not zlib",
        b"iTXt": b"a\0\1\0\0\0not zlib",
        b"iCCP": b"name\0\0not zlib",
        b"gAMA": b"\0",
        b"cHRM": b"\0",
        b"pHYs": b"\0",
        b"sRGB": b"",
        b"eXIf": b"MM\0*\xff\xff\xff\xff",
        b"tIME": b"\0",
        b"sBIT": b"\5\5\5",
        b"bKGD": b"\0\1",
        b"abCd": b"private",
        b"ABCD": b"critical and unknown",
        b"a\0b\1": b"no name",
    }.items():
        label = "".join(c if c.isalnum() else "-" for c in name.decode("latin-1"))
        yield f"chunk-{label}", png(pixels(), 8, RGB, before=chunk(name, content))
    yield "chunk-iCCP-method-1", png(pixels(), 8, RGB, before=chunk(b"iCCP", b"name\0\1x"))
    yield "chunk-zTXt-method-1", png(pixels(), 8, RGB, before=chunk(b"zTXt", b"name\0\1x"))
    yield "chunk-zTXt-bomb", png(pixels(), 8, RGB, before=chunk(b"zTXt", b"name\0\0" + zlib.compress(bytes(10_000_000))))
    yield "chunk-text-checksum-wrong", png(pixels(), 8, RGB, before=chunk(b"tEXt", b"a\0b", 5))
    yield "chunk-length-wrong", png(pixels(), 8, RGB, before=b"\x7f\xff\xff\xff" + b"tEXt")
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "y" * 3000, zip=True)
    yield "text", saved(picture(), "PNG", pnginfo=text, dpi=(72, 72))


def animations():
    frames = [picture(), Image.fromarray(np.roll(pixels(), 9, axis=1))]
    options = dict(save_all=True, append_images=frames[1:], duration=50)
    animated = saved(frames[0], "PNG", **options)
    yield "animated", animated
    yield "animated-default-image", saved(frames[0], "PNG", default_image=True, **options)
    for dispose in (1, 2):
        yield f"animated-dispose-{dispose}", saved(frames[0], "PNG", disposal=dispose, blend=1, **options)
    rgba = Image.fromarray(samples(8, RGBA).astype(np.uint8))
    yield "animated-rgba", saved(rgba, "PNG", save_all=True, append_images=[rgba.rotate(180)], blend=1)

    def control(sequence=0, width=61, height=47, x=0, y=0):
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", sequence, width, height, x, y, 1, 10, 0, 0))

    for name, extra in {
        "control-without-animation": control(),
        "sequence-wrong": chunk(b"acTL", struct.pack(">II", 1, 0)) + control(3),
        "first-frame-smaller": chunk(b"acTL", struct.pack(">II", 1, 0)) + control(0, 30, 20),
        "first-frame-outside": chunk(b"acTL", struct.pack(">II", 1, 0)) + control(0, 61, 47, 5, 5),
        "no-frames": chunk(b"acTL", struct.pack(">II", 0, 0)) + control(),
        "twice": chunk(b"acTL", struct.pack(">II", 1, 0)) * 2 + control(),
        "short": chunk(b"acTL", b"\0"),
        "control-short": chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"fcTL", b"\0"),
    }.items():
        yield f"animated-{name}", png(pixels(), 8, RGB, before=extra)
    yield from cuts("animated", animated, (40, 70, 99))


def broken():
    plain = png(pixels(), 8, RGB, filters=range(5))
    yield from cuts("plain", plain)
    yield from cuts("interlaced", png(pixels(), 8, RGB, True, range(5)))
    yield from damaged("damaged", plain, 20, start=33)
    yield from damaged("header-damaged", plain, 12, start=8, end=41)


def cases():
    for group in (colour_types, palettes, structure, extra_chunks, animations, broken):
        for name, data in group():
            yield f"{name}.png", data
