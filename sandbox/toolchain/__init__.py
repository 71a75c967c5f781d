"""Finds the programs that the sandbox runs: on PATH, in the user's cache, or built into the cache from Go modules.

    install()                     install missing programs (minutes, once)
    find("kube-apiserver")        path of a program, or None
    path_entries()                folders to put on PATH
    status()                      every program: official, downloaded, built or missing

Imports are kept fast, since many commands call `find`.
"""

from __future__ import annotations

from sandbox.toolchain.install import install
from sandbox.toolchain.lookup import ToolStatus, find, path_entries, status
from sandbox.toolchain.progress import LineProgress, Progress

__all__ = ["LineProgress", "Progress", "ToolStatus", "find", "install", "path_entries", "status"]
