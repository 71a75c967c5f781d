"""The programs that the host runs for the engine, and their end: none outlives the host."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time

GRACE_S = 5.0
"""How long a program has to end by itself after SIGTERM."""


class Children:
    """Every process started through it, until it has ended. Safe to use from several threads."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(self, command: list[str], **options) -> subprocess.Popen:
        """As `Popen`, with no stdin. After `end_all` nothing starts any more: RuntimeError."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the language host is ending")
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
            self._running.add(process)
        return process

    def wait(self, process: subprocess.Popen) -> int:
        """Its exit code; negative: the signal that ended it."""
        code = process.wait()
        with self._lock:
            self._running.discard(process)
        return code

    def end(self, process: subprocess.Popen) -> None:
        """End a process and all below it: SIGTERM, and after `GRACE_S` SIGKILL."""
        import psutil

        if process.poll() is not None:
            return
        try:
            below = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return
        for member in (*below, process):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.terminate()
        until = time.monotonic() + GRACE_S
        # Our own child is waited for by Popen alone: psutil would reap it, and its exit code be lost.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        _, alive = psutil.wait_procs(below, timeout=max(0.0, until - time.monotonic()))
        for member in (*alive, process):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()

    def end_all(self) -> None:
        """End all that run, and let none start."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        threads = [threading.Thread(target=self.end, args=(process,)) for process in running]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(GRACE_S + 2)
