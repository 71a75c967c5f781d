"""Finds the tools that the clusters and the Pulumi engine need."""

from __future__ import annotations

from pathlib import Path

from isthmus.core.errors import EnvironmentFault
from sandbox.cluster.kwok import BINARIES
from sandbox.toolchain import find

ENGINE = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-kubernetes")
"""Programs that `pulumi up` of a Python program on Kubernetes needs."""


def find_tools() -> dict[str, Path | None]:
    """Return the path of every tool by name. None: the tool was not found."""
    return {name: find(name) for name in (*BINARIES, *ENGINE)}


def find_cluster_tools() -> dict[str, Path]:
    """Return the paths of a cluster's programs. Raises `EnvironmentFault` if one is missing."""
    paths = {name: find(name) for name in BINARIES}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise EnvironmentFault(
            f"programs for the clusters are not installed: {', '.join(missing)}",
            fix="Run `isthmus sandbox install` first",
        )
    return {name: path for name, path in paths.items() if path is not None}
