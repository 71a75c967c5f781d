"""The programs that the sandbox runs: found on PATH, else in the user's cache, else built there from Go
modules.

    install()                     make what is missing (minutes, once)
    find("kube-apiserver")        where a program is, or None
    path_entries()                folders to put on PATH
    status()                      every tool: official, built or missing

Nothing here is imported that costs time: `find` is called by everything.
"""

from __future__ import annotations

from sandbox.toolchain.install import install
from sandbox.toolchain.lookup import ToolStatus, find, path_entries, status
from sandbox.toolchain.progress import LineProgress, Progress

__all__ = ["LineProgress", "Progress", "ToolStatus", "find", "install", "path_entries", "status"]
