"""Compares two renderings of a stack, without engine, credentials, network or secrets.

No provider is asked whether a change forces a replacement. Known cases come from `replacements`; all others are
reported as possible replacements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.contracts.reports.preview import Change, Op, PropertyChange
from isthmus.engine.preview.changes import ordered, properties
from isthmus.engine.preview.masking import Masker
from isthmus.engine.preview.replacements import forced_replacements, overlaps
from isthmus.engine.preview.stateful_types import is_stateful
from isthmus.engine.render.recorder import Resource


def compare(
    before: Iterable[Resource], after: Iterable[Resource], masker: Masker | None = None
) -> list[Change]:
    """The changes between two renderings, without unchanged resources."""
    effective_masker = masker or Masker()
    before_by_urn, after_by_urn = (
        {resource.urn: resource for resource in resources} for resources in (before, after)
    )
    parents = {urn: resource.name for urn, resource in {**before_by_urn, **after_by_urn}.items()}
    changes = []
    for urn in sorted({*before_by_urn, *after_by_urn}):
        change = _change_of(before_by_urn.get(urn), after_by_urn.get(urn), effective_masker, parents)
        if change is not None:
            changes.append(change)
    return ordered(changes)


def count_unchanged(before: Iterable[Resource], after: Iterable[Resource], changes: Iterable[Change]) -> int:
    """Number of the stack's resources that do not change."""
    in_both = {resource.urn for resource in before if resource.made} & {
        resource.urn for resource in after if resource.made
    }
    return len(in_both - {change.urn for change in changes})


def resources_from_json(graph: Mapping[str, Any]) -> list[Resource]:
    """The resources of a `graph.json`, as `isthmus render` writes it."""
    return [
        Resource(
            urn=resource["urn"],
            type=resource["type"],
            name=resource["name"],
            custom=resource["custom"],
            parent=resource["parent"],
            provider=resource["provider"],
            inputs=resource["inputs"],
            dependencies=resource["dependencies"],
            property_dependencies=resource["propertyDependencies"],
            options=resource["options"],
            own=resource.get("own", ""),
        )
        for resource in graph["resources"]
    ]


def _change_of(
    before: Resource | None, after: Resource | None, masker: Masker, parents: Mapping[str, str]
) -> Change | None:
    resource = after or before
    if resource is None or not is_shown(resource.type, custom=resource.custom):
        return None
    changed = properties(
        resource.type, before.inputs if before else None, after.inputs if after else None, masker
    )
    if before is not None and after is not None:
        ignored = after.options.get("ignoreChanges") or ()
        changed = [
            property for property in changed if not any(overlaps(property.path, key) for key in ignored)
        ]
    op, certain, maybe = _operation(before, after, changed)
    if op is None or (resource.type.startswith("pulumi:") and all(property.noise for property in changed)):
        return None
    return Change(
        urn=resource.urn,
        op=op,
        type=resource.type,
        name=resource.name,
        component=parents.get(resource.parent or "", ""),
        properties=changed,
        replaces_because=certain,
        may_replace=maybe,
        stateful=is_stateful(resource.type),
        retained=op in ("delete", "replace") and bool((before or resource).options.get("retainOnDelete")),
    )


def _operation(
    before: Resource | None, after: Resource | None, properties: list[PropertyChange]
) -> tuple[Op | None, list[str], list[str]]:
    if before is None or after is None:
        resource = after or before
        if resource is None or "read" in resource.options:
            # A resource that others own is only read; it is never created or deleted.
            return ("read" if after is not None else None), [], []
        imported = after is not None and "import" in after.options
        return ("delete" if after is None else "import" if imported else "create"), [], []
    was_made, is_made = ("read" not in resource.options for resource in (before, after))
    if not was_made and not is_made:
        # A resource that others own is read in every run, which is no change.
        return None, [], []
    if was_made != is_made:
        return ("create" if is_made else "read"), [], []
    paths = [property.path for property in properties]
    if before.provider != after.provider:
        return "replace", ["provider", *paths], []
    if not paths:
        return None, [], []
    forced_paths = forced_replacements(after.type, paths, after.options.get("replaceOnChanges") or ())
    if forced_paths.certain:
        return "replace", forced_paths.certain, []
    return "update", [], forced_paths.maybe


def is_shown(type_: str, *, custom: bool) -> bool:
    """Whether changes of this type are shown: not components, the stack, or internal providers."""
    return custom and not type_.startswith(("pulumi:pulumi:", "pulumi:providers:pulumi"))
