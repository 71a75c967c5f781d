"""Compares a live Kubernetes object with a stack's inputs, field by field.

The provider's own comparison is not enough. It compares lists by index up to the length of the program's list, so it
misses an extra rule in a network policy or an extra container in a pod (pulumi-kubernetes, `pruneSlice`). Defaults of
the API server have no owner in `managedFields`; a field with an owner that is not in the inputs was added by someone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from isthmus.core.pulumi_values import MASK
from isthmus.engine.kubernetes.managed_fields import Fields, Owned, Step
from isthmus.engine.preview.value_diff import path_step as spelt

CLAIMS = "metadata.managedFields"
_NOT_COMPARED = ("apiVersion", "kind", "status")
_SERVER_METADATA = frozenset(
    {
        *("managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink"),
        *("deletionTimestamp", "deletionGracePeriodSeconds"),
    }
)
_FALSE_IS_DROPPED = frozenset(
    {
        *("hostNetwork", "hostPID", "hostIPC", "readOnly", "paused", "stdin", "stdinOnce", "tty"),
        *("publishNotReadyAddresses", "unschedulable"),
    }
)
"""Fields that the API server omits if they are false."""
_SERVER_DEFAULTS: frozenset[tuple[str, Any]] = frozenset(
    {
        *(
            ("protocol", "TCP"),
            ("scope", "*"),
            ("apiVersion", "v1"),
            ("defaultMode", 420),
            ("optional", False),
        ),
        *(("expirationSeconds", 3600), ("pathType", "ImplementationSpecific"), ("operator", "Equal")),
        *(("apiGroup", ""), ("group", ""), ("group", "gateway.networking.k8s.io"), ("weight", 1)),
        *(("failurePolicy", "Fail"), ("matchPolicy", "Equivalent")),
        ("apiGroup", "rbac.authorization.k8s.io"),
    }
)
"""Defaults that the API server adds where `managedFields` cannot tell them apart or does not count."""
_QUANTITY_FIELDS = frozenset(
    {"requests", "limits", "hard", "capacity", "sizeLimit", "default", "defaultRequest"}
)
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?")
_SCALES = {
    "": 1,
    "m": Decimal("0.001"),
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "E": 10**18,
}
_SCALES |= {f"{sign}i": 1024**power for power, sign in enumerate("KMGTPE", 1)}


@dataclass(frozen=True)
class FieldDifference:
    """One field that differs from the inputs."""

    what: Literal["changed", "added"]
    path: str
    old: Any
    """Value in the inputs; None if the inputs do not have the field."""
    new: Any
    """Live value; None if the field is missing."""
    by: frozenset[str]
    """Other field managers that own it. Empty for a missing field, and for values of an admission webhook."""


def compare_fields(
    inputs: Mapping[str, Any], live: Mapping[str, Any], fields: Fields, own_managers: Iterable[str]
) -> list[FieldDifference]:
    """Fields of a live object that differ from `inputs` or were added. `own_managers`: field managers of Isthmus."""
    comparison = _FieldComparison(frozenset(own_managers))
    desired = {key: value for key, value in inputs.items() if key not in _NOT_COMPARED}
    live_fields = {key: value for key, value in live.items() if key not in _NOT_COMPARED}
    if isinstance(live_fields.get("metadata"), Mapping):
        metadata = live_fields["metadata"].items()
        live_fields["metadata"] = {key: value for key, value in metadata if key not in _SERVER_METADATA}
    differences = list(comparison.maps(desired, live_fields, fields.tree, ""))
    all_managers = fields.tree.all()
    if comparison.ours and not comparison.ours & all_managers:
        # A writer may clear `managedFields`. Then additions cannot be told from defaults, so this counts as a change.
        differences.append(
            FieldDifference(
                "changed",
                CLAIMS,
                sorted(comparison.ours),
                sorted(all_managers) or None,
                comparison.others(fields.tree),
            )
        )
    return sorted(differences, key=lambda difference: difference.path)


def compare_exactly(
    inputs: Mapping[str, Any], live: Mapping[str, Any], fields: Fields, own_managers: Iterable[str]
) -> list[FieldDifference]:
    """Like `compare_fields`, for kinds whose defaults are known: every other field outside of `metadata` counts.

    So a field counts that no manager claims: an admission webhook added it, or somebody wiped `managedFields`.
    """
    comparison = _FieldComparison(frozenset(own_managers))
    desired, body = (
        {key: value for key, value in content.items() if key not in (*_NOT_COMPARED, "metadata")}
        for content in (inputs, live)
    )
    of_metadata = compare_fields(
        {"metadata": inputs.get("metadata") or {}},
        {"metadata": live.get("metadata") or {}},
        fields,
        own_managers,
    )
    of_body = comparison.maps(desired, body, fields.tree, "", is_atomic=True)
    differences = {
        difference.path: difference for difference in (*of_metadata, *of_body) if difference.path != CLAIMS
    }
    return sorted(differences.values(), key=lambda difference: difference.path)


@dataclass(frozen=True)
class _FieldComparison:
    ours: frozenset[str]

    def maps(
        self,
        desired: Mapping[str, Any],
        live: Mapping[str, Any],
        owned: Owned | None,
        path: str,
        *,
        is_atomic: bool = False,
    ) -> Iterator[FieldDifference]:
        """`is_atomic`: inside an atomic list, whose elements have no owners of their own."""
        for key in sorted({*desired, *live}):
            field_path, owned_field = spelt(path, key), owned.name(key) if owned else None
            if key in desired:
                yield from self.value(
                    desired[key], live.get(key), owned_field, field_path, key, is_atomic=is_atomic
                )
            elif is_atomic:
                if not _is_empty(live[key]) and not _is_default(key, live[key]):
                    others = self.others(owned_field or owned)
                    yield FieldDifference("changed", field_path, None, live[key], others)
            elif owned_field is not None and not _is_empty(live[key]):
                yield FieldDifference("added", field_path, None, live[key], frozenset(owned_field.all()))

    def value(
        self, desired: Any, live: Any, owned: Owned | None, path: str, key: str, *, is_atomic: bool = False
    ) -> Iterator[FieldDifference]:
        if desired == MASK:
            # The value is not read. It was changed if another manager owns it now.
            if (owned is None and live is None) or (owned and not owned.all() & self.ours and owned.all()):
                yield FieldDifference(
                    "changed", path, MASK, None if live is None else MASK, self.others(owned)
                )
        elif isinstance(desired, Mapping) and isinstance(live, Mapping):
            yield from self.maps(desired, live, owned, path, is_atomic=is_atomic)
        elif isinstance(desired, list) and isinstance(live, list):
            yield from self.lists(desired, live, owned, path, is_atomic=is_atomic)
        elif not _is_same(desired, live, path, key):
            yield FieldDifference("changed", path, desired, live, self.others(owned))

    def lists(
        self, desired: list[Any], live: list[Any], owned: Owned | None, path: str, *, is_atomic: bool
    ) -> Iterator[FieldDifference]:
        if owned is not None and owned.keyed:
            yield from self.keyed(desired, live, owned, path)
            return
        if (
            all(isinstance(element, Mapping) and "name" in element for element in (*desired, *live))
            and owned is None
        ):
            by_name = Owned(below={_name_step(element): Owned() for element in desired})
            yield from self.keyed(desired, live, by_name, path)
            return
        other_managers = self.others(owned)
        # Another manager last wrote the whole list.
        is_atomic = is_atomic or bool(owned and owned.managers and not owned.managers & self.ours)
        unmatched = list(enumerate(live))
        missing = []
        for index, element in enumerate(desired):
            match = next(
                (
                    candidate
                    for candidate in unmatched
                    if self._covers(element, candidate[1], path, is_atomic=is_atomic)
                ),
                None,
            )
            if match is None:
                missing.append((index, element))
            else:
                unmatched.remove(match)
        for (index, element), (_, live_element) in zip(missing, unmatched, strict=False):
            yield from self.value(element, live_element, None, spelt(path, index), "", is_atomic=is_atomic)
        for index, element in missing[len(unmatched) :]:
            yield FieldDifference("changed", spelt(path, index), element, None, other_managers)
        for index, live_element in unmatched[len(missing) :]:
            yield FieldDifference("changed", spelt(path, index), None, live_element, other_managers)

    def keyed(
        self, desired: list[Any], live: list[Any], owned: Owned, path: str
    ) -> Iterator[FieldDifference]:
        unmatched = list(live)
        for element in desired:
            step, match = _find_element(element, unmatched, owned)
            where = _element_path(path, element, step)
            if match is None:
                yield FieldDifference("changed", where, element, None, frozenset())
                continue
            unmatched.remove(match)
            yield from self.value(element, match, owned.below.get(step) if step else None, where, "")
        for live_element in unmatched:
            step, _ = _find_element(live_element, [live_element], owned)
            owned_element = owned.below.get(step) if step else None
            yield FieldDifference(
                "added",
                _element_path(path, live_element, step),
                None,
                live_element,
                frozenset(owned_element.all() if owned_element else ()),
            )

    def others(self, owned: Owned | None) -> frozenset[str]:
        return frozenset((owned.all() if owned else set()) - self.ours)

    def _covers(self, desired: Any, live: Any, path: str, *, is_atomic: bool) -> bool:
        return next(self.value(desired, live, None, path, "", is_atomic=is_atomic), None) is None


def _name_step(element: Any) -> Step:
    return Step("k", json.dumps({"name": element.get("name")}, sort_keys=True))


def _find_element(element: Any, candidates: list[Any], owned: Owned) -> tuple[Step | None, Any]:
    """The step and the candidate that match `element`, by the keys that managers use."""
    for step in sorted(owned.below, key=Step.spelt):
        keys_or_value = step.said
        if step.sort == "v" and element == keys_or_value:
            return step, element if element in candidates else None
        if step.sort == "k" and isinstance(element, Mapping) and _has_keys(element, keys_or_value):
            match = next(
                (
                    candidate
                    for candidate in candidates
                    if isinstance(candidate, Mapping) and _has_keys(candidate, keys_or_value)
                ),
                None,
            )
            if match is not None:
                return step, match
    if isinstance(element, Mapping):
        # This element has no owner: use the key names of the other elements.
        keys = next((list(candidate.said) for candidate in owned.below if candidate.sort == "k"), ["name"])
        match = next(
            (
                step
                for step in candidates
                if isinstance(step, Mapping) and all(step.get(key) == element.get(key) for key in keys)
            ),
            None,
        )
        return None, match
    return None, element if element in candidates else None


def _has_keys(element: Mapping[str, Any], keys: Mapping[str, Any]) -> bool:
    """Whether an element has these key values. A missing key counts as equal, since it has a default."""
    return any(key in element for key in keys) and all(
        element.get(key, value) == value for key, value in keys.items()
    )


def _element_path(path: str, element: Any, step: Step | None) -> str:
    """Path of an element by its name or key, which do not shift on insertions: `containers["vllm"]`."""
    if isinstance(element, Mapping) and isinstance(element.get("name"), str):
        return f"{path}[{json.dumps(element['name'])}]"
    keys_or_value = step.said if step else element
    label = (
        next(iter(keys_or_value.values()), "")
        if isinstance(keys_or_value, Mapping) and keys_or_value
        else keys_or_value
    )
    return f"{path}[{json.dumps(str(label))}]"


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _is_default(key: str, value: Any) -> bool:
    return isinstance(value, str | int | bool) and (key, value) in _SERVER_DEFAULTS


def _is_same(desired: Any, live: Any, path: str, key: str) -> bool:
    """Whether the live value is how the API server stores the desired value."""
    if desired == live and isinstance(desired, bool) == isinstance(live, bool):
        return True
    if live is None:
        dropped = desired is False and key in _FALSE_IS_DROPPED
        return _is_empty(desired) or dropped or (desired == 0 and not isinstance(desired, bool))
    if isinstance(desired, bool) or isinstance(live, bool):
        return False
    if isinstance(desired, int | float) and isinstance(live, int | float):
        return float(desired) == float(live)
    if any(key_part in _QUANTITY_FIELDS for key_part in re.split(r"[.\[\]]", path)):
        stated_amount, live_amount = _amount(desired), _amount(live)
        return stated_amount is not None and stated_amount == live_amount
    return False


def _amount(value: Any) -> Decimal | None:
    """A Kubernetes quantity as a number, so that `1024Mi` equals `1Gi`; None for other text."""
    match = _QUANTITY.fullmatch(str(value).strip())
    if not match:
        return None
    unit = match[2] or ""
    try:
        if unit[:1] in ("e", "E") and len(unit) > 1:
            return Decimal(f"{match[1]}{unit}")
        return Decimal(match[1]) * _SCALES[unit]
    except InvalidOperation:
        return None
