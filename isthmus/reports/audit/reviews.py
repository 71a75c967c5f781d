"""Held answers in the audit records: their decisions, and whether each released answer had enough approvals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.reference.handling import HANDLING, Handling

ENDS = ("approved", "rejected", "expired")


@dataclass
class Reviews:
    """Collects the records of reviews, in any order: records of different writers are not sorted by time."""

    _put_away: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _delivered: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """Answers that people look at after their delivery."""
    _planted: set[str] = field(default_factory=set)
    """Ids of wrong answers that the review service planted. No caller asked for them, and none may get them."""
    _ended: dict[tuple[str, str, str], set[str]] = field(default_factory=dict)
    _given: dict[tuple[str, str, str, str], str] = field(default_factory=dict)
    _approved: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _cases: set[str] = field(default_factory=set)
    """Ids of people's cases, which one reviewer answers."""

    def add(self, record: Mapping[str, Any], *, counted: bool) -> None:
        """Add a record. `counted`: its time is in the report's period. Approvals before the period count too."""
        where = (str(record["class"]), str(record["site"]))
        if record["kind"] == "outcome":
            held = record.get("held") or {}
            if held.get("delivered"):
                # Also before the period: its decision may be within.
                self._delivered.setdefault(where, set()).add(record["id"])
            if counted and held.get("kept") is True:
                self._put_away.setdefault(where, set()).add(record["id"])
            return
        act, held_id, sha256 = record["act"], record["id"], record["sha256"]
        if act == "open":
            self._cases.add(held_id)
        if record.get("planted") is True:
            # Also before the period: its decision may be within.
            self._planted.add(held_id)
            return
        if act in ("approve", "correct") and (person := record["who"].get("reviewer")):
            self._approved.setdefault((held_id, sha256), set()).add(str(person))
        elif act == "give" and counted:
            self._given[(*where, held_id, sha256)] = f"{record['time']} by {record['gateway']}"
        if counted and act != "give" and record["state"] in ENDS:
            self._ended.setdefault((*where, record["state"]), set()).add(held_id)

    def unapproved(self, handling: Mapping[str, Handling]) -> list[str]:
        """Return a line for each answer that was released with fewer approvals than its class requires."""
        unapproved = []
        for (class_, _, held_id, sha256), given_out in sorted(self._given.items()):
            if held_id in self._planted:
                unapproved.append(f"planted answer {held_id}, class {class_}, was released at {given_out}")
                continue
            class_handling = handling.get(class_) or HANDLING.get(class_)  # pyright: ignore[reportArgumentType, reportCallIssue]
            needed = (
                class_handling.approvers
                if class_handling
                else max(default.approvers for default in HANDLING.values())
            )
            needed = 1 if held_id in self._cases else needed
            people = len(self._approved.get((held_id, sha256), ()))
            if people < needed:
                unapproved.append(
                    f"held answer {held_id}, class {class_}, was released at {given_out}: {people} of {needed} "
                    "approvals are on record"
                )
        return unapproved

    def rows(self) -> list[dict[str, Any]]:
        """Return by class and site how many answers were held, decided, released, and looked at after delivery."""
        places = {*self._put_away, *(key[:2] for key in self._ended), *(key[:2] for key in self._given)}
        return [self._row(place) for place in sorted(places)]

    def _row(self, place: tuple[str, str]) -> dict[str, Any]:
        delivered = self._delivered.get(place, set())
        put_away = self._put_away.get(place, set())
        ended = {end: self._ended.get((*place, end), set()) for end in ENDS}
        return {
            "class": place[0],
            "site": place[1],
            "held": len(put_away - delivered),
            **{end: len(ids - delivered) for end, ids in ended.items()},
            "given_out": len({key[2] for key in self._given if key[:2] == place}),
            "delivered": len(put_away & delivered),
            "looked_at": len((ended["approved"] | ended["rejected"]) & delivered),
        }
