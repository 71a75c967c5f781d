"""The graders, each in a folder of the toolchain's cache: Python programs here, and a browser, actionlint and CoreDNS.

    python -m tests.graders.tools        what `make graders` runs: make those that are not there

The pins of the Python programs (`checkov.lock`, `nca.lock`, `ci.lock`, `iam.lock`: `make lock`) agree neither with each
other nor with the house's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from isthmus.core.errors import EnvironmentFault, IsthmusError
from sandbox.toolchain import cache
from tests.graders import actionlint_install, browser_install, coredns_install

HERE = Path(__file__).parent
IMAGE_TOOLS = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "bubblewrap": "bwrap"}
"""Debian packages, and a program of each."""
NAMES = ("checkov", "nca", "ci", "iam", "sbom")


def folder(name: str, locks: Path = HERE) -> Path:
    """Where a grader of this lock, for this Python, is or will be."""
    lock = hashlib.sha256((locks / f"{name}.lock").read_bytes()).hexdigest()[:8]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return cache.root() / f"grader-{name}-{lock}-py{python}-{cache.machine()}"


def python(name: str, locks: Path = HERE) -> Path | None:
    """The Python that has a grader; None where it is not made yet."""
    path = folder(name, locks) / "bin" / "python"
    return path if path.exists() else None


def install(name: str, locks: Path = HERE) -> float:
    """Make a grader's environment, whole or not at all; the seconds that it took, 0 where it is there.

    Raises `EnvironmentFault` where pip cannot get a package or a hash differs.
    """
    target, began = folder(name, locks), time.monotonic()
    with cache.exclusive(target, f"another run is making {name}; waiting for it", print):
        if python(name, locks):
            return 0
        with cache.fill_folder(target) as filling:
            _run(name, [sys.executable, "-m", "venv", str(filling)])
            # Wheels only: nothing of a grader runs while it is installed. Nor are scripts started, which would name
            # the folder's temporary name: `python -m` needs none.
            pip = [
                str(filling / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]
            lock = str(locks / f"{name}.lock")
            _run(name, [*pip, "--require-hashes", "--only-binary", ":all:", "-r", lock])
    return time.monotonic() - began


def _run(name: str, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        output = " ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise EnvironmentFault(
            f"the grader {name} could not be installed: {output[-500:]}",
            where=str(folder(name)),
            fix="The package index must be reachable; run `make graders` again",
        )


def _say(name: str, seconds: float, where: Path) -> None:
    print(f"{name}: {f'made in {seconds:.0f} s, ' if seconds else ''}{where}")


def install_image_tools() -> str:
    """Install what builds and runs the edge's images, where this is root on Debian; what became of it, in words."""
    missing = [package for package, program in IMAGE_TOOLS.items() if shutil.which(program) is None]
    if not missing:
        return "there"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"not installed, so the tests of the images are skipped: apt-get install {' '.join(missing)}"
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        done = subprocess.run(["apt-get", *command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return (
                f"apt-get {command[0]} failed, so the tests of the images are skipped: {done.stderr[-200:]}"
            )
    return f"installed {' '.join(missing)}"


def main() -> int:
    print(f"image tools: {install_image_tools()}")
    try:
        for name in NAMES:
            seconds = install(name)
            _say(name, seconds, folder(name))
        programs = (
            ("browser", browser_install),
            ("actionlint", actionlint_install),
            ("coredns", coredns_install),
        )
        for name, program_ in programs:
            _say(name, program_.install(), program_.folder())
    except IsthmusError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
