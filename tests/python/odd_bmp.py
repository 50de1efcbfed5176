"""BMP files in unusual forms, and damaged ones."""
import struct

import numpy as np

from odd_common import alpha, cuts, damaged, picture, pixels, saved

COLOURS = bytes(value for index in range(256) for value in ((index * 37) % 256, (index * 37 + 90) % 256, (index * 37 + 170) % 256, 0))
GREYS = bytes(value for index in range(256) for value in (index, index, index, 0))
RAW, RLE8, RLE4, BITFIELDS = 0, 1, 2, 3


def indices(bits, width=61, height=47):
    return (pixels(width, height)[..., 0].astype(int) * (1 << bits) // 256).astype(np.uint8)


def rows(values, bits):
    """Packs rows of indices, or of numbers of 16, 24 or 32 bits, bottom row first."""
    out = []
    for row in values[::-1]:
        if bits < 8:
            per_byte = 8 // bits
            padded = np.concatenate([row, np.zeros(-len(row) % per_byte, row.dtype)]).reshape(-1, per_byte)
            line = (padded.astype(np.uint32) << (np.arange(per_byte)[::-1] * bits)).sum(axis=1).astype(np.uint8).tobytes()
        else:
            line = b"".join(int(value).to_bytes(bits // 8, "little") for value in row)
        out.append(line + bytes(-len(line) % 4))
    return b"".join(out)


def info(width, height, bits, compression=RAW, size=0, colours=0, planes=1, length=40, more=b""):
    return struct.pack("<IiiHHIIiiII", length, width, height, planes, bits, compression, size, 2835, 2835, colours, 0) + more


def bmp(head, data, palette=b"", offset=None, gap=b""):
    offset = 14 + len(head) + len(palette) + len(gap) if offset is None else offset
    body = head + palette + gap + data
    return b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, offset) + body


def masked(red, green, blue, mask=0):
    """Numbers whose bits are a picture's, placed by masks."""
    out = np.zeros((47, 61), np.uint64)
    for channel, place in zip((*np.moveaxis(pixels(), -1, 0), alpha()), (red, green, blue, mask)):
        if place:
            shift = (place & -place).bit_length() - 1
            width = (place >> shift).bit_length()
            out |= ((channel.astype(np.uint64) >> max(0, 8 - width)) << shift)
    return out


def saves():
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield f"mode-{mode.lower()}", saved(picture().convert(mode), "BMP")
    for colours in (2, 16, 200):
        yield f"{colours}-colours", saved(picture().quantize(colours), "BMP")
    yield "without-file-header", saved(picture().quantize(16), "DIB")
    yield "without-file-header-rgb", saved(picture(), "DIB")


def depths():
    for bits in (1, 2, 4, 8):
        palette = COLOURS[: 4 << bits]
        yield f"{bits}-bit", bmp(info(61, 47, bits), rows(indices(bits), bits), palette)
        yield f"{bits}-bit-top-down", bmp(info(61, -47, bits), rows(indices(bits)[::-1], bits), palette)
        yield f"{bits}-bit-grey", bmp(info(61, 47, bits), rows(indices(bits), bits), GREYS[: 4 << bits])
        core = struct.pack("<IHHHH", 12, 61, 47, 1, bits)
        three = b"".join(COLOURS[i : i + 3] for i in range(0, 4 << bits, 4))
        yield f"{bits}-bit-core-header", bmp(core, rows(indices(bits), bits), three)
        yield f"{bits}-bit-without-offset", bmp(info(61, 47, bits), rows(indices(bits), bits), palette, 0)
    black_and_white = b"\0\0\0\0\xff\xff\xff\0"
    yield "1-bit-black-and-white", bmp(info(61, 47, 1), rows(indices(1), 1), black_and_white)
    yield "1-bit-white-and-black", bmp(info(61, 47, 1), rows(indices(1), 1), black_and_white[4:] + black_and_white[:4])
    for width in (1, 7, 8, 9, 31, 32, 33):
        yield f"1-bit-width-{width}", bmp(info(width, 5, 1), rows(indices(1, width, 5), 1), COLOURS[:8])
        yield f"4-bit-width-{width}", bmp(info(width, 5, 4), rows(indices(4, width, 5), 4), COLOURS[:64])
    true = masked(0xFF0000, 0xFF00, 0xFF)
    yield "16-bit", bmp(info(61, 47, 16), rows(masked(0x7C00, 0x3E0, 0x1F), 16))
    yield "16-bit-all-values", bmp(info(256, 256, 16), np.arange(65536, dtype="<u2").tobytes())
    yield "24-bit", bmp(info(61, 47, 24), rows(true, 24))
    yield "24-bit-top-down", bmp(info(61, -47, 24), rows(true[::-1], 24))
    yield "24-bit-with-palette", bmp(info(61, 47, 24, colours=16), rows(true, 24), COLOURS[:64])
    yield "24-bit-core-header", bmp(struct.pack("<IHHHH", 12, 61, 47, 1, 24), rows(true, 24))
    yield "32-bit", bmp(info(61, 47, 32), rows(masked(0xFF0000, 0xFF00, 0xFF, 0xFF000000), 32))
    yield "64-bit", bmp(info(61, 47, 64), bytes(61 * 47 * 8))
    yield "0-bit", bmp(info(61, 47, 0), rows(true, 24))


def headers():
    values, palette = rows(indices(8), 8), COLOURS
    for length in (52, 56, 64, 108, 124):
        more = bytes(length - 40)
        yield f"header-{length}", bmp(info(61, 47, 8, length=length, more=more), values, palette)
        yield f"header-{length}-24-bit", bmp(info(61, 47, 24, length=length, more=more), rows(masked(0xFF0000, 0xFF00, 0xFF), 24))
    for length in (16, 36, 41, 128):
        yield f"header-{length}", bmp(info(61, 47, 8, length=length, more=bytes(max(0, length - 40)))[: max(length, 4)], values, palette)
    for width, height in ((0, 47), (61, 0), (-61, 47), (61, 48), (62, 47), (61, -2**31), (61, -2)):
        yield f"declared-{width}x{height}", bmp(info(width, height, 8), values, palette)
    yield "planes-0", bmp(info(61, 47, 8, planes=0), values, palette)
    yield "planes-3", bmp(info(61, 47, 8, planes=3), values, palette)
    for compression in (4, 5, 6, 11):
        yield f"compression-{compression}", bmp(info(61, 47, 8, compression), values, palette)
    yield "array-in-front", b"BA" + bytes(12) + bmp(info(61, 47, 8), values, palette)
    yield "garbage-in-front", b"\0" + bmp(info(61, 47, 8), values, palette)
    yield "garbage-behind", bmp(info(61, 47, 8), values, palette) + b"garbage" * 20


def palettes():
    values = rows(indices(8), 8)
    for colours in (1, 2, 100, 255, 256, 257, 300, 70000):
        palette = (COLOURS * 300)[: 4 * colours]
        yield f"palette-{colours}", bmp(info(61, 47, 8, colours=colours), values, palette)
    for colours in (1, 2, 100, 300):
        yield f"grey-palette-{colours}", bmp(info(61, 47, 8, colours=colours), values, (GREYS * 2)[: 4 * colours])
    yield "4-bit-palette-3", bmp(info(61, 47, 4, colours=3), rows(indices(4), 4), COLOURS[:12])
    yield "4-bit-palette-20", bmp(info(61, 47, 4, colours=20), rows(indices(4), 4), COLOURS[:80])
    yield "1-bit-palette-1", bmp(info(61, 47, 1, colours=1), rows(indices(1), 1), COLOURS[4:8])
    yield "palette-gap", bmp(info(61, 47, 8), values, COLOURS, gap=b"gap!")
    yield "palette-missing", bmp(info(61, 47, 8), values)
    for offset in (0, 14, 54, 500, 1077, 5000, 2**31):
        yield f"offset-{offset}", bmp(info(61, 47, 8), values, COLOURS, offset)
    yield "offset-54-palette-16", bmp(info(61, 47, 8, colours=16), values, COLOURS[:64], 54)
    yield "offset-54-4-bit", bmp(info(61, 47, 4), rows(indices(4), 4), COLOURS[:64], 54)
    yield "offset-54-24-bit", bmp(info(61, 47, 24), rows(masked(0xFF0000, 0xFF00, 0xFF), 24), b"", 54)
    core = struct.pack("<IHHHH", 12, 61, 47, 1, 8)
    three = b"".join(COLOURS[i : i + 3] for i in range(0, 1024, 4))
    yield "offset-26-core-header", bmp(core, values, three, 26)
    yield "core-header-short-palette", bmp(core, values, three[:300])


def masks():
    known = ((0xFF0000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0), (0xFF000000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000, 0xFF000000), (0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0xFF000000, 0xFF00, 0xFF, 0xFF0000), (0, 0, 0, 0))
    unknown = ((0xFF, 0xFF00, 0xFF0000, 0), (0x3FF00000, 0xFFC00, 0x3FF, 0), (0xFF0000, 0xFF0000, 0xFF, 0), (0xF00, 0xF0, 0xF, 0xF000))
    for group in (known, unknown):
        for combination in group:
            name = "-".join(f"{mask:x}" for mask in combination)
            places = struct.pack("<IIII", *combination)
            data = rows(masked(*(combination if any(combination) else (0xFF0000, 0xFF00, 0xFF, 0xFF000000))), 32)
            yield f"32-bit-masks-{name}", bmp(info(61, 47, 32, BITFIELDS), data, places[:12])
            yield f"32-bit-masks-{name}-header-56", bmp(info(61, 47, 32, BITFIELDS, length=56, more=places), data)
    for combination in ((0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F), (0xF00, 0xF0, 0xF), (0x1F, 0x7E0, 0xF800), (0, 0, 0)):
        name = "-".join(f"{mask:x}" for mask in combination)
        yield f"16-bit-masks-{name}", bmp(info(61, 47, 16, BITFIELDS), rows(masked(*combination), 16), struct.pack("<III", *combination))
    yield "16-bit-masks-all-values", bmp(info(256, 256, 16, BITFIELDS), np.arange(65536, dtype="<u2").tobytes(), struct.pack("<III", 0xF800, 0x7E0, 0x1F))
    places = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
    yield "24-bit-masks", bmp(info(61, 47, 24, BITFIELDS), rows(masked(0xFF0000, 0xFF00, 0xFF), 24), places)
    yield "8-bit-masks", bmp(info(61, 47, 8, BITFIELDS), rows(indices(8), 8), places)
    yield "32-bit-masks-header-52", bmp(info(61, 47, 32, BITFIELDS, length=52, more=places), rows(masked(0xFF0000, 0xFF00, 0xFF), 32))
    yield "32-bit-masks-missing", bmp(info(61, 47, 32, BITFIELDS), b"")


def run_length():
    def encoded(bits, data, width=61, height=47, palette=COLOURS):
        return bmp(info(width, height, bits, RLE8 if bits == 8 else RLE4, len(data)), data, palette[: 4 << bits])

    lines8 = b"".join(b"".join(bytes([1, value]) for value in row) + b"\0\0" for row in indices(8)[::-1])
    lines4 = b"".join(b"".join(bytes([2, a << 4 | b]) for a, b in zip(row[::2], row[1::2])) + bytes([1, row[-1] << 4]) + b"\0\0" for row in indices(4)[::-1])
    literal8 = b"".join(b"\0" + bytes([61]) + row.tobytes() + b"\0" + b"\0\0" for row in indices(8)[::-1])
    yield "rle8", encoded(8, lines8 + b"\0\1")
    yield "rle8-grey", encoded(8, lines8 + b"\0\1", palette=GREYS)
    yield "rle8-without-end", encoded(8, lines8)
    yield "rle8-literal", encoded(8, literal8 + b"\0\1")
    yield "rle4", encoded(4, lines4 + b"\0\1")
    yield "rle4-literal", encoded(4, b"".join(b"\0\5\x12\x34\x50\0\0\5\x12\x34\x50\0\0\0" for _ in range(6)) + b"\0\1", 10, 6)
    yield "rle8-without-line-ends", encoded(8, b"\x0a\7" * 6 + b"\0\1", 10, 6)
    yield "rle8-lines-short", encoded(8, b"\5\7\0\0" * 6 + b"\0\1", 10, 6)
    yield "rle8-lines-long", encoded(8, b"\x14\7\0\0" * 6 + b"\0\1", 10, 6)
    yield "rle8-ends-early", encoded(8, b"\x0a\7\0\0" * 3 + b"\0\1", 10, 6)
    yield "rle8-cut", encoded(8, b"\x0a\7\0\0" * 3, 10, 6)
    yield "rle8-delta", encoded(8, b"\3\7\0\2\3\2\4\x09\0\0" + b"\x0a\5\0\0" * 3 + b"\0\1", 10, 6)
    yield "rle8-delta-outside", encoded(8, b"\3\7\0\2\xff\xff\4\x09\0\1", 10, 6)
    yield "rle8-delta-cut", encoded(8, b"\3\7\0\2\3", 10, 6)
    yield "rle8-literal-long", encoded(8, b"\0\x14" + bytes(range(20)) + b"\0\0\0\1", 10, 6)
    yield "rle8-literal-cut", encoded(8, b"\0\x09" + bytes(range(4)), 10, 6)
    yield "rle8-too-much", encoded(8, b"\x0a\7\0\0" * 9 + b"\0\1", 10, 6)
    yield "rle8-empty-lines", encoded(8, b"\0\0" * 6 + b"\0\1", 10, 6)
    yield "rle8-empty", encoded(8, b"", 10, 6)
    yield "rle8-whole-by-literals", encoded(8, b"\0\x0a" + bytes(range(10)) + b"\0\x0a" + bytes(range(10, 20)), 10, 2)
    yield "rle4-odd-literal", encoded(4, b"\0\3\x12\x30\7\x45\0\0" * 6 + b"\0\1", 10, 6)
    yield "rle8-top-down", bmp(info(10, -6, 8, RLE8), b"\x0a\7\0\0\x0a\3\0\0" * 3 + b"\0\1", COLOURS)
    yield "rle8-24-bit", bmp(info(10, 6, 24, RLE8), b"\x0a\7\0\0" * 6 + b"\0\1")
    yield "rle4-8-bit", bmp(info(10, 6, 8, RLE4), b"\x0a\x37\0\0" * 6 + b"\0\1", COLOURS)
    yield "rle8-4-bit", bmp(info(10, 6, 4, RLE8), b"\x0a\7\0\0" * 6 + b"\0\1", COLOURS[:64])
    yield from damaged("rle8-damaged", encoded(8, lines8 + b"\0\1"), 12)


def broken():
    yield from cuts("24-bit", saved(picture(), "BMP"), (1, 5, 50, 99))
    yield from cuts("8-bit", saved(picture().quantize(200), "BMP"), (1, 5, 50, 99))
    yield from damaged("damaged", saved(picture().quantize(16), "BMP"), 24, end=120)
    yield "one-byte-missing", saved(picture(), "BMP")[:-1]
    yield "padding-missing", saved(picture(), "BMP")[:-3]


def cases():
    for group in (saves, depths, headers, palettes, masks, run_length, broken):
        for name, data in group():
            yield f"{name}.bmp", data
