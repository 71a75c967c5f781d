"""The graders, each in a folder of the toolchain's cache: Python programs here, and a browser, actionlint and CoreDNS.

    python -m tests.graders.tools        what `make graders` runs: make those that are not there

The pins of the Python programs (`checkov.lock`, `nca.lock`, `ci.lock`, `iam.lock`: `make lock`) agree neither with each
other nor with the house's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from isthmus.core.errors import IsthmusError
from sandbox.toolchain.packages import Packages
from tests.graders import actionlint_install, browser_install, coredns_install

HERE = Path(__file__).parent
IMAGE_TOOLS = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "bubblewrap": "bwrap"}
"""Debian packages, and a program of each."""
NAMES = ("checkov", "nca", "ci", "iam", "sbom")


def packages(name: str, locks: Path = HERE) -> Packages:
    """The environment of a grader's lock."""
    return Packages(f"grader-{name}", locks / f"{name}.lock")


def python(name: str, locks: Path = HERE) -> Path | None:
    """The Python that has a grader; None where it is not made yet."""
    return packages(name, locks).python


def install(name: str, locks: Path = HERE) -> float:
    """Make a grader's environment, whole or not at all; the seconds that it took, 0 where it is there.

    Raises `EnvironmentFault` where a package cannot be fetched or a hash differs.
    """
    return packages(name, locks).install()


def say(position: int, total: int, name: str, seconds: float, where: Path) -> None:
    """Print which of how many is ready, after how many seconds and where."""
    print(
        f"{name} ({position} of {total}): {f'made in {seconds:.0f} s, ' if seconds else ''}{where}",
        flush=True,
    )


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
    programs = {"browser": browser_install, "actionlint": actionlint_install, "coredns": coredns_install}
    steps = [
        *((name, partial(install, name), packages(name).folder) for name in NAMES),
        *((name, module.install, module.folder()) for name, module in programs.items()),
    ]
    try:
        for position, (name, make, where) in enumerate(steps, 1):
            say(position, len(steps), name, make(), where)
    except IsthmusError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
