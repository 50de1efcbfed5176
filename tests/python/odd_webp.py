"""WebP files in unusual forms, and damaged ones."""
import struct

import numpy as np
from PIL import Image

from odd_common import alpha, cuts, damaged, picture, pixels, saved


def webp(image=None, **options):
    return saved(image or picture(), "WEBP", **options)


def rgba(width=61, height=47):
    return Image.fromarray(np.dstack([pixels(width, height), alpha(width, height)]))


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def riff(*chunks, size=None):
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def body(data):
    """The chunks of a file, as one string."""
    return data[12:]


def split(data):
    """Name and content of each chunk."""
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def extended(flags, width=61, height=47):
    return chunk(b"VP8X", bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


def frame(content, x=0, y=0, width=61, height=47, flags=0):
    place = b"".join(value.to_bytes(3, "little") for value in (x // 2, y // 2, width - 1, height - 1, 50))
    return chunk(b"ANMF", place + bytes([flags]) + content)


def encodings():
    for quality in (0, 50, 100):
        yield f"lossy-quality-{quality}", webp(quality=quality)
    for method in (0, 6):
        yield f"lossy-method-{method}", webp(method=method)
        yield f"lossless-method-{method}", webp(lossless=True, method=method)
    for size in ((1, 1), (2, 3), (16, 16), (17, 33), (300, 7)):
        yield f"lossy-{size[0]}x{size[1]}", webp(picture(*size))
        yield f"lossless-{size[0]}x{size[1]}", webp(picture(*size), lossless=True)
    for colours in (2, 4, 16, 200):
        yield f"lossless-{colours}-colours", webp(picture().quantize(colours).convert("RGB"), lossless=True)
    yield "lossless-grey", webp(picture().convert("L"), lossless=True)
    for exact in (False, True):
        yield f"alpha-lossy-exact-{exact}", webp(rgba(), exact=exact)
        yield f"alpha-lossless-exact-{exact}", webp(rgba(), lossless=True, exact=exact)
    for quality in (0, 50, 100):
        yield f"alpha-quality-{quality}", webp(rgba(), alpha_quality=quality)
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "exif-orientation", webp(exif=exif)
    yield "colour-profile", webp(icc_profile=b"x" * 501)
    yield "xmp", webp(xmp=b"<x/>")


def animations():
    frames = [Image.fromarray(np.roll(pixels(), 9 * i, axis=1)) for i in range(3)]
    for lossless in (False, True):
        animated = webp(frames[0], save_all=True, append_images=frames[1:], duration=50, lossless=lossless)
        yield f"animated-lossless-{lossless}", animated
    clear = [rgba(), rgba().rotate(180)]
    yield "animated-alpha", webp(clear[0], save_all=True, append_images=clear[1:], lossless=True, exact=True)
    yield "animated-alpha-lossy", webp(clear[0], save_all=True, append_images=clear[1:], exact=True)
    content = body(webp(lossless=True))
    control = chunk(b"ANIM", b"\x10\x20\x30\xff\0\0")
    whole = frame(content)
    yield "animated-one-frame", riff(extended(2), control, whole)
    yield "animated-frame-smaller", riff(extended(2, 90, 80), control, frame(content, 10, 8), frame(content))
    yield "animated-frame-smaller-alpha", riff(extended(0x12, 90, 80), control, frame(body(webp(rgba(), lossless=True, exact=True)), 10, 8))
    yield "animated-frame-outside", riff(extended(2, 62, 48), control, frame(content, 10, 8))
    yield "animated-frame-size-wrong", riff(extended(2, 90, 80), control, frame(content, width=30))
    yield "animated-without-control", riff(extended(2), whole)
    yield "animated-control-twice", riff(extended(2), control, control, whole)
    yield "animated-without-flag", riff(extended(0), control, whole)
    yield "animated-without-frames", riff(extended(2), control)
    yield "animated-and-still", riff(extended(2), control, whole, content)
    yield "animated-dispose", riff(extended(2), control, frame(content, flags=1), whole)
    yield "animated-no-blending", riff(extended(2), control, frame(content, flags=2), whole)
    yield "animated-second-broken", riff(extended(2), control, whole, frame(content[:40]))
    yield "animated-first-broken", riff(extended(2), control, frame(content[:40]), whole)
    yield "animated-unknown-chunk", riff(extended(2), chunk(b"abcd", b"xyz"), control, whole)
    yield from cuts("animated", animated, (20, 50, 90, 99))


def structure():
    for name, data in {"lossy": webp(), "lossless": webp(lossless=True), "alpha": webp(rgba())}.items():
        chunks = body(data)
        yield f"{name}-garbage-behind", data + b"garbage" * 20
        yield f"{name}-size-too-large", riff(chunks, size=len(chunks) + 1000)
        yield f"{name}-size-too-small", riff(chunks, size=len(chunks) // 2)
        yield f"{name}-size-0", riff(chunks, size=0)
        yield f"{name}-size-odd", riff(chunks, size=len(chunks) + 5)
        yield f"{name}-unknown-chunk-in-front", riff(chunk(b"abcd", b"xyz"), chunks)
        yield f"{name}-unknown-chunk-behind", riff(chunks, chunk(b"abcd", b"xyz"))
        if name != "alpha":
            yield f"{name}-extended", riff(extended(0), chunks)
            yield f"{name}-extended-alpha-flag", riff(extended(0x10), chunks)
            yield f"{name}-extended-all-flags", riff(extended(0x3C), chunks)
            yield f"{name}-extended-reserved-flags", riff(extended(0xC1), chunks)
            yield f"{name}-extended-other-size", riff(extended(0, 80, 60), chunks)
            yield f"{name}-extended-unknown-chunk", riff(extended(0), chunk(b"abcd", b"xyz"), chunks)
            yield f"{name}-extended-twice", riff(extended(0), extended(0), chunks)
            yield f"{name}-twice", riff(chunks, chunks)
        yield from cuts(name, data, (2, 5, 30, 60, 90, 99))
        yield f"{name}-one-byte-missing", data[:-1]
        yield from damaged(f"{name}-damaged", data, 12, start=20)
        yield from damaged(f"{name}-header-damaged", data, 8, start=4, end=30)
    parts = dict(split(webp(rgba())))
    head, mask, colour = (parts[name] for name in (b"VP8X", b"ALPH", b"VP8 "))
    yield "alpha-without-colour", riff(chunk(b"VP8X", head), chunk(b"ALPH", mask))
    yield "alpha-without-mask", riff(chunk(b"VP8X", head), chunk(b"VP8 ", colour))
    yield "alpha-behind-colour", riff(chunk(b"VP8X", head), chunk(b"VP8 ", colour), chunk(b"ALPH", mask))
    yield "alpha-without-flag", riff(extended(0), chunk(b"ALPH", mask), chunk(b"VP8 ", colour))
    yield "alpha-without-header", riff(chunk(b"ALPH", mask), chunk(b"VP8 ", colour))
    yield "alpha-cut", riff(chunk(b"VP8X", head), chunk(b"ALPH", mask[: len(mask) // 2]), chunk(b"VP8 ", colour))
    yield "alpha-empty", riff(chunk(b"VP8X", head), chunk(b"ALPH", b""), chunk(b"VP8 ", colour))
    yield "alpha-twice", riff(chunk(b"VP8X", head), chunk(b"ALPH", mask), chunk(b"ALPH", mask), chunk(b"VP8 ", colour))
    yield "garbage-in-front", b"\0" + webp()
    yield "other-container", b"RIFX" + webp()[4:]
    yield "without-chunks", riff()


def cases():
    for group in (encodings, animations, structure):
        for name, data in group():
            yield f"{name}.webp", data
