"""What scale.sh needs a language for: a large dataset of links, a measured submission, and the table.

    scale.py dataset SEED FOLDER ITEMS rows|listing     links ITEMS names to the thumbnails of the dataset SEED
    scale.py measure FOLDER ITEMS OUT NAME=PID…         embeds FOLDER and writes what it took to OUT
    scale.py table OUT…                                 prints the measurements side by side
"""

import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.request

LINKS_A_FOLDER = 1000
LOOK_EVERY = 0.1
MIB = 2**20


def dataset(seed, folder, items, form):
    seed, folder, items = pathlib.Path(seed), pathlib.Path(folder), int(items)
    thumbnails = sorted((seed / "thumbnails").iterdir())
    folder.mkdir(parents=True)
    with open(folder / ("metadata.jsonl" if form == "rows" else ".rows"), "w") as rows:
        for number in range(items):
            below = f"thumbnails/{number // LINKS_A_FOLDER:05}"
            if number % LINKS_A_FOLDER == 0:
                (folder / below).mkdir(parents=True)
            video = f"v{number:010}"
            name = f"{below}/{video}.jpg"
            # ext4 takes 65,000 links to one file: a hundred thumbnails carry 6.5 million.
            os.link(thumbnails[number % len(thumbnails)], folder / name)
            row = {
                "file_name": name,
                "video_id": video,
                "title": f"The {number}th way to make a thumbnail that nobody can pass over",
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
    """Peak and current resident bytes of a process; nothing when it has ended."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    if "VmHWM" not in fields:
        return None
    return tuple(int(fields[field].split()[0]) * 1024 for field in ("VmHWM", "VmRSS"))


def forget_peak(pid):
    """Makes the peak of a process what it holds now."""
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def redis(*commands):
    """The replies to commands of one line each."""
    text = "\n".join(commands) + "\n"
    call = ["redis-cli", "-u", os.environ["SUBWATCH_REDIS_URL"], "--raw"]
    done = subprocess.run(call, input=text, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def used_memory():
    info = dict(line.split(":", 1) for line in redis("INFO memory") if ":" in line)
    return int(info["used_memory"])


def memory_of(pattern):
    """Bytes of the keys that match, as Redis counts them."""
    call = ["redis-cli", "-u", os.environ["SUBWATCH_REDIS_URL"], "--raw", "--scan", "--pattern", pattern]
    keys = subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines()
    return sum(map(int, redis(*(f'MEMORY USAGE "{key}" SAMPLES 0' for key in keys)))) if keys else 0


def newest_submission():
    # No proxy stands between this machine and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(os.environ["SUBWATCH_URL"] + "/v1/submissions?limit=1", timeout=30) as answer:
        return json.load(answer)["items"][0]


def measure(folder, items, out, *processes):
    pids = {name: int(pid) for name, pid in (process.split("=") for process in processes)}
    redis_before = used_memory()
    cpu_before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    # Loading a model takes more memory than working with it.
    for pid in pids.values():
        forget_peak(pid)
    idle = {name: status_of(pid)[0] for name, pid in pids.items()}
    began = time.monotonic()
    command = ["target/release/subwatch", "-o", "json", "embed", folder]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, prepared, said = {}, None, began
    while client.poll() is None:
        peak["cli"] = (status_of(client.pid) or (peak.get("cli", 0),))[0]
        now = time.monotonic()
        if prepared is None and now - began > LOOK_EVERY and newest_submission()["items"] > 0:
            prepared = now - began
        if now - said >= 30:
            said, seen = now, newest_submission()
            print(f"{seen['succeeded']} of {seen['items']} items, {now - began:.0f} s", file=sys.stderr)
        time.sleep(LOOK_EVERY)
    report = json.loads(client.stdout.read())
    if client.returncode != 0 or report["succeeded"] != int(items):
        sys.exit(f"'{' '.join(command)}' ended with status {client.returncode}: {report}")
    peak |= {name: status_of(pid)[0] for name, pid in pids.items()}
    record = f"*submission:{{{report['submission']}}}"
    found = {
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
    pathlib.Path(out).write_text(json.dumps(found, indent=1) + "\n")


def table(*files):
    columns = [json.loads(pathlib.Path(file).read_text()) for file in files]

    def row(what, value, form=",.0f"):
        print(f"{what:<34}" + "".join(f"{format(value(column), form):>14}" for column in columns))

    row("items", lambda c: c["items"])
    row("jobs", lambda c: c["jobs"])
    row("seconds to prepare", lambda c: c["prepared"], ".1f")
    row("seconds in all", lambda c: c["seconds"], ".1f")
    row("items a second", lambda c: c["items"] / c["seconds"])
    row("jobs a second", lambda c: c["jobs"] / c["seconds"], ".1f")
    for name in columns[0]["peak"]:
        row(f"peak memory of {name}, MiB", lambda c: c["peak"][name] / MIB, ".1f")
    for name in columns[0]["idle"]:
        row(f"  of that before, {name}", lambda c: c["idle"][name] / MIB, ".1f")
    for name in columns[0]["cpu"]:
        row(f"CPU of {name}, µs an item", lambda c: c["cpu"][name] * 1e6 / c["items"], ".1f")
    row("growth of Redis, MiB", lambda c: c["redis"] / MIB, ".1f")
    row("  bytes an item", lambda c: c["redis"] / c["items"])
    for what, keys in (
        ("results", ("results",)),
        ("catalogue: videos", ("videos",)),
        ("catalogue: images", ("images",)),
        ("marks of jobs", ("marks",)),
    ):
        row(f"    {what}", lambda c: sum(c[key] for key in keys) / c["items"], ".1f")
    if len(columns) > 1:
        small, large = columns[0], columns[-1]
        print()
        for name in small["peak"]:
            grown = large["peak"][name] - small["peak"][name]
            more = large["items"] - small["items"]
            print(f"{name} grew by {grown / MIB:.1f} MiB for {more:,} items more: {grown / more:.1f} bytes an item")


if __name__ == "__main__":
    {"dataset": dataset, "measure": measure, "table": table}[sys.argv[1]](*sys.argv[2:])
