"""Finds what a branch trusts or names outside the platform that the base commit does not.

Compared are the entries of `trust.yaml`, and every address, account, principal, registry, namespace, … that the
platform states (`isthmus.contracts.platform.stated_values`), whether or not it is foreign.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

from isthmus.contracts.platform.stated_values import StatedValue, is_private, stated_values
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.trust import FILE, KINDS, Entry, Trust
from policies.release.change import REACH

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform

_ONLY_SHOWN = ("hosts", "namespaces")
"""Kinds of which a new value that is not foreign is shown for review, and does not stop the change."""


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
                    what=f"{FILE}, {kind}: {value}",
                    old=_entry_text(old),
                    new=_entry_text(new),
                    loosens=loosens,
                )


def stated_changes(before: Platform | None, after: Platform | None) -> Iterator[RuleChange]:
    """Values that the platform of the branch states and that of the base does not, and those that are gone.

    A new value loosens. Nothing is compared where a commit lacks the stack.
    """
    if before is None or after is None:
        return
    old_values, new_values = (
        {(value.kind, value.value): value for value in stated_values(platform)}
        for platform in (before, after)
    )
    for key in sorted({*old_values, *new_values}):
        old, new = old_values.get(key), new_values.get(key)
        if old is None and new is not None:
            if not _lies_within_known(new, old_values.values()):
                subject = f"{new.kind}: {new.value}" + (REACH if _is_only_shown(new) else "")
                yield RuleChange(kind="trust", what=subject, new=new.where, loosens=True)
        elif old is not None and new is None:
            yield RuleChange(kind="trust", what=f"{old.kind}: {old.value}", old=old.where, loosens=False)


def _end(entry: Entry) -> date:
    return entry.expires or date.max


def _entry_text(entry: Entry | None) -> str:
    if entry is None:
        return ""
    until = f"until {entry.expires}" if entry.expires else "without end"
    return f"by {entry.owner}, {until}: {entry.reason}"


def _is_only_shown(value: StatedValue) -> bool:
    if value.foreign:
        return False
    return value.kind in _ONLY_SHOWN or (value.kind == "address_ranges" and is_private(value.value))


def _lies_within_known(value: StatedValue, known: Any) -> bool:
    """Whether a range lies in one that the base states already."""
    if value.kind != "address_ranges":
        return False
    network: Any = ipaddress.ip_network(value.value)
    ranges = (ipaddress.ip_network(other.value) for other in known if other.kind == "address_ranges")
    return any(network.version == range_.version and network.subnet_of(range_) for range_ in ranges)
