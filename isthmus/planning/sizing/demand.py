"""Computes the demand of a workload: peak rate, request lengths, latency goals, monthly volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.planning.sizing.load import Lengths
from isthmus.planning.sizing.rounding import Goals

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Workload

HOURS_PER_MONTH = 730.0
"""365 × 24 / 12."""
OFFICE_HOURS_PROFILE = (
    (0.02,) * 7 + (0.3, 0.8, 1.0, 1.0, 1.0, 0.7, 0.8, 1.0, 1.0, 1.0, 0.8, 0.4, 0.2, 0.1) + (0.02,) * 3
)
"""Weights of the hours of a day for `office-hours`. An assumption, not a measurement."""


@dataclass(frozen=True)
class Demand:
    """The demand of one workload."""

    rate: float
    """Requests a second to carry: the peak, or for batch work the rate that meets its deadline."""
    lengths: Lengths
    goals: Goals
    """None of them for batch work."""
    burst: float
    requests: float
    """In a month."""
    batch_requests: float = 0.0
    """Lines of batches in a month. They use the capacity that the others leave."""

    @property
    def batch_share(self) -> float:
        """Lines of batches for each other request."""
        return self.batch_requests / self.requests

    @property
    def prompt_tokens(self) -> float:
        """In a month."""
        return self.requests * self.lengths.prompt

    @property
    def output_tokens(self) -> float:
        """In a month."""
        return self.requests * self.lengths.output


def of_workload(workload: Workload) -> Demand:
    """Return the demand of a workload."""
    traffic, slo = workload.traffic, workload.slo
    has_output = workload.task in ("chat", "guard")
    lengths = Lengths(
        prompt=traffic.prompt_tokens.mean,
        output=traffic.output_tokens.mean if has_output else 0.0,
        prompt_p95=traffic.prompt_tokens.p95,
        output_p95=traffic.output_tokens.p95 if has_output else 0.0,
        # The last token of a prompt is always computed, so a prompt is never completely in the cache.
        hit=min(traffic.prefix_hit_ratio, 0.99),
    )
    is_batch = workload.mode == "batch"
    return Demand(
        rate=batch_rate(hourly_weights(workload), traffic.mean_rps, slo.complete_within_hours or 24.0)
        if is_batch
        else traffic.peak_rps,
        lengths=lengths,
        goals=Goals()
        if is_batch
        else Goals(slo.ttft_p95_ms, slo.tpot_p95_ms, slo.answer_p95_ms, lengths.output_p95),
        burst=traffic.arrival_cv,
        requests=traffic.mean_rps * 3600 * HOURS_PER_MONTH,
        batch_requests=workload.batches.requests_per_day * HOURS_PER_MONTH / 24 if workload.batches else 0.0,
    )


def hourly_weights(workload: Workload) -> tuple[float, ...]:
    """Return the load of each hour of a day, as a multiple of the mean."""
    profile = workload.traffic.profile
    profile_weights = (
        (1.0,) * 24
        if profile == "flat"
        else OFFICE_HOURS_PROFILE
        if profile == "office-hours"
        else tuple(profile)
    )
    mean = sum(profile_weights) / 24
    return tuple(weight / mean for weight in profile_weights)


def batch_rate(hours: tuple[float, ...], mean_rps: float, deadline_hours: float) -> float:
    """Return the requests a second at which every request is done within `deadline_hours`.

    Requests of any stretch of hours must be done `deadline_hours` after its end. The busiest stretch decides.
    """
    required_rate = mean_rps
    for start in range(24):
        arrived = 0.0
        for length in range(1, 25):
            arrived += hours[(start + length - 1) % 24] * mean_rps
            required_rate = max(
                required_rate,
                arrived / (length + deadline_hours - 1) if length + deadline_hours > 1 else arrived,
            )
    return required_rate


def overflow_share(workload: Workload, peak_part: float) -> float:
    """Return the share of a month's requests that overflow because the load is above `peak_part` of the peak.

    Computed from the mean loads of the hours of a day. The busiest hour is assumed to reach the peak.
    """
    hourly = hourly_weights(workload)
    busiest, mean = max(hourly), workload.traffic.mean_rps
    # The profile's busiest hour is stretched to the peak, all others keep the month's volume.
    scale = workload.traffic.peak_rps / (busiest * mean)
    overflow = sum(
        max(0.0, weight * mean * scale - peak_part * workload.traffic.peak_rps) for weight in hourly
    )
    total = sum(weight * mean * scale for weight in hourly)
    return overflow / total if total else 0.0
