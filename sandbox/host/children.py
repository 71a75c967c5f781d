"""Starts the programs that the host runs for the engine, and ends all of them with the host."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time

GRACE_S = 5.0
"""Seconds that a program has to end after SIGTERM, before SIGKILL."""


class Children:
    """The processes that were started through it and still run. Thread-safe."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(self, command: list[str], **options) -> subprocess.Popen:
        """Start a process with the options of `Popen`, without stdin. Raises `RuntimeError` after `end_all`."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the language host is ending")
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
            self._running.add(process)
        return process

    def wait(self, process: subprocess.Popen) -> int:
        """Wait for a process and return its exit code. A negative code is the signal that ended it."""
        code = process.wait()
        with self._lock:
            self._running.discard(process)
        return code

    def end(self, process: subprocess.Popen) -> None:
        """End a process and its descendants by SIGTERM, and after `GRACE_S` by SIGKILL."""
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
        # Only Popen waits for the child itself: psutil would reap it, and the exit code would be lost.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        _, alive = psutil.wait_procs(below, timeout=max(0.0, until - time.monotonic()))
        for member in (*alive, process):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()

    def end_all(self) -> None:
        """End all running processes and start no more."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        threads = [threading.Thread(target=self.end, args=(process,)) for process in running]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(GRACE_S + 2)
