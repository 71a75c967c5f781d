"""Compares a resource's inputs with its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.aws.model import Type
from sandbox.aws.schema import Prop, differences, has_unknown, is_equal
from sandbox.aws.validation import DEFAULTS

Kind = Literal["add", "delete", "update"]


@dataclass
class Difference:
    """A difference between inputs and state.

    `paths` maps a path to (change, whether it replaces). `props` are the changed properties, `replaces` those that
    force a replacement.
    """

    paths: dict[str, tuple[Kind, bool]] = field(default_factory=dict)
    props: list[str] = field(default_factory=list)
    replaces: list[str] = field(default_factory=list)
    delete_first: bool = False


def find_difference(
    kind: Type,
    inputs: Mapping[str, Any],
    state: Mapping[str, Any],
    default_tags: Mapping[str, str],
    ignore: list[str],
) -> Difference:
    """Return the difference between `inputs` and the `state` that was recorded or read."""
    difference = Difference()
    for name, prop in kind.inputs.items():
        named_by_aws = kind.autoname is not None and name == kind.autoname.prop and name not in inputs
        if named_by_aws or _ignored(name, ignore):
            continue
        if name == "tags":
            paths = _tag_paths(inputs, state, default_tags)
        else:
            paths = differences(prop, inputs.get(name), state.get(name), name)
        paths = [path for path in paths if not _ignored(path, ignore)]
        if not paths:
            continue
        difference.props.append(name)
        if prop.replace:
            difference.replaces.append(name)
        for path in paths:
            difference.paths[path] = (_change_kind(inputs.get(name), state.get(name)), prop.replace)
    if difference.replaces:
        difference.delete_first = _has_same_name(kind, inputs, state)
    return difference


def _has_same_name(kind: Type, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    """Return True if the old and the new resource have the same name, and so cannot exist at the same time."""
    names = kind.identity
    auto = kind.autoname
    if auto and not names:
        names = (auto.prop,)
    if not names:
        return False
    if auto and auto.prop in names and (auto.prop not in inputs or auto.prop in inputs.get(DEFAULTS, ())):
        return False
    return all(not has_unknown(inputs.get(name)) and inputs.get(name) == state.get(name) for name in names)


def _tag_paths(
    inputs: Mapping[str, Any], state: Mapping[str, Any], default_tags: Mapping[str, str]
) -> list[str]:
    """Return the paths of changed tags. The provider's default tags are expected on every resource."""
    tags = inputs.get("tags") or {}
    if has_unknown(tags) and not isinstance(tags, dict):
        return ["tags"]
    return differences(Prop("map", alike=is_equal), {**default_tags, **tags}, state.get("tagsAll"), "tags")


def _change_kind(expected: Any, actual: Any) -> Kind:
    if actual in (None, "", [], {}):
        return "add"
    return "delete" if expected in (None, "", [], {}) else "update"


def _ignored(path: str, ignore: list[str]) -> bool:
    return any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in ignore)
