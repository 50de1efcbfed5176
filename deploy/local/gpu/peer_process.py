"""A process of peer.py, which prepares variants in the background and then measures them in rounds."""

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path


class PeerProcess:
    def __init__(self, name, variants, batches, folder, arguments):
        self.name = name
        self.about = None
        self.log = folder / f"{name}.log"
        command = [sys.executable, str(Path(__file__).with_name("peer.py")), "--variants", variants, "--batches", batches, *arguments]
        # Several processes compile at the same time, each into a cache of its own.
        self.cache = f"{tempfile.gettempdir()}/inductor-{os.getpid()}-{name}"
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": self.cache, "TORCHINDUCTOR_COMPILE_THREADS": "4"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(self.log, "w"), text=True, env=environment
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def answer(self, limit):
        try:
            line = self.lines.get(timeout=max(limit, 0.01))
        except queue.Empty:
            raise RuntimeError(f"{self.name} did not answer within {limit:.0f} s: {self.tail()}") from None
        if line is None:
            self.lines.put(None)
            raise RuntimeError(f"{self.name} has ended: {self.tail()}")
        return json.loads(line)

    def wait(self, until):
        """Waits until the process is ready, or until a time of `time.monotonic`."""
        if self.about is None:
            self.about = self.answer(until - time.monotonic())

    def rates(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.answer(40)

    def tail(self):
        return self.log.read_text()[-1200:]

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.cache, ignore_errors=True)
