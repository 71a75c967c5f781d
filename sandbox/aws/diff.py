"""Compare what is wanted with what there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.aws.model import Type
from sandbox.aws.schema import Prop, differences, has_unknown, same
from sandbox.aws.validation import DEFAULTS

Kind = Literal["add", "delete", "update"]


@dataclass
class Difference:
    """`paths` maps a path to what happens there; `replaces` are the properties that force a replacement."""

    paths: dict[str, tuple[Kind, bool]] = field(default_factory=dict)
    props: list[str] = field(default_factory=list)
    replaces: list[str] = field(default_factory=list)
    delete_first: bool = False


def diff(
    kind: Type,
    wanted: Mapping[str, Any],
    state: Mapping[str, Any],
    default_tags: Mapping[str, str],
    ignore: list[str],
) -> Difference:
    """What differs between the inputs `wanted` and the `state` that was recorded or read."""
    found = Difference()
    for name, prop in kind.inputs.items():
        named_by_aws = kind.autoname is not None and name == kind.autoname.prop and name not in wanted
        if named_by_aws or _ignored(name, ignore):
            continue
        if name == "tags":
            paths = _tag_paths(wanted, state, default_tags)
        else:
            paths = differences(prop, wanted.get(name), state.get(name), name)
        paths = [path for path in paths if not _ignored(path, ignore)]
        if not paths:
            continue
        found.props.append(name)
        if prop.replace:
            found.replaces.append(name)
        for path in paths:
            found.paths[path] = (_what(wanted.get(name), state.get(name)), prop.replace)
    if found.replaces:
        found.delete_first = _collides(kind, wanted, state)
    return found


def _collides(kind: Type, wanted: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    """Whether old and new cannot stand side by side, because they have the same name."""
    names = kind.identity
    auto = kind.autoname
    if auto and not names:
        names = (auto.prop,)
    if not names:
        return False
    if auto and auto.prop in names and (auto.prop not in wanted or auto.prop in wanted.get(DEFAULTS, ())):
        return False
    return all(not has_unknown(wanted.get(name)) and wanted.get(name) == state.get(name) for name in names)


def _tag_paths(
    wanted: Mapping[str, Any], state: Mapping[str, Any], default_tags: Mapping[str, str]
) -> list[str]:
    """The provider's default tags count as wanted on every resource."""
    tags = wanted.get("tags") or {}
    if has_unknown(tags) and not isinstance(tags, dict):
        return ["tags"]
    return differences(Prop("map", alike=same), {**default_tags, **tags}, state.get("tagsAll"), "tags")


def _what(wanted: Any, actual: Any) -> Kind:
    if actual in (None, "", [], {}):
        return "add"
    return "delete" if wanted in (None, "", [], {}) else "update"


def _ignored(path: str, ignore: list[str]) -> bool:
    return any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in ignore)
