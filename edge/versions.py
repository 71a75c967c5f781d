"""Which versions of an endpoint's weights a machine keeps: its disk is no store, and somebody must make room.

Each lies in a folder named by its digest. Whatever is deleted loses its name first, so that no folder of a digest is
ever half there. A folder's time tells when it was last the one to serve.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

_HEX = re.compile(r"[0-9a-f]{64}")
_GONE, PART = ".gone-", ".part-"


def sweep(folder: Path, present: str) -> None:
    """Delete what serves nobody: what a run was about to delete, and parts of others that were never whole."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        name = path.name
        if name.startswith(_GONE) or (name.startswith(PART) and name != f"{PART}{present}"):
            shutil.rmtree(path)


def keep(folder: Path, present: str, count: int) -> list[str]:
    """Delete all but the present version and the `count` - 1 that served last; which were deleted."""
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
