"""Ends the host when the engine is gone: a killed engine must leave no program behind that still makes
resources."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

EVERY_S = 1.0
MISSES = 3
"""So many refused connections in a row, EVERY_S apart, mean that the engine is gone; one may be a busy
moment."""


class Guard:
    """Watches the parent process and the engine's address; calls `gone` once."""

    def __init__(self, gone: Callable[[], None], every: float = EVERY_S) -> None:
        self.gone = gone
        self.every = every
        self.engine: str | None = None
        """host:port; None or empty: only the parent is watched."""
        self._parent = os.getppid()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="engine guard", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()

    def _watch(self) -> None:
        misses = 0
        while not self._over.wait(self.every):
            misses = 0 if answers(self.engine) else misses + 1
            if os.getppid() != self._parent or misses >= MISSES:
                self.gone()
                return


def answers(address: str | None) -> bool:
    """Does anyone listen at host:port? True where there is no address of that shape to ask."""
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdigit():
        return True
    try:
        with socket.create_connection((host, int(port)), timeout=2):
            return True
    except ConnectionRefusedError:
        return False
    except OSError:
        return True  # slow is not gone
