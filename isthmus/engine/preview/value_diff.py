"""What differs between two values of plain data, leaf by leaf: the paths are spelt as Pulumi's providers spell them."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_PATH_STEP = re.compile(r"""\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\.?([^.\[\]]+)""")
_MAX_ALIGNED = 1000
"""Lists with more elements are compared place by place: to align them would take too long."""

Difference = tuple[str, Any, Any]
"""Path, old, new; None where there is none."""


def differences(old: Any, new: Any, path: str = "") -> Iterator[Difference]:
    """Each difference once, at the deepest place that both have, in the order of the paths' own keys.

    Elements of lists are aligned, so that one more at the front is one difference. A document in JSON that is kept
    as text, as AWS keeps a policy, is looked into.
    """
    documents = _json_documents(old, new)
    if documents is not None:
        inner = list(differences(*documents, path))
        # Another layout of the same document is a difference all the same.
        yield from inner or ([(path, old, new)] if old != new else [])
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}, key=str):
            yield from differences(old.get(key), new.get(key), path_step(path, str(key)))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _list_differences(old, new, path)
    elif old != new or type(old) is not type(new):
        yield path, old, new


def path_step(path: str, key: str | int) -> str:
    """The path one key further."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key


def path_keys(path: str) -> list[str | int]:
    """The keys of a path: `spec.ports[0]["a.b"]` → spec, ports, 0, a.b."""
    steps: list[str | int] = []
    for number, quoted, name in _PATH_STEP.findall(path):
        if number:
            steps.append(int(number))
        else:
            steps.append(json.loads(f'"{quoted}"') if quoted else name)
    return steps


def value_at(value: Any, path: str) -> Any:
    """The value at a path; None where there is none. Text with a document in JSON is looked into."""
    for key in path_keys(path):
        value = _json_document(value) or value
        if isinstance(key, int) and isinstance(value, list) and key < len(value):
            value = value[key]
        elif isinstance(value, Mapping):
            value = value.get(str(key))
        else:
            return None
    return value


def _list_differences(old: list[Any], new: list[Any], path: str) -> Iterator[Difference]:
    if max(len(old), len(new)) > _MAX_ALIGNED:
        blocks = [("replace", 0, len(old), 0, len(new))]
    else:
        texts = [
            [json.dumps(element, sort_keys=True, default=str) for element in elements]
            for elements in (old, new)
        ]
        blocks = difflib.SequenceMatcher(None, *texts, autojunk=False).get_opcodes()
    for kind, first, last, from_, to in blocks:
        if kind == "equal":
            continue
        paired = min(last - first, to - from_)
        for offset in range(paired):
            yield from differences(old[first + offset], new[from_ + offset], path_step(path, from_ + offset))
        for index in range(first + paired, last):
            yield path_step(path, index), old[index], None
        for index in range(from_ + paired, to):
            yield path_step(path, index), None, new[index]


def _json_documents(old: Any, new: Any) -> tuple[Any, Any] | None:
    first, second = _json_document(old), _json_document(new)
    if first is None or second is None or type(first) is not type(second):
        return None
    return first, second


def _json_document(value: Any) -> Any:
    """The map or list that a text holds as JSON."""
    if not isinstance(value, str) or value[:1] not in ("{", "[") or value[-1:] not in ("}", "]"):
        return None
    try:
        content = json.loads(value)
    except ValueError:
        return None
    return content if isinstance(content, dict | list) else None
