"""Helpers of scale.sh: makes a large dataset of links, measures a submission, and prints the table.

    scale.py dataset SEED FOLDER ITEMS rows|listing     links ITEMS names to the thumbnails of the dataset SEED
    scale.py measure FOLDER ITEMS OUT NAME=PID…         embeds FOLDER and writes the measurements to OUT
    scale.py table OUT…                                 prints measurements side by side
"""

import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.request

LINKS_PER_FOLDER = 1000
POLL_SECONDS = 0.1
MIB = 2**20


def dataset(seed, folder, items, form):
    seed, folder, items = pathlib.Path(seed), pathlib.Path(folder), int(items)
    thumbnails = sorted((seed / "thumbnails").iterdir())
    folder.mkdir(parents=True)
    with open(folder / ("metadata.jsonl" if form == "rows" else ".rows"), "w") as rows:
        for number in range(items):
            below = f"thumbnails/{number // LINKS_PER_FOLDER:05}"
            if number % LINKS_PER_FOLDER == 0:
                (folder / below).mkdir(parents=True)
            video = f"v{number:010}"
            name = f"{below}/{video}.jpg"
            # ext4 allows 65,000 links per file, so a hundred thumbnails are enough for 6.5 million items.
            os.link(thumbnails[number % len(thumbnails)], folder / name)
            row = {
                "file_name": name,
                "video_id": video,
                "title": f"The {number}th way to make a thumbnail that nobody can ignore",
                "channel_id": f"UC{number // 40:022}",
                "channel": f"Channel {number // 40}",
                "category": ("music", "games", "news", "sport")[number % 4],
                "subscribers": 1000 + number % 100_000,
                "views": (number * 7919) % 1_000_003,
                "published": "2020-03-01T12:00:00Z",
                "crawled_at": "2020-05-01T12:00:00Z",
            }
            rows.write(json.dumps(row) + "\n")


def status_of(pid):
    """Peak and current resident bytes of a process; None if it has ended."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    if "VmHWM" not in fields:
        return None
    return tuple(int(fields[field].split()[0]) * 1024 for field in ("VmHWM", "VmRSS"))


def reset_peak(pid):
    """Resets the peak memory of a process to its current memory."""
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def redis(*commands):
    """Runs commands and returns the lines of their replies."""
    text = "\n".join(commands) + "\n"
    call = ["redis-cli", "-u", os.environ["SUBWATCH_REDIS_URL"], "--raw"]
    done = subprocess.run(call, input=text, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def used_memory():
    info = dict(line.split(":", 1) for line in redis("INFO memory") if ":" in line)
    return int(info["used_memory"])


def memory_of(pattern):
    """Bytes of the matching keys, as counted by Redis."""
    call = ["redis-cli", "-u", os.environ["SUBWATCH_REDIS_URL"], "--raw", "--scan", "--pattern", pattern]
    keys = subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines()
    return sum(map(int, redis(*(f'MEMORY USAGE "{key}" SAMPLES 0' for key in keys)))) if keys else 0


def newest_submission():
    # Ignore proxy variables for loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(os.environ["SUBWATCH_URL"] + "/v1/submissions?limit=1", timeout=30) as answer:
        return json.load(answer)["items"][0]


def measure(folder, items, out, *processes):
    pids = {name: int(pid) for name, pid in (process.split("=") for process in processes)}
    redis_before = used_memory()
    cpu_before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    # Loading a model needs more memory than running it.
    for pid in pids.values():
        reset_peak(pid)
    idle = {name: status_of(pid)[0] for name, pid in pids.items()}
    began = time.monotonic()
    command = ["target/release/subwatch", "-o", "json", "embed", folder]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, prepared, printed = {}, None, began
    while client.poll() is None:
        peak["cli"] = (status_of(client.pid) or (peak.get("cli", 0),))[0]
        now = time.monotonic()
        if prepared is None and now - began > POLL_SECONDS and newest_submission()["items"] > 0:
            prepared = now - began
        if now - printed >= 30:
            printed, submission = now, newest_submission()
            print(f"{submission['succeeded']} of {submission['items']} items, {now - began:.0f} s", file=sys.stderr)
        time.sleep(POLL_SECONDS)
    report = json.loads(client.stdout.read())
    if client.returncode != 0 or report["succeeded"] != int(items):
        sys.exit(f"'{' '.join(command)}' ended with status {client.returncode}: {report}")
    peak |= {name: status_of(pid)[0] for name, pid in pids.items()}
    record = f"*submission:{{{report['submission']}}}"
    measured = {
        "items": report["items"],
        "cached": report["cached"],
        "jobs": -(-report["items"] // int(os.environ.get("SUBWATCH_CHUNK_ITEMS", 64))),
        "seconds": report["elapsed_seconds"],
        "prepared": prepared or report["elapsed_seconds"],
        "peak": peak,
        "idle": idle,
        "cpu": {name: cpu_seconds(pid) - cpu_before[name] for name, pid in pids.items()},
        "redis": used_memory() - redis_before,
        "results": memory_of(record + ":results"),
        "marks": memory_of(record + ":jobs"),
        "images": memory_of("*:image:{*}"),
        "videos": memory_of("*:video:{*}"),
    }
    pathlib.Path(out).write_text(json.dumps(measured, indent=1) + "\n")


def table(*files):
    columns = [json.loads(pathlib.Path(file).read_text()) for file in files]

    def row(label, value, form=",.0f"):
        print(f"{label:<34}" + "".join(f"{format(value(column), form):>14}" for column in columns))

    row("items", lambda c: c["items"])
    row("jobs", lambda c: c["jobs"])
    row("seconds to prepare", lambda c: c["prepared"], ".1f")
    row("seconds in total", lambda c: c["seconds"], ".1f")
    row("items per second", lambda c: c["items"] / c["seconds"])
    row("jobs per second", lambda c: c["jobs"] / c["seconds"], ".1f")
    for name in columns[0]["peak"]:
        row(f"peak memory of {name}, MiB", lambda c: c["peak"][name] / MIB, ".1f")
    for name in columns[0]["idle"]:
        row(f"  before the submission, {name}", lambda c: c["idle"][name] / MIB, ".1f")
    for name in columns[0]["cpu"]:
        row(f"CPU of {name}, µs per item", lambda c: c["cpu"][name] * 1e6 / c["items"], ".1f")
    row("growth of Redis, MiB", lambda c: c["redis"] / MIB, ".1f")
    row("  bytes per item", lambda c: c["redis"] / c["items"])
    for label, keys in (
        ("results", ("results",)),
        ("catalogue: videos", ("videos",)),
        ("catalogue: images", ("images",)),
        ("job status", ("marks",)),
    ):
        row(f"    {label}", lambda c: sum(c[key] for key in keys) / c["items"], ".1f")
    if len(columns) > 1:
        small, large = columns[0], columns[-1]
        print()
        for name in small["peak"]:
            grown = large["peak"][name] - small["peak"][name]
            more = large["items"] - small["items"]
            print(f"{name} grew by {grown / MIB:.1f} MiB for {more:,} more items: {grown / more:.1f} bytes per item")


if __name__ == "__main__":
    {"dataset": dataset, "measure": measure, "table": table}[sys.argv[1]](*sys.argv[2:])
