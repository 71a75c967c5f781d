"""Deletes old versions of an endpoint's weights from a node's disk.

A version is a folder that is named by its digest. A folder is renamed before it is deleted, so a folder with a
digest as its name is always complete. The modification time of a folder shows when it was last served.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

_HEX = re.compile(r"[0-9a-f]{64}")
_GONE, PART = ".gone-", ".part-"


def sweep(folder: Path, present: str) -> None:
    """Delete leftovers: folders of an interrupted deletion, and incomplete downloads of other versions."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        name = path.name
        if name.startswith(_GONE) or (name.startswith(PART) and name != f"{PART}{present}"):
            shutil.rmtree(path)


def keep(folder: Path, present: str, count: int) -> list[str]:
    """Delete all versions except the present one and the `count` - 1 that were served last. Returns the deleted
    names.
    """
    os.utime(folder / present)
    versions = [
        path
        for path in folder.iterdir()
        if _HEX.fullmatch(path.name) and path.name != present and path.is_dir()
    ]
    versions.sort(key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    old = versions[count - 1 :]
    for path in old:
        path.rename(folder / f"{_GONE}{path.name}")
    sweep(folder, present)
    return sorted(path.name for path in old)
