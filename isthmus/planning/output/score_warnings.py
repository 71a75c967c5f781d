"""Warns about scores: models whose evaluation is not official, and answers without a score on Bedrock.

Bedrock returns no log-probabilities (docs/confidence.md). An answer without a score is held for review like one with
a low score (docs/reviews.md), so every answer of such a workload is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.planning.options import gateway_sites

if TYPE_CHECKING:
    from collections.abc import Collection

    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.requirements.document import Requirements, Workload


def score_warnings(plan: Plan, requirements: Requirements, builds: Collection[str]) -> list[str]:
    """Return one warning for each workload and endpoint, in the plan's order.

    `builds`: what the blueprint builds. Gateways on Fargate hold no answers.
    """
    sentences = []
    for placement in plan.placements:
        workload, endpoint = requirements.workload(placement.workload), plan.endpoint(placement.endpoint)
        gateway = plan.gateway_of(placement.workload)
        if workload is None or endpoint is None or endpoint.target != "bedrock" or gateway is None:
            continue
        if not _is_held_by_score(workload) or not gateway_sites.has_cluster(
            requirements, gateway.site, builds
        ):
            continue
        held_answers = (
            "every answer" if placement.role == "primary" else f"every answer of the {placement.role}"
        )
        sentences.append(
            f"{workload.name}: {held_answers} is held for review, because {endpoint.model} on Bedrock returns no "
            f"log-probabilities to score it and `review.below_confidence` is set. Fix: {_advice(workload)}"
        )
    return sentences


def unofficial_score_warnings(plan: Plan, requirements: Requirements) -> list[str]:
    """Return one warning for each workload and endpoint that was chosen by a score of a run for development."""
    sentences = []
    for placement in plan.placements:
        workload, endpoint = requirements.workload(placement.workload), plan.endpoint(placement.endpoint)
        if workload is None or endpoint is None:
            continue
        candidates = {candidate.id: candidate for candidate in workload.model.candidates}
        if (candidate := candidates.get(endpoint.model)) and endpoint.precision in candidate.unofficial:
            sentences.append(
                f"{workload.name}: the score of {endpoint.model} at {endpoint.precision} is for development, because "
                f"its evaluation is not official: {candidate.unofficial[endpoint.precision]}. Fix: evaluate with "
                "`--signing-key`, as an evaluator of trust.yaml (docs/evaluation.md)"
            )
    return sentences


def _is_held_by_score(workload: Workload) -> bool:
    """Whether the score decides. Embeddings are never held; answers of high impact always are."""
    review = workload.review
    if workload.task != "chat" or review is None or review.below_confidence is None:
        return False
    return workload.impact == "material" or (workload.impact == "low" and review.on_low_score == "hold")


def _advice(workload: Workload) -> str:
    own_server = "give it a candidate for GPUs: a pool of a site, or `eks` in `allow` of an AWS site"
    if workload.impact == "material":
        return own_server[0].upper() + own_server[1:]
    return f"Remove `review.on_low_score`, or {own_server}"
