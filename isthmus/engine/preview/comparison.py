"""What would change from one rendering to another: no engine, no credentials, no network, no secrets.

Nothing is asked whether what is in the way forces a replacement: what is known is said (`forcing`), and of the rest
that it may.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.contracts.reports.preview import Change, Op, PropertyChange
from isthmus.engine.preview.changes import ordered, properties
from isthmus.engine.preview.masking import Masker
from isthmus.engine.preview.replacements import forced, within
from isthmus.engine.preview.stateful_types import stateful
from isthmus.engine.render.recorder import Resource


def compare(
    before: Iterable[Resource], after: Iterable[Resource], masker: Masker | None = None
) -> list[Change]:
    """The changes that lead from the one to the other; what stays the same is left out."""
    hide = masker or Masker()
    was, will = ({each.urn: each for each in side} for side in (before, after))
    parents = {urn: each.name for urn, each in {**was, **will}.items()}
    made = []
    for urn in sorted({*was, *will}):
        one = _changed(was.get(urn), will.get(urn), hide, parents)
        if one is not None:
            made.append(one)
    return ordered(made)


def unchanged(before: Iterable[Resource], after: Iterable[Resource], changes: Iterable[Change]) -> int:
    """How many of what the stack makes stay as they are."""
    there = {each.urn for each in before if each.made} & {each.urn for each in after if each.made}
    return len(there - {each.urn for each in changes})


def from_json(graph: Mapping[str, Any]) -> list[Resource]:
    """The resources of a `graph.json`, as `isthmus render` writes it."""
    return [
        Resource(
            urn=each["urn"],
            type=each["type"],
            name=each["name"],
            custom=each["custom"],
            parent=each["parent"],
            provider=each["provider"],
            inputs=each["inputs"],
            dependencies=each["dependencies"],
            property_dependencies=each["propertyDependencies"],
            options=each["options"],
        )
        for each in graph["resources"]
    ]


def _changed(
    was: Resource | None, will: Resource | None, masker: Masker, parents: Mapping[str, str]
) -> Change | None:
    one = will or was
    if one is None or not shown(one.type, custom=one.custom):
        return None
    told = properties(one.type, was.inputs if was else None, will.inputs if will else None, masker)
    if was is not None and will is not None:
        ignored = will.options.get("ignoreChanges") or ()
        told = [each for each in told if not any(within(each.path, key) for key in ignored)]
    op, certain, maybe = _op(was, will, told)
    if op is None or (one.type.startswith("pulumi:") and all(each.noise for each in told)):
        return None
    return Change(
        urn=one.urn,
        op=op,
        type=one.type,
        name=one.name,
        component=parents.get(one.parent or "", ""),
        properties=told,
        replaces_because=certain,
        may_replace=maybe,
        stateful=stateful(one.type),
        retained=op in ("delete", "replace") and bool((was or one).options.get("retainOnDelete")),
    )


def _op(
    was: Resource | None, will: Resource | None, told: list[PropertyChange]
) -> tuple[Op | None, list[str], list[str]]:
    if was is None or will is None:
        there = will or was
        if there is None or "read" in there.options:
            # What others own comes and goes with them.
            return ("read" if will is not None else None), [], []
        imported = will is not None and "import" in will.options
        return ("delete" if will is None else "import" if imported else "create"), [], []
    made, makes = ("read" not in each.options for each in (was, will))
    if not made and not makes:
        # What others own is read again each time.
        return None, [], []
    if made != makes:
        return ("create" if makes else "read"), [], []
    paths = [each.path for each in told]
    if was.provider != will.provider:
        return "replace", ["provider", *paths], []
    if not paths:
        return None, [], []
    found = forced(will.type, paths, will.options.get("replaceOnChanges") or ())
    if found.certain:
        return "replace", found.certain, []
    return "update", [], found.maybe


def shown(type_: str, *, custom: bool) -> bool:
    """Whether a change to it is one of the preview's: no component, not the stack, no provider of the engine's own."""
    return custom and not type_.startswith(("pulumi:pulumi:", "pulumi:providers:pulumi"))
