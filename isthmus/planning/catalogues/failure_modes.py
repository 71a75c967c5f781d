"""How often the parts of a platform fail, and for how long, from `data/failure_modes.json`.

The requirements may state their own figures (`planning.failures`). The figures are averages of other people's
platforms: estimates from published studies, or assumptions where no study was found.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

from isthmus.planning.catalogues import tables

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.vocabulary import FailurePart

HOURS_PER_YEAR = 8760.0


@dataclass(frozen=True)
class FailureMode:
    """The failures of one kind of part."""

    part: FailurePart
    rate_per_year: float
    repair_hours: float
    """Mean hours from the failure until the part works again."""
    common_cause: float
    """Share of the failures that hit all parts of the kind at once (the beta factor of IEC 61508-6, annex D)."""
    kind: Literal["estimated", "assumed", "given"]
    source: str
    as_of: str

    @property
    def own(self) -> float:
        """Share of the time in which a part is down by a failure of its own."""
        return share_down(self.rate_per_year * (1 - self.common_cause), self.repair_hours)

    @property
    def common(self) -> float:
        """Share of the time in which all parts of the kind are down together."""
        return share_down(self.rate_per_year * self.common_cause, self.repair_hours)


def share_down(rate_per_year: float, repair_hours: float) -> float:
    """Return the share of the time that repairs take, 0 to 1, when failures and repairs alternate."""
    load = rate_per_year * repair_hours / HOURS_PER_YEAR
    return load / (1 + load)


@functools.cache
def table() -> Mapping[FailurePart, FailureMode]:
    """Return the failure modes of the table, in its order."""
    return {
        row["part"]: FailureMode(
            cast("FailurePart", row["part"]),
            row["rate_per_year"],
            row["repair_hours"],
            row["common_cause"],
            **row["evidence"],
        )
        for row in tables.rows("failure_modes")
    }


def of_requirements(requirements: Requirements) -> Mapping[FailurePart, FailureMode]:
    """Return the failure modes with the requirements' own figures in place of the table's."""
    modes = dict(table())
    for part, stated in requirements.planning.failures.items():
        figures = {
            key: value
            for key in ("rate_per_year", "repair_hours", "common_cause")
            if (value := getattr(stated, key)) is not None
        }
        if figures:
            mode = modes[part]
            rest = "" if len(figures) == 3 else f"; other figures: {mode.source} ({mode.as_of})"
            modes[part] = replace(
                mode,
                **figures,
                kind="given",
                source=f"{stated.source or f'requirements, planning.failures.{part}'}{rest}",
                as_of=stated.as_of or "not stated",
            )
    return modes
