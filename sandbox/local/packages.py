"""Python packages of programs that run here beside ours, each lock in an environment of its own in the cache."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from isthmus.core.errors import EnvironmentFault
from sandbox.toolchain import cache

OPTIONS = ("--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:")


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

    def install(self) -> float:
        """Install the packages, whole or not at all. Returns the seconds that it took, 0 if they are there.

        Raises `EnvironmentFault` if pip cannot get a package or a hash differs.
        """
        target, began = self.folder, time.monotonic()
        if self.program("python").exists():  # in an image nothing may be written there, not even a lock
            return 0.0
        with cache.exclusive(target, f"another run is installing {self.name}; waiting for it", print):
            if self.program("python").exists():
                return 0.0
            with cache.fill_folder(target) as filling:
                _run([sys.executable, "-m", "venv", str(filling)], self.name, target)
                python = str(filling / "bin" / "python")
                command = [python, "-m", "pip", "install", *OPTIONS, "--no-deps", "-r", str(self.lock)]
                _run(command, self.name, target)
        return time.monotonic() - began


def download(folder: Path, lock: Path, name: str) -> None:
    """Fetch the wheels of a lock into a folder. Raises `EnvironmentFault`."""
    command = [sys.executable, "-m", "pip", "download", *OPTIONS, "--no-deps"]
    _run([*command, "-d", str(folder), "-r", str(lock)], name, folder)


def _run(command: list[str], name: str, where: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        output = " ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise EnvironmentFault(
            f"{name} could not be installed: {output[-500:]}",
            where=str(where),
            fix="The package index must be reachable; run the command again",
        )
