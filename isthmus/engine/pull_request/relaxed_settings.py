"""Finds changed settings of a platform that may give data to somebody else, field by field.

What decides is in `isthmus.contracts.platform.deciding_fields`: every field but the listed ones. Compared are parts
that both commits have; a new part of a list at the top is new work, which the rules judge as such. What
`relaxed_trust` or `relaxed_files` shows is not shown again. Public work decides about no data that must stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from isthmus.contracts.platform.deciding_fields import ADDED_FREELY, REMOVED_FREELY, decides
from isthmus.contracts.platform.stated_values import stated_values
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.trust import Trust
from isthmus.core.ip_addresses import is_within
from isthmus.engine.pull_request.approvable import Approvals, short_digest
from policies.inputs.class_scope import platform_is_classified

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform

_KEYS = ("name", "id", "entity", "language", "class_", "endpoint", "workload")
"""Fields by which items of a list are known, the first that all of them have and that tells them apart."""
_LONGEST = 160
"""Characters of a value that are shown; a longer one is shown by its digest too."""
_RENAMED = ("site", "class_", "from_", "to")
"""Fields that an item at the top keeps if only its name changes."""
_WITHOUT_SUCCESSOR = ("endpoints", "pools", "teams", "budgets", "provisioned", "scaling", "exceptions")
"""Lists at the top in which a new item replaces none: another model, another kind of GPU."""


@dataclass(frozen=True)
class _Place:
    """Where a value is: in the model, for people, and as `stated_values` writes it."""

    path: str = ""
    shown: str = ""
    stated: str = ""

    def field(self, key: str) -> _Place:
        return _Place(*(f"{text}.{key}" if text else key for text in (self.path, self.shown, self.stated)))

    def item(self, key: str, stated: str) -> _Place:
        return _Place(self.path, f"{self.shown}[{key}]", f"{self.stated}[{stated}]")

    def key(self, key: str) -> _Place:
        """Below a key of a free map, which is no field of the model."""
        return _Place(self.path, f"{self.shown}.{key}", f"{self.stated}.{key}")


@dataclass(frozen=True)
class _Changed:
    """A changed field, and the part that contains it (if that is new or gone, the outermost such part)."""

    part: str
    shown: str
    old: Any
    new: Any


def setting_changes(
    before: Platform | None, after: Platform | None, trust: Trust, today: date
) -> Iterator[RuleChange]:
    """Changed settings that decide who gets data, one change for each part of the platform.

    One that the base's `trust` names (`changes`) is only shown. Nothing is compared where a commit lacks the stack.
    """
    if before is None or after is None or not any(map(platform_is_classified, (before, after))):
        return
    comparison, approvals = _Comparison(_new_statements(before, after)), Approvals(trust, today)
    parts: dict[str, list[_Changed]] = {}
    for changed in comparison.of_models(before, after, _Place(), ""):
        parts.setdefault(changed.part, []).append(changed)
    for part, fields in sorted(parts.items()):
        yield _rule_change(part, fields, approvals)


def _rule_change(part: str, fields: Sequence[_Changed], approvals: Approvals) -> RuleChange:
    what = fields[0].shown if len(fields) == 1 else part or "the platform"
    if len(fields) == 1:
        old, new = (_text(value) for value in (fields[0].old, fields[0].new))
    else:
        old, new = (
            _shortened(
                "; ".join(f"{field.shown.removeprefix(f'{part}.')}: {_text(value)}" for field, value in pairs)
            )
            for pairs in (
                [(field, field.old) for field in fields],
                [(field, field.new) for field in fields],
            )
        )
    value = f"{what}: {new}"
    return approvals.change(what, old, new, value)


class _Comparison:
    """Walks two platforms side by side. `stated`: places of values that another comparison shows as new."""

    def __init__(self, stated: frozenset[str]):
        self._stated = stated

    def of_models(self, old: BaseModel, new: BaseModel, place: _Place, part: str) -> Iterator[_Changed]:
        """Differences of two versions of one part. `part`: as people know it."""
        for name, info in type(new).model_fields.items():
            before, after = getattr(old, name), getattr(new, name)
            if before != after:
                yield from self._of_values(before, after, place.field(info.alias or name), part)

    def _of_values(self, old: Any, new: Any, place: _Place, part: str) -> Iterator[_Changed]:
        if isinstance(old, BaseModel) and isinstance(new, BaseModel):
            yield from self.of_models(old, new, place, place.shown)
        elif isinstance(old, BaseModel) or isinstance(new, BaseModel):
            yield from self._of_part(old, new, place)
        elif _is_parts(old) or _is_parts(new):
            yield from self._of_lists(old or [], new or [], place)
        elif isinstance(old, dict) or isinstance(new, dict):
            yield from self._of_maps(old or {}, new or {}, place, part, ())
        elif self._decides(place, old, new):
            yield _Changed(part, place.shown, old, new)

    def _of_lists(self, old: Sequence[Any], new: Sequence[Any], place: _Place) -> Iterator[_Changed]:
        """Differences of two lists of parts."""
        key = _key_of(old, new)
        old_items, new_items = (
            {_named(item, key, i): item for i, item in enumerate(xs)} for xs in (old, new)
        )
        is_top = "." not in place.path
        successors = (
            _successors(old_items, new_items) if is_top and place.path not in _WITHOUT_SUCCESSOR else {}
        )
        for index, (name, item) in enumerate(new_items.items()):
            here = place.item(name, _stated_name(item, index))
            before = old_items.get(successors.get(name, name))
            if before is None:
                yield from self._of_part(None, item, here) if not is_top else ()
            elif before != item and not (is_top and _is_public(before) and _is_public(item)):
                yield from self.of_models(before, item, here, here.shown)
        if not is_top:
            for name, item in old_items.items():
                if name not in new_items:
                    yield from self._of_part(item, None, place.item(name, name))

    def _of_part(self, old: BaseModel | None, new: BaseModel | None, place: _Place) -> Iterator[_Changed]:
        """The fields of a part that is new or gone. The part as a whole is what people are shown."""
        free = ADDED_FREELY if old is None else REMOVED_FREELY
        model = new if old is None else old
        if model is not None and place.path not in free:
            for field in _leaves(model, place):
                at, value = field
                values = (None, value) if old is None else (value, None)
                if self._decides(at, *values, is_new=old is None):
                    yield _Changed(place.shown, at.shown, *values)

    def _of_maps(
        self, old: dict[str, Any], new: dict[str, Any], place: _Place, part: str, keys: tuple[str, ...]
    ) -> Iterator[_Changed]:
        """Differences of two free maps, key by key."""
        for key in sorted({*old, *new}, key=str):
            before, after = old.get(key), new.get(key)
            here, path = place.key(str(key)), (*keys, str(key))
            if before == after:
                continue
            if isinstance(before, dict) or isinstance(after, dict):
                yield from self._of_maps(_as_map(before), _as_map(after), here, part, path)
            elif self._decides(here, before, after, keys=path):
                yield _Changed(part, here.shown, before, after)

    def _decides(
        self, place: _Place, old: Any, new: Any, *, is_new: bool = False, keys: tuple[str, ...] = ()
    ) -> bool:
        if self._is_stated(place.stated):
            return False
        if isinstance(new, list):
            # A value that is shown as new is left out, unless nothing else would then be compared.
            known = [
                value
                for index, value in enumerate(new)
                if value in (old or ()) or not self._is_stated(f"{place.stated}[{index}]")
            ]
            if known != new and set(map(str, known)) == set(map(str, old or ())):
                return False
            new = known or new
        return decides(place.path, old, new, is_new=is_new, keys=keys)

    def _is_stated(self, place: str) -> bool:
        parents = [place[:end] for end, char in enumerate(place) if char in ".["]
        return place in self._stated or any(parent in self._stated for parent in parents)


def _leaves(model: BaseModel, place: _Place) -> Iterator[tuple[_Place, Any]]:
    """The fields of a part, and of the parts in it, that are not at their defaults."""
    for name, info in type(model).model_fields.items():
        value, at = getattr(model, name), place.field(info.alias or name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, at)
        elif _is_parts(value):
            for index, item in enumerate(value):
                label = _stated_name(item, index)
                yield from _leaves(item, at.item(label, label))
        elif isinstance(value, dict):
            yield from ((at.key(str(key)), part) for key, part in value.items())
        elif info.is_required() or value != info.get_default(call_default_factory=True):
            yield at, value


def _as_map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_parts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], BaseModel)


def _key_of(*lists: Sequence[Any]) -> str | None:
    """The field by which the items of both lists are known; None: by their order."""
    for key in _KEYS:
        names = [[getattr(item, key, None) for item in items] for items in lists]
        if all(None not in part and len(set(map(str, part))) == len(part) for part in names):
            return key
    return None


def _named(item: Any, key: str | None, index: int) -> str:
    return str(getattr(item, key)) if key else str(index)


def _stated_name(item: Any, index: int) -> str:
    """The item as `isthmus.core.yaml_documents.dotted` writes it."""
    return str(getattr(item, "name", None) or getattr(item, "id", None) or index)


def _successors(old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """New name → the name of the item that it replaces: one that is gone from the same site and class."""
    gone = [name for name in old if name not in new]
    replaced: dict[str, str] = {}
    for name in new:
        for earlier in gone if name not in old else ():
            if earlier not in replaced.values() and _kept(old[earlier]) == _kept(new[name]):
                replaced[name] = earlier
                break
    return replaced


def _kept(item: Any) -> list[Any]:
    return [getattr(item, field, None) for field in _RENAMED]


def _is_public(item: Any) -> bool:
    return getattr(item, "class_", None) == "public"


def _new_statements(before: Platform, after: Platform) -> frozenset[str]:
    """Places of values that the platform states anew, all of which `relaxed_trust.stated_changes` shows."""
    known = {(value.kind, value.value) for value in stated_values(before)}
    ranges = [value for kind, value in known if kind == "address_ranges"]
    return frozenset(
        value.where
        for value in stated_values(after)
        if (value.kind, value.value) not in known
        and not (value.kind == "address_ranges" and is_within(value.value, ranges))
    )


def _text(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, str):
        return _shortened(value)
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return _shortened(", ".join(map(str, value)))
    return _shortened(json.dumps(value, sort_keys=True, default=str))


def _shortened(text: str) -> str:
    """The text as an entry of trust.yaml can name it: on one line, without `*`, of bounded length."""
    shown = " ".join(text.split())
    if shown == text and "*" not in text and len(text) <= _LONGEST:
        return text
    return f"{shown.replace('*', '…')[: _LONGEST - 30]} (sha256:{short_digest(text.encode())})"


__all__ = ["setting_changes"]
