"""Sets fields of a live Kubernetes object back to a stack's inputs."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.engine.drift.kubernetes_fields import FieldDifference
from isthmus.engine.preview.value_diff import path_keys


def restored(
    live: Mapping[str, Any], inputs: Mapping[str, Any], differences: Iterable[FieldDifference]
) -> dict[str, Any]:
    """The live object with these differences set back, and everything else as it is.

    A list that has elements without a name or key is set back as a whole.
    """
    content = copy.deepcopy(dict(live))
    for difference in differences:
        _set_back(content, inputs, path_keys(difference.path), difference.old)
    return content


def _set_back(parent: Any, desired_parent: Any, keys: list[str | int], old: Any) -> None:
    key, *rest = keys
    if isinstance(parent, list):
        _set_back_element(parent, desired_parent, str(key), rest, old)
        return
    if not isinstance(parent, dict):
        return
    desired = desired_parent.get(key) if isinstance(desired_parent, Mapping) else None
    if not rest or isinstance(rest[0], int) or key not in parent:
        value = old if not rest else desired
        if value is None:
            parent.pop(key, None)
        else:
            parent[key] = copy.deepcopy(value)
        return
    _set_back(parent[key], desired, rest, old)
    if parent[key] in ({}, []) and desired is None:
        del parent[key]


def _set_back_element(
    elements: list[Any], desired_elements: Any, label: str, rest: list[str | int], old: Any
) -> None:
    """Set back an element that the path names by its name, key or value."""
    index = _index_of(elements, label)
    if index is None:
        if not rest and old is not None:
            elements.append(copy.deepcopy(old))
    elif rest:
        desired = desired_elements if isinstance(desired_elements, list) else []
        desired_index = _index_of(desired, label)
        _set_back(elements[index], None if desired_index is None else desired[desired_index], rest, old)
    elif old is None:
        del elements[index]
    else:
        elements[index] = copy.deepcopy(old)


def _index_of(elements: list[Any], label: str) -> int | None:
    """The last element with this name, key or value. An element that was added comes after those of the program."""
    indexes = [
        index
        for index, element in enumerate(elements)
        if (
            element.get("name") == label or ("name" not in element and label in map(str, element.values()))
            if isinstance(element, Mapping)
            else str(element) == label
        )
    ]
    return indexes[-1] if indexes else None
