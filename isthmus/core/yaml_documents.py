"""A parsed YAML document, and the file, line and path of each of its values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from isthmus.core.errors import Where

PathOf = tuple[str | int, ...]
"""The path to a value: keys of mappings and indices of lists."""


def dotted(data: Any, path: PathOf) -> str:
    """The path as errors print it: `workloads[kyc-extraction].model.candidates[0].scores`.

    A list item is shown by its `name` or `id` if it has one, else by its index.
    """
    text = ""
    for part in path:
        item: Any = None
        if isinstance(data, dict):
            item = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and 0 <= part < len(data):
            item = data[part]
        if isinstance(part, int):
            mapping = item if isinstance(item, dict) else {}
            name = mapping.get("name") or mapping.get("id")
            text += f"[{name if isinstance(name, str) else part}]"
        else:
            text += f".{part}" if text else str(part)
        data = item
    return text


@dataclass
class Document:
    """A parsed YAML file, or data from another source (then without line numbers)."""

    data: dict[str, Any]
    file: str | None = None
    lines: dict[PathOf, int] = field(default_factory=dict)
    """First line of the value at each path, from 1."""
    key_lines: dict[PathOf, int] = field(default_factory=dict)
    """Line of the key that leads to each path."""

    def line(self, path: PathOf, *, key: bool = False) -> int | None:
        """Line of the value at `path` (or of its key); if unknown, the line of the nearest known parent."""
        table = self.key_lines if key else self.lines
        for end in range(len(path), -1, -1):
            line = table.get(path[:end]) or self.lines.get(path[:end])
            if line:
                return line
        return None

    def where(self, path: PathOf = (), *, key: bool = False) -> Where:
        """The place of the value at `path`, for an error."""
        return Where(self.file, self.line(path, key=key), dotted(self.data, path) or None)
