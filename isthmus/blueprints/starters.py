"""Commented requirements to start from, one for each industry.

The files in `starter_files/` have the keys and the values. The comments are the descriptions of the JSON Schema, each
above the first key that it describes.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.contracts import json_schemas
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from isthmus.core.validation_errors import known_names
from isthmus.core.yaml_documents import PathOf

FOLDER = Path(__file__).with_name("starter_files")
_ENDING = ".requirements.yaml"
_WIDTH = 110
_MANY = 12
"""Names from which a list of all of them is too long for a comment."""
_INTRODUCTION = """
Every figure is an example: loads, scores, prices and addresses. Replace them by your own.
`isthmus plan FILE` makes a plan of this file, and names everything that is missing or wrong.
docs/requirements-reference.md explains every key, also those that are absent here.
"""


@dataclass(frozen=True)
class Starter:
    """A file to start from."""

    industry: str
    summary: str
    """What it describes, in a sentence: the first line of its file."""


def starters() -> list[Starter]:
    """Every starter, by the industry's name."""
    return [
        Starter(path.name.removesuffix(_ENDING), path.read_text("utf-8").splitlines()[0].removeprefix("# "))
        for path in sorted(FOLDER.glob(f"*{_ENDING}"))
    ]


def text(industry: str) -> str:
    """The commented requirements of an industry. Raises `InputError` for an unknown one."""
    names = [starter.industry for starter in starters()]
    if industry not in names:
        raise InputError(
            f"there is no starter for `{industry}`", where="INDUSTRY", fix=known_names(industry, names)
        )
    source = (FOLDER / f"{industry}{_ENDING}").read_text("utf-8")
    document = yaml_files.loads(source)
    comments: dict[int, list[str]] = {}
    for path, words in _parts(document.data, json_schemas.schema("requirements")):
        _comment(path, words, document.key_lines, comments)
    lines: list[str] = [f"# {yaml_files.schema_header('../docs/schemas/requirements.json')}"]
    for number, line in enumerate(source.splitlines(), 1):
        indent = re.match(r" *", line)
        lines += [f"{indent[0] if indent else ''}# {comment}" for comment in comments.get(number, [])]
        lines.append(line)
        if number == 1:
            lines += [*(f"# {part}".rstrip() for part in _INTRODUCTION.splitlines()), ""]
    return "\n".join(lines) + "\n"


_Described = tuple[PathOf, str]
"""The path of a key in the file, and the description of its property."""


def _parts(data: Any, body: Mapping[str, Any]) -> Iterator[_Described]:
    """The first key of each property that the file uses, in the file's order."""
    parts = json_schemas.parts(body)
    seen: set[tuple[str, str]] = set()

    def visit(value: Any, title: str | None, path: PathOf) -> Iterator[_Described]:
        if not isinstance(value, dict) or title is None:
            return
        for key, inner in value.items():
            schema = parts[title]["properties"][key]
            if (title, key) not in seen:
                seen.add((title, key))
                yield (*path, key), _words(schema)
            for index, item in enumerate(inner if isinstance(inner, list) else [inner]):
                place = (*path, key, index) if isinstance(inner, list) else (*path, key)
                yield from visit(item, _title(schema, item, parts), place)

    yield from visit(data, "", ())


def _title(schema: Mapping[str, Any], value: Any, parts: Mapping[str, Any]) -> str | None:
    """The part that a value is; of two kinds of sites, the one that its `kind` names. None if it is no part."""
    holder = schema.get("items", schema)
    branches = [holder, *holder.get("anyOf", []), *holder.get("oneOf", [])]
    titles = [branch["$ref"].rpartition("/")[2] for branch in branches if "$ref" in branch]
    kind = value.get("kind") if isinstance(value, dict) else None
    of_kind = [
        title for title in titles if parts[title]["properties"].get("kind", {}).get("const", kind) == kind
    ]
    return next(iter(of_kind), None)


def _words(schema: Mapping[str, Any]) -> str:
    """The description of a property, and the names to choose from."""
    names = schema.get("enum", [])
    choice = f" One of: {', '.join(names)}." if 1 < len(names) <= _MANY else ""
    return f"{schema['description']}{choice}"


def _comment(
    path: PathOf, words: str, key_lines: Mapping[PathOf, int], comments: dict[int, list[str]]
) -> None:
    """Add a comment above a key. Keys on one line, and the first key of a list's item, share the line above."""
    line = key_lines[path]
    prefix = f"{path[-1]}: " if comments.get(line) else ""
    comments.setdefault(line, []).extend(textwrap.wrap(prefix + words, _WIDTH - 4 * len(path)))
