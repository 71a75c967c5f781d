"""What a workload asks of an endpoint: its rate at the peak, its lengths, its goals, its volume in a month."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.planning.sizing.load import Lengths

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Workload

HOURS = 730.0
"""Of a month."""
OFFICE = (0.02,) * 7 + (0.3, 0.8, 1.0, 1.0, 1.0, 0.7, 0.8, 1.0, 1.0, 1.0, 0.8, 0.4, 0.2, 0.1) + (0.02,) * 3
"""`office-hours`, as weights of the hours of a day: an assumption of ours, not a measurement."""


@dataclass(frozen=True)
class Demand:
    """One workload, in numbers."""

    rate: float
    """Requests a second that must be carried: the peak; for batch work the rate at which it is done in time."""
    lengths: Lengths
    ttft_ms: float | None
    tpot_ms: float | None
    """None: not asked for (batch work)."""
    burst: float
    requests: float
    """In a month."""

    @property
    def prompt_tokens(self) -> float:
        """In a month."""
        return self.requests * self.lengths.prompt

    @property
    def output_tokens(self) -> float:
        """In a month."""
        return self.requests * self.lengths.output


def of(workload: Workload) -> Demand:
    """The demand of a workload as its requirements state it."""
    traffic, slo = workload.traffic, workload.slo
    writes = workload.task in ("chat", "guard")
    lengths = Lengths(
        prompt=traffic.prompt_tokens.mean,
        output=traffic.output_tokens.mean if writes else 0.0,
        prompt_p95=traffic.prompt_tokens.p95,
        output_p95=traffic.output_tokens.p95 if writes else 0.0,
        # All of a prompt cannot be in the cache: its last token is always computed.
        hit=min(traffic.prefix_hit_ratio, 0.99),
    )
    batch = workload.mode == "batch"
    return Demand(
        rate=in_time(weights(workload), traffic.mean_rps, slo.complete_within_hours or 24.0)
        if batch
        else traffic.peak_rps,
        lengths=lengths,
        ttft_ms=None if batch else slo.ttft_p95_ms,
        tpot_ms=None if batch else slo.tpot_p95_ms,
        burst=traffic.arrival_cv,
        requests=traffic.mean_rps * 3600 * HOURS,
    )


def weights(workload: Workload) -> tuple[float, ...]:
    """The load of each hour of a day, as a multiple of the mean."""
    profile = workload.traffic.profile
    raw = (1.0,) * 24 if profile == "flat" else OFFICE if profile == "office-hours" else tuple(profile)
    mean = sum(raw) / 24
    return tuple(each / mean for each in raw)


def in_time(hours: tuple[float, ...], mean_rps: float, within: float) -> float:
    """Requests a second at which all that comes is done `within` so many hours.

    Whatever comes in some hours, and before, must be done by the end of them and `within` more: the fullest
    stretch of the day decides.
    """
    needed = mean_rps
    for start in range(24):
        come = 0.0
        for length in range(1, 25):
            come += hours[(start + length - 1) % 24] * mean_rps
            needed = max(needed, come / (length + within - 1) if length + within > 1 else come)
    return needed


def beyond(workload: Workload, part: float) -> float:
    """Part of a month's requests that come while the load is above `part` of the peak: what overflows.

    From the day's profile: the hours' mean loads, the busiest of which is taken to reach the peak.
    """
    shape = weights(workload)
    top, mean = max(shape), workload.traffic.mean_rps
    # The profile's busiest hour is stretched to the peak, all others keep the month's volume.
    scale = workload.traffic.peak_rps / (top * mean)
    over = sum(max(0.0, each * mean * scale - part * workload.traffic.peak_rps) for each in shape)
    whole = sum(each * mean * scale for each in shape)
    return over / whole if whole else 0.0
