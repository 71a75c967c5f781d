"""What people are told of a planted answer or a second look after their decision, and whom. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge.config.desk import PlantedAnswers
from edge.reviews.reviewers import Person


@dataclass(frozen=True)
class Notice:
    """What was planted."""

    wrong: str
    """What was wrong. Empty for a second look, and for an entry that is not in the settings any more."""
    is_second_look: bool

    def as_json(self) -> dict[str, Any]:
        """The fields that the API adds to an answer."""
        return {"second_look": True} if self.is_second_look else {"planted": self.wrong}


def notice_of(
    settings: Mapping[str, PlantedAnswers], person: Person, row: Mapping[str, Any]
) -> Notice | None:
    """The notice for a person. None for a real answer, and while this person may not know.

    Whoever decided on it may know when nobody else has to decide. So may those who never decide, the auditors.

    Args:
        settings: planted answers by domain.
        row: `planted`, `state`, `entry` (empty for a second look), `decided_by`, `workload` and `domain`.
    """
    if not row["planted"] or row["state"] in ("held", "escalated"):
        return None
    if person.name not in row["decided_by"] and person.may_decide(row["workload"], row["domain"]):
        return None
    planted = settings.get(row["domain"])
    entries = planted.answers if planted is not None else []
    wrong = next((entry.wrong for entry in entries if entry.name == row["entry"]), "")
    return Notice(wrong, is_second_look=not row["entry"])
