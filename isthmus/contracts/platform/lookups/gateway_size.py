"""Computes how many copies of a gateway carry a planned load.

The rule: a copy is one process with one event loop, so a busy gateway gets more copies and not more CPU.
Its need in CPUs is

    requests a second / 500 + streamed tokens a second / 6,700

and there are enough copies to carry it at 70 % of their CPU with one copy away; at least two. Tokens a second are
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
TARGET_UTILISATION = 0.7
"""Part of a copy's CPU at the peak; what KEDA aims at, too."""
MIN_COPIES = 2


def copies(peak_rps: float, tokens_a_second: float, cpu: float = 1) -> int:
    """Copies of a gateway with `cpu` CPUs each."""
    needed = peak_rps / REQUESTS_PER_CPU + tokens_a_second / TOKENS_PER_CPU
    # More than one CPU helps TLS and records, which have threads of their own, and not the event loop.
    capacity = TARGET_UTILISATION * min(cpu, 1)
    return max(MIN_COPIES, math.ceil(needed / capacity) + 1)


def planned_copies(workloads: Iterable[Workload]) -> int:
    """Copies of the gateway that serves these workloads."""
    traffic = [workload.traffic for workload in workloads]
    return copies(
        sum(entry.peak_rps for entry in traffic),
        sum(entry.peak_rps * entry.output_tokens.mean for entry in traffic),
    )
