"""What Bedrock charges for the guardrail around each call: every blueprint puts one on a class that calls Bedrock.

AWS counts text units of up to 1,000 characters, of a prompt and of an answer, for each kind of filter in use.
Blueprints use content filters and filters of personal data (`blueprints/parts/aws.yaml.j2`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.contracts.reference import handling
from isthmus.planning.catalogues import fixed_prices
from isthmus.planning.sizing import demand

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import AwsSite, Workload
    from isthmus.planning.catalogues.fixed_prices import UnitPrice

CHARACTERS_PER_UNIT = 1000
CHARACTERS_PER_TOKEN = 4
"""An estimate for English; languages with other scripts have fewer."""
_FILTERS = {"guardrail-content": "content filters", "guardrail-personal-data": "filters of personal data"}


@dataclass(frozen=True)
class FilterCost:
    """What one kind of filter checks for a workload in a month, if all its requests go to Bedrock."""

    what: str
    thousand_units: float
    price: UnitPrice
    """Of a thousand text units."""

    @property
    def monthly_usd(self) -> float:
        return self.thousand_units * self.price.usd


def filter_costs(workload: Workload, site: AwsSite) -> Iterator[FilterCost]:
    """What each filter of the class's guardrail costs. Bedrock applies none to embeddings and rerankers."""
    if workload.task != "chat":
        return
    asked = demand.of_workload(workload)
    units = text_units(asked.lengths.prompt) + text_units(asked.lengths.output)
    for item, words in _FILTERS.items():
        if item == "guardrail-personal-data" and not handling.handling_of(workload.sensitivity).redacted:
            continue
        price = fixed_prices.unit_price(item, site.region, site.prices)
        yield FilterCost(words, asked.requests * units / 1000, price)


def text_units(tokens: float) -> int:
    """Text units of a prompt or an answer of this many tokens."""
    return math.ceil(tokens * CHARACTERS_PER_TOKEN / CHARACTERS_PER_UNIT)
