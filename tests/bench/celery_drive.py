"""Sends tasks to a queue of celery_app.py, waits for all results, and prints the images or tasks per second.

    celery_drive.py embed QUEUE FOLDER ITEMS    ITEMS images a task
    celery_drive.py noop QUEUE COUNT
"""

import json
import sys
import time
from pathlib import Path

from celery import group

import celery_app

LIMIT_SECONDS = 500


def main() -> None:
    kind, queue, subject, *items = sys.argv[1:]
    if kind == "noop":
        tasks, count = [celery_app.noop.s(number) for number in range(int(subject))], int(subject)
    else:
        paths = sorted(map(str, Path(subject).glob("*.jpg")))
        size, count = int(items[0]), len(paths)
        tasks = [celery_app.embed.s(paths[first : first + size]) for first in range(0, count, size)]
    # The first result opens the connections.
    celery_app.noop.apply_async((0,), queue=queue).get(timeout=LIMIT_SECONDS)
    began = time.perf_counter()
    group(tasks).apply_async(queue=queue).get(timeout=LIMIT_SECONDS)
    seconds = time.perf_counter() - began
    print(json.dumps({"count": count, "seconds": seconds, "per_second": count / seconds}))


main()
