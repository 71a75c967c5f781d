"""Builds the arguments of Reviews from the platform's contract."""

from typing import Any

from components.base.platform_lookups import shared_arguments
from components.gateway.sealing import Sealed
from components.reviews.service import ReviewsArgs
from components.serving.mapping import spread_arguments
from isthmus.contracts.platform.model.platform import Gateway, Platform

_SHARED = {"secret", "reviewers_ca", "records_volume", "keys_volume", "from_cidrs", "from_namespaces"}


def reviews_args(
    platform: Platform, gateway: Gateway, site_cidrs: list[str], sealed: Sealed | None = None
) -> ReviewsArgs | None:
    """Arguments of a gateway's review service. None if it holds no answers. `sealed`: where its records go, at an
    AWS site.
    """
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
        # The same share as the gateway's, because the review service is another writer of the same records.
        arguments["folders"] = sealed.folders("gateway")
    return arguments  # type: ignore[return-value]
