"""The changes of a preview: from a resource's inputs before and after, in one order, under one digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.contracts.reports.preview import OPS, Change, Op, PropertyChange
from isthmus.core.pulumi_values import MASK
from isthmus.engine.preview.masking import Masker, masked
from isthmus.engine.preview.noise import noise
from isthmus.engine.preview.value_diff import at, differences, keys

Inputs = Mapping[str, Any]
DEFAULTS = "__defaults"


def properties(
    type_: str,
    old: Inputs | None,
    new: Inputs | None,
    masker: Masker,
    *,
    said: Iterable[str] = (),
    stands: Inputs | None = None,
) -> list[PropertyChange]:
    """What differs, masked. Of what is made every input is new; of what goes nothing is told.

    `said`: paths that the provider names besides, as where others have changed what `stands` (the outputs).
    """
    if new is None:
        return []
    was, will = _bare(old or {}, new, created=old is None), _bare(new, old or new, created=old is None)
    before, after = masker.inputs(type_, was), masker.inputs(type_, will)
    found = {path: _one(type_, path, one, other) for path, one, other in differences(before, after)}
    # Two secrets look the same under the mask. That they differ is none.
    for path, *_ in differences(was, will):
        if not _covered(path, found):
            found[path] = _one(type_, path, MASK, MASK)
    for path in said:
        if old is not None and not path.startswith("__") and not _covered(path, found):
            seen = masker.inputs(type_, stands or {})
            one, other = at(seen, path), at(after, path)
            if one != other or masked(one):
                found[path] = _one(type_, path, one, other)
    cleared = [each.model_copy(update={"path": masker.text(each.path)}) for each in found.values()]
    return sorted(cleared, key=lambda each: each.path)


def _one(type_: str, path: str, old: Any, new: Any) -> PropertyChange:
    secret = masked(old) or masked(new)
    if secret and old is not None and new is not None:
        # One side in the clear may be what the other hides.
        old = new = MASK
    return PropertyChange(path=path, old=old, new=new, secret=secret, noise=noise(type_, path))


def _covered(path: str, found: Iterable[str]) -> bool:
    mine = keys(path)
    for each in found:
        other = keys(each)
        short = min(len(mine), len(other))
        if mine[:short] == other[:short]:
            return True
    return False


def _bare(inputs: Inputs, other: Inputs, *, created: bool) -> dict[str, Any]:
    """Without what only a provider works by, and without the names and defaults that it has made up itself.

    It makes up another name each time it is asked; what a program says stays.
    """
    made_up = set(inputs.get(DEFAULTS) or ())
    if not created:
        made_up &= set(other.get(DEFAULTS) or ())
    return {
        key: _without_defaults(value)
        for key, value in inputs.items()
        if not key.startswith("__") and key not in made_up
    }


def _without_defaults(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_defaults(item) for key, item in value.items() if key != DEFAULTS}
    if isinstance(value, list):
        return [_without_defaults(item) for item in value]
    # On the wire every number is one with a point.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def counts(ops: Iterable[Op]) -> dict[Op, int]:
    """How many of each operation, in the order of what can hurt; those that there are none of left out."""
    listed = list(ops)
    return {op: number for op in OPS if (number := listed.count(op))}


def ordered(changes: Iterable[Change]) -> list[Change]:
    """By what can hurt, then by URN."""
    return sorted(changes, key=lambda each: (OPS.index(each.op), each.urn))


def digest(changes: Iterable[Change]) -> str:
    """Of what would be done: operations, resources and their properties, whatever the time it took to find out.

    A secret is under its mask here too: that another secret takes its place shows, and not which.
    """
    said = [
        [
            each.urn,
            each.op,
            [[one.path, one.old, one.new, one.secret] for one in each.properties],
            each.replaces_because,
            each.retained,
        ]
        for each in sorted(changes, key=lambda each: each.urn)
    ]
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
