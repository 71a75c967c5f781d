"""Estimates what Bedrock charges for checking prompts and answers by a guardrail. No plan's total has this amount yet.

Prices of a thousand text units of up to 1,000 characters: content filters 0.15 USD and personal data 0.10 USD (AWS,
"What's New" of December 2024, and its pricing page as quoted on 2026-05-14). No price by region is known.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from isthmus.contracts.reference import handling
from isthmus.planning.options.option import OnApi
from isthmus.planning.sizing import demand

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.solver.program import Solution

CONTENT_USD, PERSONAL_DATA_USD = 0.15, 0.10
"""USD for 1,000 text units."""
CHARACTERS_PER_UNIT = 1000
CHARACTERS_PER_TOKEN = 4
"""An estimate for English; other languages have fewer."""


def guardrail_usd(requirements: Requirements, solution: Solution) -> dict[str, float]:
    """USD a month for each workload that a plan puts on Bedrock. A blueprint puts a guardrail around every call."""
    found: dict[str, float] = {}
    for workload in requirements.workloads:
        share = sum(
            part for option, part, _ in solution.choices[workload.name].parts if isinstance(option, OnApi)
        )
        if not share:
            continue
        asked = demand.of_workload(workload)
        units = _units(asked.lengths.prompt) + _units(asked.lengths.output)
        price = CONTENT_USD + (
            PERSONAL_DATA_USD if handling.handling_of(workload.sensitivity).redacted else 0.0
        )
        found[workload.name] = asked.requests * share * units * price / 1000
    return found


def _units(tokens: float) -> int:
    """Text units of a prompt or an answer of this many tokens."""
    return math.ceil(tokens * CHARACTERS_PER_TOKEN / CHARACTERS_PER_UNIT)
