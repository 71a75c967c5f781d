"""Reads the files that review desks of a stack's overrides name: guidelines and planted answers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from isthmus.blueprints import named_files
from isthmus.core.errors import InputError, Where

_FIXES = {
    "guidelines": "Write the guideline in Markdown there, or write `text` in place of `file` and `digest`",
    "planted": "Write the planted answers there (docs/desk.md#planted-answers)",
}
"""Lists of a desk with files: what to do if one cannot be read."""


def fill(merged: dict[str, Any], folder: Path, overrides_file: str) -> dict[str, Any]:
    """The merged platform with the text of each file that a desk names.

    Raises `InputError` for a file that is missing or is no text.
    """
    if not any(list(_lists(gateway)) for gateway in named_files.mappings(merged.get("gateways"))):
        return merged
    gateways = [_with_texts(gateway, folder, overrides_file) for gateway in merged["gateways"]]
    return {**merged, "gateways": gateways}


def paths(overrides: dict[str, Any], folder: Path) -> list[Path]:
    """Paths of the files that overrides name. The files may be missing."""
    return named_files.paths(
        (
            entry
            for gateway in named_files.mappings(overrides.get("gateways"))
            for _, entries in _lists(gateway)
            for entry in named_files.mappings(entries)
        ),
        folder,
    )


def _with_texts(gateway: Any, folder: Path, overrides_file: str) -> Any:
    for key, entries in _lists(gateway):
        reviews, desk = gateway["reviews"], gateway["reviews"]["desk"]
        path = f"gateways[{gateway.get('name')}].reviews.desk.{key}"
        filled = named_files.with_texts(entries, folder, partial(_read, _FIXES[key]), overrides_file, path)
        gateway = {**gateway, "reviews": {**reviews, "desk": {**desk, key: filled}}}
    return gateway


def _read(fix: str, file: Path, where: Where) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", where=where, fix=fix) from None
    except ValueError:
        raise InputError(f"{file} is no text in UTF-8", where=where, fix=fix) from None


def _lists(gateway: Any) -> Iterator[tuple[str, list[Any]]]:
    """The lists of a gateway's desk whose entries may name files."""
    desk: Any = gateway
    for key in ("reviews", "desk"):
        desk = desk.get(key) if isinstance(desk, dict) else None
    for key in _FIXES:
        entries = desk.get(key) if isinstance(desk, dict) else None
        if isinstance(entries, list) and entries:
            yield key, entries
