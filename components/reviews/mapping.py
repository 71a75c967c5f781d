"""Builds the arguments of held answers and of Reviews from the platform's contract."""

from typing import Any

from components.reviews.service import ReviewsArgs
from components.serving.mapping import shared_arguments, spread_arguments
from components.sites.record_sealing import Sealed
from isthmus.contracts.platform.model.platform import Gateway, Platform, Workload
from isthmus.core.errors import InputError

_AT_THE_GATEWAY = {"gateway_keys_volume", "decide_h", "escalated_h", "keep_days"}
_SHARED = {"secret", "reviewers_ca", "records_volume", "keys_volume", "from_cidrs", "from_namespaces"}


def held_args(gateway: Gateway) -> dict[str, Any]:
    """Of `InferenceGatewayArgs`."""
    if gateway.reviews is None:
        return {}
    return {"reviews": gateway.reviews.model_dump(include=_AT_THE_GATEWAY, exclude_none=True)}


def review_route_args(gateway: Gateway, workload: Workload) -> dict[str, Any]:
    """Of `GatewayRoute`: what is held of its answers, and by which calibrations they get a score. Raises `InputError`
    for a calibration that nobody has read."""
    fields: dict[str, Any] = {}
    if gateway.reviews is not None:
        fields["impact"] = workload.impact
        if workload.review is not None:
            fields["review"] = workload.review.model_dump(exclude_none=True)
    calibrations: list[dict[str, Any]] = []
    for calibration in workload.calibrations:
        if calibration.text is None:
            raise InputError(
                f"the calibration file {calibration.file} has not been read",
                where=f"gateways.{gateway.name}.workloads.{workload.name}.calibrations.{calibration.name}",
                fix="Set its `text`: without a stack its file is not read",
            )
        calibrations.append(calibration.model_dump(include={"name", "digest", "text"}))
    if calibrations and workload.review is not None:
        fields["confidence"] = {"domain": workload.review.domain, "calibrations": calibrations}
    return fields


def reviews_args(
    platform: Platform, gateway: Gateway, site_cidrs: list[str], sealed: Sealed | None = None
) -> ReviewsArgs | None:
    """Where people decide upon a gateway's answers; None where it holds none. `sealed`: at an AWS site, where its
    records go."""
    reviews, database, audit = gateway.reviews, gateway.database, gateway.audit
    if reviews is None or database is None or audit is None:
        return None
    arguments: dict[str, Any] = {
        **shared_arguments(platform, reviews.certificate_secret),
        **spread_arguments(platform, gateway.site),
        **reviews.model_dump(include=_SHARED, exclude_none=True),
        **audit.model_dump(include={"policy", "max_unsealed_s"}, exclude_none=True),
        "sensitivity": gateway.class_,
        "site": gateway.site,
        "image": platform.images.edge,
        "database": {**database.model_dump(), "user": reviews.user},
        "reviewers": [reviewer.model_dump(exclude_none=True) for reviewer in reviews.reviewers],
        "claim_s": reviews.claim_s,
        "replicas": reviews.replicas,
        "site_cidrs": site_cidrs,
    }
    if sealed is not None and sealed.share is not None:
        # As the gateway mounts it: who decides is another writer among the same records.
        arguments["folders"] = sealed.folders("gateway")
    return arguments  # type: ignore[return-value]
