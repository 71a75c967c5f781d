"""Caches what was last read or assembled in this process, as long as its source files are unchanged.

A command and the program that it runs read the same platform, which can take seconds. Cached values are frozen.
Errors are not cached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")
Stamp = tuple[tuple[str, int, int], ...]

_CACHE: dict[str, tuple[Any, Any]] = {}
"""By kind: the source of the last value, and the value."""


def once(kind: str, source: Any, make: Callable[[], Value]) -> Value:
    """The cached value of a kind if its source is unchanged; otherwise the result of `make`, which is cached."""
    cached = _CACHE.get(kind)
    if cached is not None and cached[0] == source:
        return cached[1]
    value = make()
    _CACHE[kind] = source, value
    return value


def stamp(paths: Iterable[Path]) -> Stamp:
    """Name, modification time and size of files and of the files directly in folders; missing paths are skipped."""
    stamps: list[tuple[str, int, int]] = []
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.is_file():
                status = file.stat()
                stamps.append((str(file), status.st_mtime_ns, status.st_size))
    return tuple(stamps)
