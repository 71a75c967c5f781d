"""Prices that the gateways of a platform count, as reports show them."""

from __future__ import annotations

from isthmus.contracts.platform.model.costs_and_traces import EndpointCost
from isthmus.contracts.reports.usage import UsagePrice


def usage_price(endpoint: str, cost: EndpointCost | None) -> UsagePrice:
    """The price of an endpoint. One without a price has no amount."""
    if cost is None:
        return UsagePrice(endpoint=endpoint)
    tokens = cost.usd_per_million_tokens
    return UsagePrice(
        endpoint=endpoint,
        usd_per_gpu_hour=cost.usd_per_gpu_hour,
        usd_per_million_prompt_tokens=tokens.prompt if tokens else None,
        usd_per_million_completion_tokens=tokens.completion if tokens else None,
        usd_per_million_cached_tokens=tokens.cached if tokens else None,
        source=cost.source,
        as_of=cost.as_of,
    )
