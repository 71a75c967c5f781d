"""Hides figures of fewer than five people, also from subtraction. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass

LEAST_PEOPLE = 5
"""People of whom figures together may be shown at least."""


@dataclass(frozen=True)
class Shown:
    """Which groups may be shown."""

    groups: list[str]
    together: list[str]
    """Hidden groups of which one figure together may be shown. Empty: there are none, or they are too few people."""
    hidden: list[str]
    """Groups of which nothing may be shown."""


def hide_small_groups(people: Mapping[str, Collection[Hashable]]) -> Shown:
    """The groups with enough people. `people`: who contributed, by group. What one person did is in one group.

    A total minus the shown groups is what the hidden ones did together. If these are fewer than five people, the
    smallest shown group is hidden too.
    """
    shown = sorted(name for name, group in people.items() if len(set(group)) >= LEAST_PEOPLE)
    hidden = sorted(people.keys() - set(shown))

    def together() -> int:
        return len({person for name in hidden for person in people[name]})

    while hidden and together() < LEAST_PEOPLE and shown:
        smallest = min(shown, key=lambda name: (len(set(people[name])), name))
        shown.remove(smallest)
        hidden = sorted([*hidden, smallest])
    if together() >= LEAST_PEOPLE:
        return Shown(shown, hidden, [])
    return Shown(shown, [], hidden)
