"""Finds what a branch trusts or names outside the platform that the base commit does not.

Compared are the entries of `trust.yaml`, and every address, account, principal, registry, namespace, … that the
platform states (`isthmus.contracts.platform.stated_values`), whether or not it is foreign.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Literal

from isthmus.contracts.platform.protections import Protection, loosens, protections
from isthmus.contracts.platform.stated_values import WORDS, StatedValue, is_private, stated_values
from isthmus.contracts.reference.engine_flags import judge_arguments
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.trust import FILE, KINDS, Entry, Kind, Trust
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
    pod, the first account or cluster of a site, which pins it, and a registry below the base's own. Nothing is compared
    where a commit lacks the stack.
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
                is_shown_only = (
                    _is_trusted(new, trust, today)
                    or _is_first_pin(new, before)
                    or _is_below_own_registry(new, before)
                )
                yield RuleChange(
                    kind="reach" if is_shown_only else _change_kind(new),
                    what=_name(new),
                    new=new.where,
                    loosens=True,
                    entry=_proposed(new),
                )
        elif old is not None and new is None:
            yield RuleChange(kind=_change_kind(old), what=_name(old), old=old.where, loosens=False)


def protection_changes(
    before: Platform | None, after: Platform | None, trust: Trust, today: date
) -> Iterator[RuleChange]:
    """Guards, records, filters and issuers that are gone or different, and new ways that a network or link opens.

    One that the base's `trust` names (`changes`, or `objects` for what an object makes) is only shown. Nothing is
    compared where a commit lacks the stack.
    """
    if before is None or after is None:
        return
    old_protections, new_protections = protections(before), protections(after)
    owners = {protection.owner for protection in new_protections.values()}
    for label in sorted({*old_protections, *new_protections}):
        old, new = old_protections.get(label), new_protections.get(label)
        if old != new and _strength(old) != _strength(new):
            is_routine = any(part and part.routine for part in (old, new))
            by_words: tuple[Kind, str] = ("changes", f"{label}: {new.strength if new else 'none'}")
            entry: tuple[Kind, str] = ("objects", new.made_by) if new and new.made_by else by_words
            is_trusted = any(trust.find(*accepted, today) is not None for accepted in (entry, by_words))
            yield RuleChange(
                kind="reach" if is_routine or is_trusted else "trust",
                what=label,
                old=old.strength if old else "",
                new=new.strength if new else "",
                loosens=loosens(old, new, owners),
                entry=entry,
            )


def _strength(protection: Protection | None) -> str:
    """The strength as it is compared: what is not stated is as if its owner were gone."""
    return "" if protection is None or protection.strength == "none" else protection.strength


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
    kind, text = _entry(value)
    entry = trust.find(kind, text, today) or trust.find("changes", _name(value), today)
    return entry is not None


def _entry(value: StatedValue) -> tuple[Kind, str]:
    """The entry of `trust.yaml` that covers a value."""
    if value.kind == "people":
        return "principals", value.value.partition(": ")[2]
    if value.kind == "engine_flags":
        judged = [flag for flag in judge_arguments([value.value]) if flag.effect != "keeps"]
        return "engine_flags", judged[0].flag if judged else value.value
    for kind in KINDS:
        if kind == value.kind:
            return kind, value.value
    return "changes", _name(value)


def _proposed(value: StatedValue) -> tuple[Kind, str]:
    """The entry to propose: of people exactly the new role, since `principals` trusts them with more than that."""
    return ("changes", _name(value)) if value.kind == "people" else _entry(value)


def _is_first_pin(value: StatedValue, before: Platform) -> bool:
    """Whether a value pins the account or cluster of a site that had none pinned: it allows nothing more."""
    for site in before.sites:
        pins = {"account_id": site.account_id, "cluster_uid": site.cluster_uid}
        for field, pinned in pins.items():
            if value.where == f"sites[{site.name}].{field}" and pinned is None:
                return True
    return False


def _is_below_own_registry(value: StatedValue, before: Platform) -> bool:
    """Whether a registry is a part of the organisation's own one (`images.registry`), as the base states it."""
    own = (before.images.registry or "").rstrip("/")
    return value.kind == "registries" and bool(own) and value.value.startswith(f"{own}/")


def _name(value: StatedValue) -> str:
    return f"{WORDS[value.kind]} {value.value}"


def _change_kind(value: StatedValue) -> Literal["trust", "reach"]:
    """`reach`: a new value is shown for review. `trust`: it stops the change."""
    if value.foreign:
        return "trust"
    private_range = value.kind == "address_ranges" and is_private(value.value)
    return "reach" if value.kind in _ONLY_SHOWN or private_range or value.ordinary else "trust"
