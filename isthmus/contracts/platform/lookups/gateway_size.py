"""How many copies of a gateway carry a planned load, and the bounds of their scaling by CPU.

The rule. A copy is one process with one event loop, so a busy gateway gets more copies and not more CPU.
Its need in CPUs is

    requests a second / 500 + streamed tokens a second / 6,700

and the copies are as many as carry it at 70 % of their CPU when one of them is away, at least two. Tokens a second are
the peak rate times an answer's mean tokens: as many streams at once as that takes are in it.

Both figures are of the benchmark of docs/performance.md, a gateway on one CPU: 1,040 whole answers a second, of which
half is taken, since prompts are longer and a rack's CPU may be slower; and 175 streams of 32 events in a CPU's second,
which leaves 0.15 ms for an event.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Workload

REQUESTS_PER_CPU = 500
"""Whole answers a second."""
TOKENS_PER_CPU = 6700
"""Tokens a second, each an event of a stream."""
USED = 0.7
"""Part of a copy's CPU at the peak; what a HorizontalPodAutoscaler aims at, too."""
LEAST = 2


def copies(peak_rps: float, tokens_a_second: float, cpu: float = 1) -> int:
    """Copies of a gateway, of so many CPUs each."""
    needed = peak_rps / REQUESTS_PER_CPU + tokens_a_second / TOKENS_PER_CPU
    # More than one CPU helps TLS and records, which have threads of their own, and not the event loop.
    carries = USED * min(cpu, 1)
    return max(LEAST, math.ceil(needed / carries) + 1)


def planned_copies(workloads: Iterable[Workload]) -> int:
    """Copies of the gateway that serves these workloads."""
    traffic = [each.traffic for each in workloads]
    return copies(
        sum(each.peak_rps for each in traffic),
        sum(each.peak_rps * each.output_tokens.mean for each in traffic),
    )
