"""What differs between two values of plain data, leaf by leaf: the paths are spelt as Pulumi's providers spell them."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_STEP = re.compile(r"""\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\.?([^.\[\]]+)""")
_LONGEST = 1000
"""Lists with more elements are compared place by place: to align them would take too long."""

Difference = tuple[str, Any, Any]
"""Path, old, new; None where there is none."""


def differences(old: Any, new: Any, path: str = "") -> Iterator[Difference]:
    """Each difference once, at the deepest place that both have, in the order of the paths' own keys.

    Elements of lists are aligned, so that one more at the front is one difference. A document in JSON that is kept
    as text, as AWS keeps a policy, is looked into.
    """
    inside = _documents(old, new)
    if inside is not None:
        found = list(differences(*inside, path))
        # Another layout of the same document is a difference all the same.
        yield from found or ([(path, old, new)] if old != new else [])
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}, key=str):
            yield from differences(old.get(key), new.get(key), step(path, str(key)))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _of_lists(old, new, path)
    elif old != new or type(old) is not type(new):
        yield path, old, new


def step(path: str, key: str | int) -> str:
    """The path one key further."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _PLAIN.fullmatch(key):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key


def keys(path: str) -> list[str | int]:
    """The keys of a path: `spec.ports[0]["a.b"]` → spec, ports, 0, a.b."""
    found: list[str | int] = []
    for number, quoted, name in _STEP.findall(path):
        if number:
            found.append(int(number))
        else:
            found.append(json.loads(f'"{quoted}"') if quoted else name)
    return found


def at(value: Any, path: str) -> Any:
    """The value at a path; None where there is none. Text with a document in JSON is looked into."""
    for key in keys(path):
        value = _document(value) or value
        if isinstance(key, int) and isinstance(value, list) and key < len(value):
            value = value[key]
        elif isinstance(value, Mapping):
            value = value.get(str(key))
        else:
            return None
    return value


def _of_lists(old: list[Any], new: list[Any], path: str) -> Iterator[Difference]:
    if max(len(old), len(new)) > _LONGEST:
        blocks = [("replace", 0, len(old), 0, len(new))]
    else:
        texts = [[json.dumps(each, sort_keys=True, default=str) for each in side] for side in (old, new)]
        blocks = difflib.SequenceMatcher(None, *texts, autojunk=False).get_opcodes()
    for kind, first, last, from_, to in blocks:
        if kind == "equal":
            continue
        both = min(last - first, to - from_)
        for offset in range(both):
            yield from differences(old[first + offset], new[from_ + offset], step(path, from_ + offset))
        for index in range(first + both, last):
            yield step(path, index), old[index], None
        for index in range(from_ + both, to):
            yield step(path, index), None, new[index]


def _documents(old: Any, new: Any) -> tuple[Any, Any] | None:
    first, second = _document(old), _document(new)
    if first is None or second is None or type(first) is not type(second):
        return None
    return first, second


def _document(value: Any) -> Any:
    """The map or list that a text holds as JSON."""
    if not isinstance(value, str) or value[:1] not in ("{", "[") or value[-1:] not in ("}", "]"):
        return None
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return found if isinstance(found, dict | list) else None
