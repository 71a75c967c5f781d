"""Builds the arguments of a gateway's detector and guards from the platform's contract."""

from typing import Any

from components.gateway.screening import GatewayScreening
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.core.errors import InputError


def screening_args(platform: Platform, gateway: Gateway, cluster_ips: dict[str, Any]) -> GatewayScreening:
    """`cluster_ips` of the site's model servers by endpoint."""
    screening = gateway.screening
    if screening is None or platform.images.detector is None:
        raise InputError("the image of the detector is not set", where="images.detector")
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    arguments = screening.model_dump(exclude_defaults=True, exclude_none=True)
    arguments["image"] = platform.images.detector
    if gateway.redacted:
        arguments["redacted"] = list(gateway.redacted)
    for guard in arguments.get("guards", []):
        if "endpoint" not in guard:
            continue
        guard["model"] = endpoints[guard["endpoint"]].model
        # Only it needs addresses; the others would wait for their guards' models for nothing.
        if gateway.class_ == "restricted":
            guard["cluster_ip"] = cluster_ips[guard["endpoint"]]
    return arguments  # type: ignore[return-value]
