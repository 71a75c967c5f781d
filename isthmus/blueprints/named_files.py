"""Files of a stack's folder that entries of its overrides name: their paths, and the entries with their texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from isthmus.core.errors import Where


def paths(entries: Iterable[dict[str, Any]], folder: Path) -> list[Path]:
    """Paths of the files that entries name. The files may be missing."""
    files = [entry.get("file") for entry in entries]
    return [folder / file for file in files if isinstance(file, str)]


def with_texts(
    entries: list[Any], folder: Path, read: Callable[[Path, Where], str], overrides_file: str, path: str
) -> list[Any]:
    """The entries, each that names a file with its text. `path`: of the entries, for messages of `read`."""
    return [
        {
            **entry,
            "text": read(
                folder / entry["file"],
                Where(overrides_file, None, f"{path}[{entry.get('name') or entry.get('domain')}]"),
            ),
        }
        # Validation reports elements of the wrong type.
        if isinstance(entry, dict) and isinstance(entry.get("file"), str)
        else entry
        for entry in entries
    ]


def mappings(value: Any) -> list[dict[str, Any]]:
    """The mappings of a list; none of what is no list."""
    return [element for element in value if isinstance(element, dict)] if isinstance(value, list) else []
