"""JPEG files in unusual forms, and damaged ones."""
import re
import struct

from PIL import Image, ImageCms

from odd_common import damaged, picture, saved

APP0, APP1, APP2, APP14, COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
DHT, DQT, SOF0, SOS = 0xC4, 0xDB, 0xC0, 0xDA


def jpeg(image=None, **options):
    return saved(image or picture(), "JPEG", **{"quality": 85, **options})


def segments(data):
    """Splits a JPEG before its scan into (marker, start, end)."""
    at = 2
    while True:
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at, end
        if marker == SOS:
            return
        at = end


def find(data, marker):
    return next((start, end) for found, start, end in segments(data) if found == marker)


def scan_of(data):
    """Where the entropy-coded data begins, also behind junk."""
    start = data.index(bytes([0xFF, SOS]))
    return start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")


def without(data, *markers):
    kept = [data[:2]]
    for marker, start, end in segments(data):
        if marker not in markers:
            kept.append(data[start:end])
    return b"".join(kept) + data[end:]


def before(data, marker, extra):
    """Inserts bytes before the first segment with `marker`; before every segment if it is None."""
    out = [data[:2]]
    done = False
    for found, start, end in segments(data):
        if marker is None or (found == marker and not done):
            out.append(extra)
            done = True
        out.append(data[start:end])
    return b"".join(out) + data[end:]


def segment(marker, body, length=None):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2 if length is None else length) + body


def patched(data, marker, offset, replacement):
    """Replaces bytes at an offset from the start of a segment (0 is its 0xff)."""
    start, _ = find(data, marker)
    at = start + offset
    return data[:at] + replacement + data[at + len(replacement) :]


