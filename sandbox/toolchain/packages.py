"""Python packages that run beside ours, each lock in an environment of its own in the cache."""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from isthmus.core.errors import EnvironmentFault
from sandbox.toolchain import cache, install_lock


@dataclass(frozen=True)
class Packages:
    """The packages of a lock."""

    name: str
    """Name of the environment, and of what is installed in messages."""
    lock: Path

    @property
    def folder(self) -> Path:
        """The folder of the environment, there or not."""
        digest = hashlib.sha256(self.lock.read_bytes()).hexdigest()[:8]
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        return cache.root() / f"{self.name}-{digest}-py{python}-{cache.machine()}"

    def program(self, name: str) -> Path:
        """A program of the environment."""
        return self.folder / "bin" / name

    @property
    def python(self) -> Path | None:
        """The environment's Python. None: not installed yet."""
        path = self.program("python")
        return path if path.exists() else None

    def install(self) -> float:
        """Install the packages, whole or not at all. Returns the seconds that it took, 0 if they are there.

        Raises `EnvironmentFault` if a package cannot be fetched, a hash differs, or they do not agree.
        """
        target, began = self.folder, time.monotonic()
        if self.python:  # in an image nothing may be written there, not even a lock
            return 0.0
        with cache.exclusive(target, f"another run is installing {self.name}; waiting for it", print):
            if self.python:
                return 0.0
            with cache.fill_folder(target) as filling:
                try:
                    install_lock.install(self.lock, filling)
                except install_lock.NotInstalled as error:
                    raise EnvironmentFault(error.problem, where=self.name, fix=error.fix) from None
        return time.monotonic() - began


def download(folder: Path, lock: Path, name: str) -> None:
    """Fetch the wheels of a lock into a folder. Raises `EnvironmentFault`."""
    try:
        install_lock.download(lock, folder)
    except install_lock.NotInstalled as error:
        raise EnvironmentFault(error.problem, where=name, fix=error.fix) from None
