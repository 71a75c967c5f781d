"""Where a plan sends a workload whose low scores hold answers to a model that no score can be had of.

What a translator asks of Amazon Bedrock tells no log-probabilities (docs/confidence.md), and an answer without a score
is held for people as one with a low score is (docs/reviews.md): all of them are then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.platform.model.reviews import SCORED
from isthmus.planning.options import gateway_sites

if TYPE_CHECKING:
    from collections.abc import Collection

    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.requirements.document import Requirements, Workload


def warnings(plan: Plan, requirements: Requirements, builds: Collection[str]) -> list[str]:
    """One for each workload and endpoint, in the plan's order; `builds`: the blueprint's. On Fargate none is held."""
    found = []
    for placement in plan.placements:
        workload, endpoint = requirements.workload(placement.workload), plan.endpoint(placement.endpoint)
        gateway = plan.gateway_of(placement.workload)
        if workload is None or endpoint is None or endpoint.target != "bedrock" or gateway is None:
            continue
        if not _by_score(workload) or not gateway_sites.has_cluster(requirements, gateway.site, builds):
            continue
        which = "every answer" if placement.role == "primary" else "every answer that overflows there"
        found.append(
            f"{workload.name}: {which} is held for people, since {endpoint.model} on Bedrock tells no "
            f"log-probabilities to score it by, and `review.below_confidence` is stated; {_advice(workload)}"
        )
    return found


def _by_score(workload: Workload) -> bool:
    """Whether a score decides: of embeddings nothing is held, at high impact all is."""
    below = workload.review.below_confidence if workload.review is not None else None
    return workload.task == "chat" and workload.impact != "high" and below is not None


def _advice(workload: Workload) -> str:
    ours = "serve it by a model server of ours"
    if workload.sensitivity in SCORED or workload.impact == "material":
        return ours
    return f"leave it out and let `review.sample_rate` draw, or {ours}"
