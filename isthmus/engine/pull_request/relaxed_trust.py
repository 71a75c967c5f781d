"""Finds what a branch trusts or names outside the platform that the base commit does not.

Compared are the entries of `trust.yaml`, and every address, account, principal, registry, namespace, … that the
platform states (`isthmus.contracts.platform.stated_values`), whether or not it is foreign.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Literal

from isthmus.contracts.platform.protections import loosens, protections
from isthmus.contracts.platform.stated_values import WORDS, StatedValue, is_private, stated_values
from isthmus.contracts.reference.engine_flags import judge_arguments
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.trust import FILE, KINDS, Entry, Trust
from isthmus.core.ip_addresses import is_within

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform

_ONLY_SHOWN = ("hosts", "namespaces")
"""Kinds of which a new value is shown for review if it is not foreign. So is a new private address range."""


def trust_changes(before: Trust, after: Trust) -> Iterator[RuleChange]:
    """Changes of `trust.yaml`. A new entry and a later end loosen; nothing else does."""
    for kind in KINDS:
        old_entries, new_entries = (
            {entry.value: entry for entry in trust.entries(kind)} for trust in (before, after)
        )
        for value in sorted({*old_entries, *new_entries}):
            old, new = old_entries.get(value), new_entries.get(value)
            if old != new:
                loosens = new is not None and (old is None or _end(new) > _end(old))
                yield RuleChange(
                    kind="trust",
                    what=f"{FILE} {kind} {value}",
                    old=_entry_text(old),
                    new=_entry_text(new),
                    loosens=loosens,
                )


def stated_changes(
    before: Platform | None, after: Platform | None, trust: Trust, today: date
) -> Iterator[RuleChange]:
    """Values that the platform of the branch states and that of the base does not, and those that are gone.

    A new value loosens. One that the base's `trust` covers is only shown, as is a flag of vLLM that keeps data in the
    pod. Nothing is compared where a commit lacks the stack.
    """
    if before is None or after is None:
        return
    old_values, new_values = (
        {(value.kind, value.value): value for value in stated_values(platform)}
        for platform in (before, after)
    )
    known_ranges = [value for kind, value in old_values if kind == "address_ranges"]
    for key in sorted({*old_values, *new_values}):
        old, new = old_values.get(key), new_values.get(key)
        if old is None and new is not None:
            if new.kind != "address_ranges" or not is_within(new.value, known_ranges):
                yield RuleChange(
                    kind="reach" if _is_trusted(new, trust, today) else _change_kind(new),
                    what=_name(new),
                    new=new.where,
                    loosens=True,
                )
        elif old is not None and new is None:
            yield RuleChange(kind=_change_kind(old), what=_name(old), old=old.where, loosens=False)


def protection_changes(before: Platform | None, after: Platform | None) -> Iterator[RuleChange]:
    """Guards, records, filters and issuers that are gone or different, and new ways that a network or link opens.

    Nothing is compared where a commit lacks the stack.
    """
    if before is None or after is None:
        return
    old_protections, new_protections = protections(before), protections(after)
    owners = {protection.owner for protection in new_protections.values()}
    for label in sorted({*old_protections, *new_protections}):
        old, new = old_protections.get(label), new_protections.get(label)
        if old != new:
            yield RuleChange(
                kind="reach" if any(part and part.routine for part in (old, new)) else "trust",
                what=label,
                old=old.strength if old else "",
                new=new.strength if new else "",
                loosens=loosens(old, new, owners),
            )


def _end(entry: Entry) -> date:
    return entry.expires or date.max


def _entry_text(entry: Entry | None) -> str:
    if entry is None:
        return ""
    until = f"until {entry.expires}" if entry.expires else "without end"
    return f"by {entry.owner}, {until}: {entry.reason}"


def _is_trusted(value: StatedValue, trust: Trust, today: date) -> bool:
    if value.kind == "engine_flags":
        return all(
            judged.effect == "keeps" or trust.find("engine_flags", judged.flag, today) is not None
            for judged in judge_arguments([value.value])
        )
    if value.kind == "people":
        return trust.find("principals", value.value.partition(": ")[2], today) is not None
    return value.kind in KINDS and trust.find(value.kind, value.value, today) is not None


def _name(value: StatedValue) -> str:
    return f"{WORDS[value.kind]} {value.value}"


def _change_kind(value: StatedValue) -> Literal["trust", "reach"]:
    """`reach`: a new value is shown for review. `trust`: it stops the change."""
    if value.foreign:
        return "trust"
    private_range = value.kind == "address_ranges" and is_private(value.value)
    return "reach" if value.kind in _ONLY_SHOWN or private_range or value.ordinary else "trust"
