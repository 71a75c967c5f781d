"""What follows from a gateway's reviews: domains with deadlines, the desk's settings, and where it is reached."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.platform.model.desk import ReviewDesk
from isthmus.contracts.platform.model.platform import Gateway
from isthmus.contracts.platform.model.reviews import GatewayReviews

DESK_PORT = 8445
"""Port of the desk in the review service's pods. Only the proxy of its sign-on reaches it."""


def desk_settings(desk: ReviewDesk) -> dict[str, Any]:
    """The section `desk` of the review service's configuration, without `listen`."""
    guidelines: dict[str, str] = {}
    for guideline in desk.guidelines:
        for workload in guideline.workloads:
            guidelines[workload] = guideline.text or ""
    return {
        "url": desk.url,
        "groups": [group.model_dump(exclude={"name"}, exclude_none=True) for group in desk.groups],
        "reasons": {
            reasons.domain: [reason.model_dump() for reason in reasons.codes] for reasons in desk.reasons
        },
        "guidelines": guidelines,
        "score_after_first_judgement": list(desk.score_after_first_judgement),
        "max_session_s": desk.max_session_s,
        "people": desk.people,
        "second_look_rate": desk.second_look_rate,
        "planted": {
            planted.domain: planted.settings().model_dump(exclude_none=True) for planted in desk.planted
        },
    }


def domain_settings(reviews: GatewayReviews) -> list[dict[str, Any]]:
    """The setting `domains` of the gateway and of the review service, which must be the same."""
    return [domain.model_dump(mode="json", exclude_none=True) for domain in reviews.domains]


def domains_of(gateway: Gateway) -> list[str]:
    """Domains in which people review answers of a gateway."""
    domains = [workload.review.domain for workload in gateway.workloads if workload.review is not None]
    return list(dict.fromkeys(domains))
