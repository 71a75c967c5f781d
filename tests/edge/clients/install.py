"""Installs the clients that applications use from their registries, each into its own folder of the cache.

    python -m tests.edge.clients.install        installs missing clients; `make graders` runs it too

The Python clients (`*.lock`: `make lock`) have conflicting dependencies, so each has an environment of its own.
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
from tests.graders.browser_install import NPM_CI, run_node

HERE = Path(__file__).parent
NAMES = ("langchain", "llamaindex", "instructor", "litellm", "agents")
"""Python clients, by the names of their locks."""
NODE = HERE / "node"


def python(name: str) -> Path | None:
    """Path of the Python with a client installed. None: not installed yet."""
    return tools.python(name, HERE)


def node_folder() -> Path:
    """Folder of the clients for Node."""
    digest = hashlib.sha256((NODE / "package-lock.json").read_bytes()).hexdigest()[:8]
    return cache.root() / f"clients-node-{digest}-{cache.machine()}"


def install_node() -> float:
    """Install the clients for Node, completely or not at all. Returns the seconds it took; 0 if they exist.

    `npm ci` installs what the lock names with its hashes, and runs no scripts of packages. Raises EnvironmentFault.
    """
    target, began = node_folder(), time.monotonic()
    with cache.exclusive(target, "another run installs the clients for Node; waiting for it", print):
        if target.exists():
            return 0
        with cache.fill_folder(target) as folder:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(NODE / name, folder / name)
            run_node([*NPM_CI], folder, "the clients for Node")
    return time.monotonic() - began


def main() -> int:
    """Install every client. An error is one paragraph, with exit code 3."""
    try:
        total = len(NAMES) + 1
        for position, name in enumerate(NAMES, 1):
            seconds = tools.install(name, HERE)
            tools.say(position, total, name, seconds, tools.packages(name, HERE).folder)
        tools.say(total, total, "node", install_node(), node_folder())
    except IsthmusError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
