"""Detects changes of a file by its stamp, also through symbolic links that Kubernetes swaps."""

from __future__ import annotations

from pathlib import Path

Stamp = tuple[int, int, int]


def stamp(path: Path) -> Stamp:
    """Modification time, size and inode; two readings that differ mean another content. Raises OSError."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
