"""Clients that applications use, each as it comes from its registry, in a folder of its own in the toolchain's cache.

    python -m tests.edge.clients.install        what `make graders` runs too: make those that are not there

The pins of the Python clients (`*.lock`: `make lock`) do not agree with each other.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from pathlib import Path

from isthmus.core.errors import IsthmusError
from sandbox.toolchain import cache
from tests.graders import tools
from tests.graders.browser_install import run_node

HERE = Path(__file__).parent
NAMES = ("langchain", "llamaindex", "instructor", "litellm")
"""Of Python clients, as their locks are called."""
NODE = HERE / "node"


def python(name: str) -> Path | None:
    """The Python that has a client; None where it is not installed yet."""
    return tools.python(name, HERE)


def node_folder() -> Path:
    """Where the clients for Node are or will be."""
    digest = hashlib.sha256((NODE / "package-lock.json").read_bytes()).hexdigest()[:8]
    return cache.root() / f"clients-node-{digest}-{cache.machine()}"


def install_node() -> float:
    """Install the clients for Node, whole or not at all; the seconds that it took, 0 where they are there.

    `npm ci` takes what the lock names and hashes, and runs no script of a package. Raises EnvironmentFault.
    """
    target, began = node_folder(), time.monotonic()
    with cache.exclusive(target, "another run installs the clients for Node; waiting for it", print):
        if target.exists():
            return 0
        with cache.fill_folder(target) as folder:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(NODE / name, folder / name)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            run_node(command, folder, "the clients for Node", target)
    return time.monotonic() - began


def main() -> int:
    """Install every client; an error is one paragraph, and the exit code is 3."""
    try:
        for name in NAMES:
            print(f"{name}: {tools.install(name, HERE):.0f} s, {tools.folder(name, HERE)}")
        print(f"node: {install_node():.0f} s, {node_folder()}")
    except IsthmusError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
