"""What a live Kubernetes object has that a stack did not say, and what it says otherwise, field by field.

The provider's own look is not enough: it compares lists place by place, up to the length of what the program said, so
that a rule more in a network policy or a container more in a pod is not seen (pulumi-kubernetes, `pruneSlice`).
Defaults of the API server are nobody's in `managedFields`; a field that we did not say and somebody owns was added.
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
"""Fields of which the API server leaves a `false` out: absent, they are false."""
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
    }
)
"""What the API server adds to the elements of lists that are kept as a whole, where nobody's claim tells it apart."""
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
    """One field that is not as it was said."""

    what: Literal["changed", "added"]
    path: str
    old: Any
    """As we said it; None: we did not."""
    new: Any
    """As it stands; None: it is gone."""
    by: frozenset[str]
    """Who else claims it; empty where it is gone, or nobody does, as of what an admission webhook puts in."""


def compare_fields(
    inputs: Mapping[str, Any], live: Mapping[str, Any], fields: Fields, own_managers: Iterable[str]
) -> list[FieldDifference]:
    """Each field of a live object that is not as `inputs` say, and each that somebody added. `ours`: our managers."""
    comparison = _FieldComparison(frozenset(own_managers))
    stated = {key: value for key, value in inputs.items() if key not in _NOT_COMPARED}
    live_fields = {key: value for key, value in live.items() if key not in _NOT_COMPARED}
    if isinstance(live_fields.get("metadata"), Mapping):
        metadata = live_fields["metadata"].items()
        live_fields["metadata"] = {key: value for key, value in metadata if key not in _SERVER_METADATA}
    differences = list(comparison.maps(stated, live_fields, fields.tree, ""))
    all_managers = fields.tree.all()
    if comparison.ours and not comparison.ours & all_managers:
        # Whoever writes an object may wipe all claims on it, and with them what tells an addition from a default.
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


@dataclass(frozen=True)
class _FieldComparison:
    ours: frozenset[str]

    def maps(
        self,
        stated: Mapping[str, Any],
        live: Mapping[str, Any],
        owned: Owned | None,
        path: str,
        *,
        is_atomic: bool = False,
    ) -> Iterator[FieldDifference]:
        """`whole`: within a list that others keep as a whole, where no claim tells a default from an addition."""
        for key in sorted({*stated, *live}):
            field_path, owned_field = spelt(path, key), owned.name(key) if owned else None
            if key in stated:
                yield from self.value(
                    stated[key], live.get(key), owned_field, field_path, key, is_atomic=is_atomic
                )
            elif is_atomic:
                if not _is_empty(live[key]) and not _is_default(key, live[key]):
                    yield FieldDifference("changed", field_path, None, live[key], self.others(owned))
            elif owned_field is not None and not _is_empty(live[key]):
                yield FieldDifference("added", field_path, None, live[key], frozenset(owned_field.all()))

    def value(
        self, stated: Any, live: Any, owned: Owned | None, path: str, key: str, *, is_atomic: bool = False
    ) -> Iterator[FieldDifference]:
        if stated == MASK:
            # Its value is not ours to know: that somebody else has the last word on it shows that it was changed.
            if (owned is None and live is None) or (owned and not owned.all() & self.ours and owned.all()):
                yield FieldDifference(
                    "changed", path, MASK, None if live is None else MASK, self.others(owned)
                )
        elif isinstance(stated, Mapping) and isinstance(live, Mapping):
            yield from self.maps(stated, live, owned, path, is_atomic=is_atomic)
        elif isinstance(stated, list) and isinstance(live, list):
            yield from self.lists(stated, live, owned, path, is_atomic=is_atomic)
        elif not _is_same(stated, live, path, key):
            yield FieldDifference("changed", path, stated, live, self.others(owned))

    def lists(
        self, stated: list[Any], live: list[Any], owned: Owned | None, path: str, *, is_atomic: bool
    ) -> Iterator[FieldDifference]:
        if owned is not None and owned.keyed:
            yield from self.keyed(stated, live, owned, path)
            return
        if (
            all(isinstance(element, Mapping) and "name" in element for element in (*stated, *live))
            and owned is None
        ):
            by_name = Owned(below={_name_step(element): Owned() for element in stated})
            yield from self.keyed(stated, live, by_name, path)
            return
        other_managers = self.others(owned)
        # Somebody else had the last word on all of it.
        is_atomic = is_atomic or bool(owned and owned.managers and not owned.managers & self.ours)
        unmatched = list(enumerate(live))
        missing = []
        for index, element in enumerate(stated):
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

    def keyed(self, stated: list[Any], live: list[Any], owned: Owned, path: str) -> Iterator[FieldDifference]:
        unmatched = list(live)
        for element in stated:
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

    def _covers(self, stated: Any, live: Any, path: str, *, is_atomic: bool) -> bool:
        return next(self.value(stated, live, None, path, "", is_atomic=is_atomic), None) is None


def _name_step(element: Any) -> Step:
    return Step("k", json.dumps({"name": element.get("name")}, sort_keys=True))


def _find_element(element: Any, candidates: list[Any], owned: Owned) -> tuple[Step | None, Any]:
    """The element of a keyed list or a set that `one` is, by the keys that managers name."""
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
        # By the keys that other elements have: nobody claims this one.
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
    """Whether an element has these keys; one that it leaves out has the API server's default."""
    return any(key in element for key in keys) and all(
        element.get(key, value) == value for key, value in keys.items()
    )


def _element_path(path: str, element: Any, step: Step | None) -> str:
    """Elements of keyed lists by their names, which stay when others come: `containers["vllm"]`."""
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


def _is_same(stated: Any, live: Any, path: str, key: str) -> bool:
    """Whether the API server keeps what was said so."""
    if stated == live and isinstance(stated, bool) == isinstance(live, bool):
        return True
    if live is None:
        dropped = stated is False and key in _FALSE_IS_DROPPED
        return _is_empty(stated) or dropped or (stated == 0 and not isinstance(stated, bool))
    if isinstance(stated, bool) or isinstance(live, bool):
        return False
    if isinstance(stated, int | float) and isinstance(live, int | float):
        return float(stated) == float(live)
    if any(key_part in _QUANTITY_FIELDS for key_part in re.split(r"[.\[\]]", path)):
        stated_amount, live_amount = _amount(stated), _amount(live)
        return stated_amount is not None and stated_amount == live_amount
    return False


def _amount(value: Any) -> Decimal | None:
    """A quantity of Kubernetes' as a number: `1024Mi` is `1Gi`."""
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
