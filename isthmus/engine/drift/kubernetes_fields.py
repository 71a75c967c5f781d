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
from isthmus.engine.preview.value_diff import step as spelt

CLAIMS = "metadata.managedFields"
_ELSEWHERE = ("apiVersion", "kind", "status")
_OF_THE_SERVER = frozenset(
    {
        *("managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink"),
        *("deletionTimestamp", "deletionGracePeriodSeconds"),
    }
)
_DROPPED = frozenset(
    {
        *("hostNetwork", "hostPID", "hostIPC", "readOnly", "paused", "stdin", "stdinOnce", "tty"),
        *("publishNotReadyAddresses", "unschedulable"),
    }
)
"""Fields of which the API server leaves a `false` out: absent, they are false."""
_DEFAULTS: frozenset[tuple[str, Any]] = frozenset(
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
_QUANTITIES = frozenset({"requests", "limits", "hard", "capacity", "sizeLimit", "default", "defaultRequest"})
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
class Found:
    """One field that is not as it was said."""

    what: Literal["changed", "added"]
    path: str
    old: Any
    """As we said it; None: we did not."""
    new: Any
    """As it stands; None: it is gone."""
    by: frozenset[str]
    """Who else claims it; empty where it is gone, or nobody does, as of what an admission webhook puts in."""


def found(
    inputs: Mapping[str, Any], live: Mapping[str, Any], fields: Fields, ours: Iterable[str]
) -> list[Found]:
    """Each field of a live object that is not as `inputs` say, and each that somebody added. `ours`: our managers."""
    look = _Look(frozenset(ours))
    said = {key: value for key, value in inputs.items() if key not in _ELSEWHERE}
    there = {key: value for key, value in live.items() if key not in _ELSEWHERE}
    if isinstance(there.get("metadata"), Mapping):
        meta = there["metadata"].items()
        there["metadata"] = {key: value for key, value in meta if key not in _OF_THE_SERVER}
    told = list(look.maps(said, there, fields.tree, ""))
    claimed = fields.tree.all()
    if look.ours and not look.ours & claimed:
        # Whoever writes an object may wipe all claims on it, and with them what tells an addition from a default.
        told.append(
            Found("changed", CLAIMS, sorted(look.ours), sorted(claimed) or None, look.others(fields.tree))
        )
    return sorted(told, key=lambda each: each.path)


@dataclass(frozen=True)
class _Look:
    ours: frozenset[str]

    def maps(
        self,
        said: Mapping[str, Any],
        there: Mapping[str, Any],
        owned: Owned | None,
        path: str,
        *,
        whole: bool = False,
    ) -> Iterator[Found]:
        """`whole`: within a list that others keep as a whole, where no claim tells a default from an addition."""
        for key in sorted({*said, *there}):
            at, mine = spelt(path, key), owned.name(key) if owned else None
            if key in said:
                yield from self.value(said[key], there.get(key), mine, at, key, whole=whole)
            elif whole:
                if not _empty(there[key]) and not _default(key, there[key]):
                    yield Found("changed", at, None, there[key], self.others(owned))
            elif mine is not None and not _empty(there[key]):
                yield Found("added", at, None, there[key], frozenset(mine.all()))

    def value(
        self, said: Any, there: Any, owned: Owned | None, path: str, key: str, *, whole: bool = False
    ) -> Iterator[Found]:
        if said == MASK:
            # Its value is not ours to know: that somebody else has the last word on it shows that it was changed.
            if (owned is None and there is None) or (owned and not owned.all() & self.ours and owned.all()):
                yield Found("changed", path, MASK, None if there is None else MASK, self.others(owned))
        elif isinstance(said, Mapping) and isinstance(there, Mapping):
            yield from self.maps(said, there, owned, path, whole=whole)
        elif isinstance(said, list) and isinstance(there, list):
            yield from self.lists(said, there, owned, path, whole=whole)
        elif not _same(said, there, path, key):
            yield Found("changed", path, said, there, self.others(owned))

    def lists(
        self, said: list[Any], there: list[Any], owned: Owned | None, path: str, *, whole: bool
    ) -> Iterator[Found]:
        if owned is not None and owned.keyed:
            yield from self.keyed(said, there, owned, path)
            return
        if all(isinstance(each, Mapping) and "name" in each for each in (*said, *there)) and owned is None:
            by_name = Owned(below={_named(each): Owned() for each in said})
            yield from self.keyed(said, there, by_name, path)
            return
        others = self.others(owned)
        # Somebody else had the last word on all of it.
        whole = whole or bool(owned and owned.managers and not owned.managers & self.ours)
        left = list(enumerate(there))
        lost = []
        for index, one in enumerate(said):
            at = next((each for each in left if self._covers(one, each[1], path, whole=whole)), None)
            if at is None:
                lost.append((index, one))
            else:
                left.remove(at)
        for (index, one), (_, other) in zip(lost, left, strict=False):
            yield from self.value(one, other, None, spelt(path, index), "", whole=whole)
        for index, one in lost[len(left) :]:
            yield Found("changed", spelt(path, index), one, None, others)
        for index, other in left[len(lost) :]:
            yield Found("changed", spelt(path, index), None, other, others)

    def keyed(self, said: list[Any], there: list[Any], owned: Owned, path: str) -> Iterator[Found]:
        left = list(there)
        for one in said:
            step, at = _element(one, left, owned)
            where = _at(path, one, step)
            if at is None:
                yield Found("changed", where, one, None, frozenset())
                continue
            left.remove(at)
            yield from self.value(one, at, owned.below.get(step) if step else None, where, "")
        for other in left:
            step, _ = _element(other, [other], owned)
            mine = owned.below.get(step) if step else None
            yield Found("added", _at(path, other, step), None, other, frozenset(mine.all() if mine else ()))

    def others(self, owned: Owned | None) -> frozenset[str]:
        return frozenset((owned.all() if owned else set()) - self.ours)

    def _covers(self, said: Any, there: Any, path: str, *, whole: bool) -> bool:
        return next(self.value(said, there, None, path, "", whole=whole), None) is None


def _named(each: Any) -> Step:
    return Step("k", json.dumps({"name": each.get("name")}, sort_keys=True))


def _element(one: Any, among: list[Any], owned: Owned) -> tuple[Step | None, Any]:
    """The element of a keyed list or a set that `one` is, by the keys that managers name."""
    for step in sorted(owned.below, key=Step.spelt):
        said = step.said
        if step.sort == "v" and one == said:
            return step, one if one in among else None
        if step.sort == "k" and isinstance(one, Mapping) and _bears(one, said):
            at = next((each for each in among if isinstance(each, Mapping) and _bears(each, said)), None)
            if at is not None:
                return step, at
    if isinstance(one, Mapping):
        # By the keys that other elements have: nobody claims this one.
        keys = next((list(each.said) for each in owned.below if each.sort == "k"), ["name"])
        at = next(
            (
                each
                for each in among
                if isinstance(each, Mapping) and all(each.get(key) == one.get(key) for key in keys)
            ),
            None,
        )
        return None, at
    return None, one if one in among else None


def _bears(one: Mapping[str, Any], keys: Mapping[str, Any]) -> bool:
    """Whether an element has these keys; one that it leaves out has the API server's default."""
    return any(key in one for key in keys) and all(
        one.get(key, value) == value for key, value in keys.items()
    )


def _at(path: str, one: Any, step: Step | None) -> str:
    """Elements of keyed lists by their names, which stay when others come: `containers["vllm"]`."""
    if isinstance(one, Mapping) and isinstance(one.get("name"), str):
        return f"{path}[{json.dumps(one['name'])}]"
    said = step.said if step else one
    inside = next(iter(said.values()), "") if isinstance(said, Mapping) and said else said
    return f"{path}[{json.dumps(str(inside))}]"


def _empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _default(key: str, value: Any) -> bool:
    return isinstance(value, str | int | bool) and (key, value) in _DEFAULTS


def _same(said: Any, there: Any, path: str, key: str) -> bool:
    """Whether the API server keeps what was said so."""
    if said == there and isinstance(said, bool) == isinstance(there, bool):
        return True
    if there is None:
        dropped = said is False and key in _DROPPED
        return _empty(said) or dropped or (said == 0 and not isinstance(said, bool))
    if isinstance(said, bool) or isinstance(there, bool):
        return False
    if isinstance(said, int | float) and isinstance(there, int | float):
        return float(said) == float(there)
    if any(each in _QUANTITIES for each in re.split(r"[.\[\]]", path)):
        one, other = _amount(said), _amount(there)
        return one is not None and one == other
    return False


def _amount(value: Any) -> Decimal | None:
    """A quantity of Kubernetes' as a number: `1024Mi` is `1Gi`."""
    found = _QUANTITY.fullmatch(str(value).strip())
    if not found:
        return None
    sign = found[2] or ""
    try:
        if sign[:1] in ("e", "E") and len(sign) > 1:
            return Decimal(f"{found[1]}{sign}")
        return Decimal(found[1]) * _SCALES[sign]
    except InvalidOperation:
        return None
