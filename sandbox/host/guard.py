"""Ends the host when the engine has ended, so that no program of a killed engine goes on creating resources."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

INTERVAL_S = 1.0
MAX_MISSES = 3
"""Refused connections in a row, INTERVAL_S apart, after which the engine counts as ended. One may be a busy moment."""


class Guard:
    """Watches the parent process and the engine's address. Calls `on_engine_gone` once."""

    def __init__(self, on_engine_gone: Callable[[], None], interval_s: float = INTERVAL_S) -> None:
        self.on_engine_gone = on_engine_gone
        self.interval_s = interval_s
        self.engine: str | None = None
        """Address `host:port` of the engine. None or empty: only the parent process is watched."""
        self._parent = os.getppid()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="engine guard", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def _watch(self) -> None:
        misses = 0
        while not self._stopping.wait(self.interval_s):
            misses = 0 if is_listening(self.engine) else misses + 1
            if os.getppid() != self._parent or misses >= MAX_MISSES:
                self.on_engine_gone()
                return


def is_listening(address: str | None) -> bool:
    """Return False if nothing listens at `host:port`. An address of another form counts as listening."""
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdigit():
        return True
    try:
        with socket.create_connection((host, int(port)), timeout=2):
            return True
    except ConnectionRefusedError:
        return False
    except OSError:
        return True  # a timeout means slow, not ended
