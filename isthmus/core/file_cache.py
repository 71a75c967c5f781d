"""What was read or assembled a moment ago in this process, for as long as every file that it was made from is the same.

A command and the program that it runs ask for one platform, a layer of an estate for that of all its siblings; a large
one takes seconds to read. What is remembered is frozen; a fault never is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

Made = TypeVar("Made")
Stamp = tuple[tuple[str, int, int], ...]

_LAST: dict[str, tuple[Any, Any]] = {}
"""By kind: what the last one was made from, and that one."""


def once(kind: str, of: Any, make: Callable[[], Made]) -> Made:
    """The last of a kind where it was made of the same, else what `make` makes now."""
    found = _LAST.get(kind)
    if found is not None and found[0] == of:
        return found[1]
    made = make()
    _LAST[kind] = of, made
    return made


def stamp(paths: Iterable[Path]) -> Stamp:
    """Name, time and size of files, and of those right in folders; a path that is not there has none."""
    found: list[tuple[str, int, int]] = []
    for path in paths:
        for each in sorted(path.iterdir()) if path.is_dir() else [path]:
            if each.is_file():
                said = each.stat()
                found.append((str(each), said.st_mtime_ns, said.st_size))
    return tuple(found)
