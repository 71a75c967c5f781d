"""Computes the property changes of a resource, the order of changes, and their digest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.contracts.reports.preview import OPS, Change, Op, PropertyChange
from isthmus.core.digests import sha256_of
from isthmus.core.pulumi_values import MASK
from isthmus.engine.preview.masking import Masker, contains_mask
from isthmus.engine.preview.noise import is_noise
from isthmus.engine.preview.value_diff import differences, path_keys, value_at

Inputs = Mapping[str, Any]
DEFAULTS = "__defaults"


def properties(
    type_: str,
    old: Inputs | None,
    new: Inputs | None,
    masker: Masker,
    *,
    provider_paths: Iterable[str] = (),
    outputs: Inputs | None = None,
) -> list[PropertyChange]:
    """The masked differences between old and new inputs. A creation lists every input; a deletion lists nothing.

    `provider_paths`: further paths that the provider reports, for example because others changed the live object.
    `outputs`: the resource's outputs, from which the old values of those paths are read.
    """
    if new is None:
        return []
    old_shown, new_shown = (
        _without_generated(old or {}, new, created=old is None),
        _without_generated(new, old or new, created=old is None),
    )
    before, after = masker.inputs(type_, old_shown), masker.inputs(type_, new_shown)
    changes = {
        path: _property_change(type_, path, old_value, new_value)
        for path, old_value, new_value in differences(before, after)
    }
    # Different secrets have the same mask. Report that they differ, without their values.
    for path, *_ in differences(old_shown, new_shown):
        if not is_covered(path, changes):
            changes[path] = _property_change(type_, path, MASK, MASK)
    for path in provider_paths:
        if old is not None and not path.startswith("__") and not is_covered(path, changes):
            masked_outputs = masker.inputs(type_, outputs or {})
            old_value, new_value = value_at(masked_outputs, path), value_at(after, path)
            if old_value != new_value or contains_mask(old_value):
                changes[path] = _property_change(type_, path, old_value, new_value)
    cleared = [change.model_copy(update={"path": masker.text(change.path)}) for change in changes.values()]
    return sorted(cleared, key=lambda change: change.path)


def _property_change(type_: str, path: str, old: Any, new: Any) -> PropertyChange:
    secret = contains_mask(old) or contains_mask(new)
    if secret and old is not None and new is not None:
        # A value in clear text on one side may be the secret of the other.
        old = new = MASK
    return PropertyChange(path=path, old=old, new=new, secret=secret, noise=is_noise(type_, path))


def is_covered(path: str, known_paths: Iterable[str]) -> bool:
    """Whether a known path is the path, or lies above or below it."""
    own_keys = path_keys(path)
    for known_path in known_paths:
        known_keys = path_keys(known_path)
        shorter = min(len(own_keys), len(known_keys))
        if own_keys[:shorter] == known_keys[:shorter]:
            return True
    return False


def _without_generated(inputs: Inputs, counterpart: Inputs, *, created: bool) -> dict[str, Any]:
    """Inputs without internal keys, and without names and defaults that the provider generated.

    The provider generates a new name on every preview. Values from the program are kept.
    """
    generated = set(inputs.get(DEFAULTS) or ())
    if not created:
        generated &= set(counterpart.get(DEFAULTS) or ())
    return {
        key: _without_defaults(value)
        for key, value in inputs.items()
        if not key.startswith("__") and key not in generated
    }


def _without_defaults(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_defaults(item) for key, item in value.items() if key != DEFAULTS}
    if isinstance(value, list):
        return [_without_defaults(item) for item in value]
    # The protocol transfers every number as a float.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def counts(ops: Iterable[Op]) -> dict[Op, int]:
    """Operation → count, the most dangerous first; operations without changes are left out."""
    all_ops = list(ops)
    return {op: number for op in OPS if (number := all_ops.count(op))}


def ordered(changes: Iterable[Change]) -> list[Change]:
    """Sorted by operation, the most dangerous first, then by URN."""
    return sorted(changes, key=lambda change: (OPS.index(change.op), change.urn))


def digest(changes: Iterable[Change]) -> str:
    """SHA-256 over operations, resources and their properties, independent of time and order.

    Secrets are masked: the digest shows that a secret changes, but does not depend on its value.
    """
    content = [
        [
            change.urn,
            change.op,
            [[property.path, property.old, property.new, property.secret] for property in change.properties],
            change.replaces_because,
            change.retained,
        ]
        for change in sorted(changes, key=lambda change: change.urn)
    ]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256_of(text)