def adobe(transform):
    return segment(APP14, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


def encodings():
    exif = Image.Exif()
    for orientation in (1, 3, 6, 8):
        exif[0x0112] = orientation
        yield f"exif-orientation-{orientation}", jpeg(exif=exif)
    for subsampling in (0, 1, 2):
        for size in ((61, 47), (1, 1), (16, 16), (17, 33), (3, 200)):
            yield f"subsampling-{subsampling}-{size[0]}x{size[1]}", jpeg(picture(*size), subsampling=subsampling)
    yield "progressive", jpeg(progressive=True)
    yield "progressive-grey", jpeg(picture().convert("L"), progressive=True)
    yield "progressive-cmyk", jpeg(picture().convert("CMYK"), progressive=True)
    yield "optimised-tables", jpeg(optimize=True)
    yield "quality-1", jpeg(quality=1)
    yield "quality-100", jpeg(quality=100, subsampling=0)
    yield "restart-every-block", jpeg(restart_marker_blocks=1)
    yield "restart-every-row", jpeg(restart_marker_rows=1)
    yield "grey", jpeg(picture().convert("L"))
    yield "rgb-kept", jpeg(keep_rgb=True)
    yield "comment", jpeg(comment=b"x" * 60000)
    yield "cmyk", jpeg(picture().convert("CMYK"))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield "colour-profile", jpeg(icc_profile=profile)
    yield "colour-profile-in-parts", jpeg(icc_profile=profile * 100)
    yield "two-pictures", saved(picture(), "MPO", save_all=True, append_images=[picture(30, 20)])


def colours():
    inks = jpeg(picture().convert("CMYK"))
    yield "cmyk-without-app14", without(inks, APP14)
    yield "cmyk-fill-bytes-before-app14", before(inks, APP14, b"\xff" * 3)
    yield "cmyk-short-app14", before(without(inks, APP14), SOF0, segment(APP14, b"Adobe\0\x64"))
    yield "cmyk-app14-behind-sof", before(without(inks, APP14), DHT, adobe(0))
    yield "cmyk-other-app14", before(inks, APP14, segment(APP14, b"Ducky" + b"\0" * 20))
    for transform in (1, 2, 3):
        yield f"cmyk-transform-{transform}", patched(inks, APP14, 15, bytes([transform]))
    yield "ycck-fill-bytes", before(patched(inks, APP14, 15, b"\2"), None, b"\xff\xff")
    plain = jpeg()
    bare = without(plain, APP0)
    yield "without-app0", bare
    for transform in (0, 1, 2, 3):
        yield f"adobe-transform-{transform}", before(bare, DQT, adobe(transform))
        yield f"jfif-and-adobe-transform-{transform}", before(plain, DQT, adobe(transform))
    start, _ = find(bare, SOF0)
    for name, ids in {"rgb": b"RGB", "012": b"\0\1\2", "other": b"\7\x08\x09"}.items():
        data = bytearray(bare)
        scan, _ = find(bare, SOS)
        for index, component in enumerate(ids):
            data[start + 10 + 3 * index] = component
            data[scan + 5 + 2 * index] = component
        yield f"component-ids-{name}", bytes(data)


def headers():
    plain = jpeg()
    yield "plain", plain
    for marker, name in ((None, "everything"), (APP0, "app0"), (DQT, "dqt"), (SOF0, "sof"), (SOS, "scan")):
        yield f"fill-bytes-before-{name}", before(plain, marker, b"\xff" * 5)
        yield f"junk-before-{name}", before(plain, marker, b"junk")
    yield "junk-with-stuffed-zero", before(plain, DQT, b"a\xff\0b")
    yield "junk-with-reserved-marker", before(plain, DQT, b"\xff\x02")
    yield "tem-marker", before(plain, DQT, b"\xff\x01")
    yield "restart-marker-in-header", before(plain, DQT, b"\xff\xd3")
    yield "second-start-marker", before(plain, DQT, b"\xff\xd8")
    yield "end-marker-in-header", before(plain, DQT, b"\xff\xd9")
    yield "dnl-segment", before(plain, DQT, segment(0xDC, b"\0\x2f"))
    yield "hierarchical-segment", before(plain, DQT, segment(0xDF, b"\0"))
    yield "jpg-extension", before(plain, DQT, b"\xff\xf3")
    for length in (0, 1):
        yield f"app-length-{length}", before(plain, DQT, segment(0xE5, b"", length))
        yield f"comment-length-{length}", before(plain, DQT, segment(COM, b"", length))
        yield f"quantisation-length-{length}", before(plain, DQT, segment(DQT, b"", length))
    yield "app0-short", before(without(plain, APP0), DQT, segment(APP0, b"JFIF\0"))
    yield "app0-extension", before(plain, DQT, segment(APP0, b"JFXX\0\x10" + b"\0" * 30))
    for version in (b"\0\0", b"\2\0", b"\xff\xff"):
        yield f"jfif-version-{version[0]}", patched(plain, APP0, 9, version)
    for name, body in {
        "no-number": b"ICC_PROFILE\0",
        "number-0": b"ICC_PROFILE\0\0\1xx",
        "2-of-1": b"ICC_PROFILE\0\2\1xx",
        "1-of-3": b"ICC_PROFILE\0\1\3xx",
        "0-of-0": b"ICC_PROFILE\0\0\0",
    }.items():
        yield f"colour-profile-{name}", before(plain, DQT, segment(APP2, body))
    twice = segment(APP2, b"ICC_PROFILE\0\1\2xx") + segment(APP2, b"ICC_PROFILE\0\1\2xx")
    yield "colour-profile-part-twice", before(plain, DQT, twice)
    yield "exif-broken", before(plain, DQT, segment(APP1, b"Exif\0\0MM\0*\xff\xff\xff\xff"))
    yield "exif-twice", before(plain, DQT, segment(APP1, b"Exif\0\0MM\0*\0\0\0\x08\0\0") * 2)
    yield "photoshop-broken", before(plain, DQT, segment(0xED, b"Photoshop 3.0\0" + b"8BIM\3\xed\0\0\xff\xff"))
    yield "two-pictures-broken", before(plain, DQT, segment(APP2, b"MPF\0MM\0*\0\0\0\x08\xff\xff"))


def tables():
    plain = jpeg()
    yield "without-huffman-tables", without(plain, DHT)
    yield "without-quantisation-tables", without(plain, DQT)
    start, end = find(plain, DHT)
    yield "huffman-tables-behind-junk", before(plain, DHT, b"\xff\xff")
    yield "huffman-table-overfull", plain[: start + 5] + b"\xff" * 16 + plain[start + 21 :]
    yield "huffman-table-index-9", patched(plain, DHT, 4, b"\x09")
    yield "huffman-table-cut", plain[: start + 3] + b"\x0a" + plain[start + 4 : start + 12] + plain[end:]
    start, end = find(plain, DQT)
    wide = b"\x10" + b"".join(bytes([0, value]) for value in plain[start + 5 : start + 69])
    yield "quantisation-16-bit", plain[:start] + segment(DQT, wide) + plain[end:]
    yield "quantisation-index-7", patched(plain, DQT, 4, b"\x07")
    yield "quantisation-zero", patched(plain, DQT, 5, b"\0" * 64)
    yield "quantisation-short", plain[:start] + segment(DQT, plain[start + 4 : start + 40]) + plain[end:]
    yield "quantisation-unused", before(plain, DQT, segment(DQT, b"\3" + b"\5" * 64))
    yield "two-tables-in-a-segment", before(without(plain, DQT), SOF0, segment(DQT, b"\0" + b"\5" * 64 + b"\1" + b"\7" * 64))


def frames():
    plain = jpeg()
    for marker in (0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC8, 0xC9, 0xCA, 0xCB, 0xCF):
        yield f"frame-{marker:x}", patched(plain, SOF0, 1, bytes([marker]))
    for bits in (2, 12, 16):
        yield f"{bits}-bit", patched(plain, SOF0, 4, bytes([bits]))
    yield "height-0", patched(plain, SOF0, 5, b"\0\0")
    yield "width-0", patched(plain, SOF0, 7, b"\0\0")
    yield "taller-than-its-data", patched(plain, SOF0, 5, b"\0\x90")
    yield "wider-than-its-data", patched(plain, SOF0, 7, b"\0\x90")
    yield "lower-than-its-data", patched(plain, SOF0, 5, b"\0\x10")
    for count in (0, 1, 2, 4, 5):
        yield f"{count}-components", patched(plain, SOF0, 9, bytes([count]))
    for factors in ((0x11, 0x22, 0x22), (0x22, 0x11, 0x22), (0x41, 0x11, 0x11), (0x14, 0x11, 0x11), (0x31, 0x11, 0x11), (0x44, 0x44, 0x44), (0x00, 0x11, 0x11), (0x51, 0x11, 0x11), (0x12, 0x11, 0x11), (0x21, 0x11, 0x21)):
        data = bytearray(plain)
        start, _ = find(plain, SOF0)
        for index, factor in enumerate(factors):
            data[start + 11 + 3 * index] = factor
        yield "factors-" + "-".join(f"{factor:02x}" for factor in factors), bytes(data)
    grey = jpeg(picture().convert("L"))
    yield "grey-factors-22", patched(grey, SOF0, 11, b"\x22")
    yield "quantisation-missing-for-chroma", patched(plain, SOF0, 15, b"\3")
    yield "two-frames", before(plain, SOS, plain[slice(*find(plain, SOF0))])
    yield "frame-short", patched(plain, SOF0, 2, b"\0\x08")
    yield "without-frame", without(plain, SOF0)
    yield "without-scan", plain[: find(plain, SOS)[0]] + b"\xff\xd9"
    yield "scan-of-one-component", patched(plain, SOS, 4, b"\1")
    yield "scan-of-unknown-component", patched(plain, SOS, 5, b"\x09")
    yield "scan-with-missing-table", patched(plain, SOS, 6, b"\x33")
    end = scan_of(plain)
    yield "scan-parameters-odd", plain[: end - 3] + b"\1\x05\x11" + plain[end:]
    progressive = jpeg(progressive=True)
    end = scan_of(progressive)
    yield "progressive-parameters-odd", progressive[: end - 3] + b"\0\0\x31" + progressive[end:]


def cut():
    rows = jpeg(picture(120, 90), restart_marker_rows=1)
    scan = scan_of(rows)
    stray = rows[:scan] + re.sub(rb"(\xff[\xd0-\xd7])", lambda match: b"\x5a" + match[1], rows[scan:])
    kinds = {
        "plain": jpeg(),
        "grey": jpeg(picture().convert("L")),
        "cmyk": jpeg(picture().convert("CMYK")),
        "progressive": jpeg(picture(120, 90), progressive=True),
        "restarts": rows,
        "stray-bytes": stray,
        "version-0": patched(jpeg(), APP0, 9, b"\0\0"),
        "junk": before(jpeg(), DQT, b"junk"),
    }
    yield "stray-bytes-whole", stray
    for name, data in kinds.items():
        scan = scan_of(data)
        for percent in (20, 60, 95):
            part = data[: scan + (len(data) - scan) * percent // 100]
            yield f"{name}-cut-at-{percent}-percent", part
            yield f"{name}-cut-at-{percent}-percent-with-end-marker", part + b"\xff\xd9"
        yield f"{name}-without-end-marker", data[:-2]
        yield f"{name}-with-half-an-end-marker", data[:-1]
    plain = kinds["plain"]
    for marker, start, end in segments(plain):
        yield f"cut-in-segment-{marker:x}-at-{start}", plain[: (start + end) // 2]
        yield f"cut-behind-segment-{marker:x}-at-{start}", plain[:end]
    half = plain[: len(plain) * 3 // 4]
    yield "cut-with-zeros", half + b"\0" * 5000
    yield "cut-with-fill-bytes", half + b"\xff" * 5000
    yield "cut-and-another-picture", half + jpeg(picture(20, 20))
    yield "cut-with-start-marker", half + b"\xff\xd8"
    yield "cut-in-comment", half + segment(COM, b"short", 50000)
    yield "two-files", plain + jpeg(picture(20, 20))
    yield "garbage-behind", plain + b"garbage" * 100
    yield "garbage-in-front", b"\0" + plain
    yield "line-break-in-front", b"\r\n" + plain
    yield "header-only", plain[:4]
    yield "start-and-end", b"\xff\xd8\xff\xd9"


def broken():
    plain = jpeg(picture(120, 90))
    rows = jpeg(picture(120, 90), restart_marker_rows=1)
    progressive = jpeg(picture(120, 90), progressive=True)
    scan = scan_of(rows)
    body = rows[scan:]
    yield "restart-missing", rows[:scan] + body.replace(b"\xff\xd2", b"", 1)
    yield "restart-wrong-number", rows[:scan] + body.replace(b"\xff\xd2", b"\xff\xd5", 1)
    yield "restart-swapped", rows[:scan] + body.replace(b"\xff\xd1", b"\xff\xd9", 1)
    yield "restart-lost-rows", rows[:scan] + body[: body.index(b"\xff\xd1")] + body[body.index(b"\xff\xd3") :]
    scan = scan_of(plain)
    for marker in (0x01, 0xC4, 0xE0, 0xD8, 0xDA, 0xD0):
        yield f"marker-{marker:x}-in-scan", plain[: scan + 400] + bytes([0xFF, marker]) + plain[scan + 400 :]
    yield "filled-with-ones", plain[: scan + 300] + b"\xff\0" * 400 + plain[scan + 700 :]
    yield from damaged("scan-damaged", plain, 12, start=scan)
    yield from damaged("progressive-damaged", progressive, 12, start=scan_of(progressive))
    yield from damaged("header-damaged", plain, 40, start=2, end=scan)


def cases():
    for group in (encodings, colours, headers, tables, frames, cut, broken):
        for name, data in group():
            yield f"{name}.jpg", data
