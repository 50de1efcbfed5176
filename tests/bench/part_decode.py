"""Decoding and resizing alone, on one core: ours beside Pillow."""

from harness import Bench


def measure(bench: Bench) -> None:
    seconds = 0.1 if bench.quick else 1.5
    sizes = ["480x360"] if bench.quick else ["480x360", "1280x720"]
    folders = {size: bench.images(size, 12 if bench.quick else 256) for size in sizes}
    for _ in bench.rounds("decode"):
        for size, folder in folders.items():
            report = bench.worker.report(folder, "--parts", "decode", "--seconds", seconds)
            rate = next(row["images_per_second"] for row in report["decode"] if row["threads"] == 1)
            bench.results.add(f"decode/ours {size}", rate, "img/s a core")
            if not bench.quick:
                from pillow_rate import pillow_rate

                bench.results.add(f"decode/Pillow {size}", pillow_rate(folder, seconds), "img/s a core")
    for size in sizes:
        bench.results.ratio(f"decode_{size}_vs_pillow", f"decode/ours {size}", f"decode/Pillow {size}")
