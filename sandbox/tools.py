"""The tools that the sandbox and the engine need, where they are."""

from __future__ import annotations

from pathlib import Path

from isthmus.core.errors import EnvironmentFault
from sandbox.cluster.kwok import BINARIES
from sandbox.toolchain import find

ENGINE = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-kubernetes")
"""What `pulumi up` of a Python program on Kubernetes needs."""


def tools() -> dict[str, Path | None]:
    """Every tool by name, and where it is."""
    return {name: find(name) for name in (*BINARIES, *ENGINE)}


def cluster_tools() -> dict[str, Path]:
    """The binaries of a cluster; a missing one is an `EnvironmentFault`."""
    found = {name: find(name) for name in BINARIES}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise EnvironmentFault(
            f"the toolchain lacks {', '.join(missing)}", fix="Run `isthmus sandbox install` first"
        )
    return {name: path for name, path in found.items() if path is not None}
