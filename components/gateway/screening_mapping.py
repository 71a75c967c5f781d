"""From the platform's contract to the arguments of a gateway's detector and guards."""

from decimal import Decimal
from typing import Any

from components.cluster.quantities import amount
from components.gateway.screening import GatewayScreening, asked
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.core.errors import InputError


def screening_args(platform: Platform, gateway: Gateway, cluster_ips: dict[str, Any]) -> GatewayScreening:
    """`cluster_ips` of the site's model servers by endpoint."""
    screening = gateway.screening
    if screening is None or platform.images.detector is None:
        raise InputError("no image of the detector is named", where="images.detector")
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    made = screening.model_dump(exclude_defaults=True, exclude_none=True)
    made["image"] = platform.images.detector
    if gateway.redacted:
        made["redacted"] = list(gateway.redacted)
    for guard in made.get("guards", []):
        if "endpoint" not in guard:
            continue
        guard["model"] = endpoints[guard["endpoint"]].model
        # Only it needs addresses; the others would wait for their guards' models for nothing.
        if gateway.class_ == "restricted":
            guard["cluster_ip"] = cluster_ips[guard["endpoint"]]
    return made  # type: ignore[return-value]


def screening_room(gateway: Gateway) -> tuple[Decimal, Decimal]:
    """CPUs and bytes of the detector beside one copy; nothing where there is none."""
    if gateway.screening is None:
        return Decimal(0), Decimal(0)
    cpu, memory = asked(gateway.screening)
    return amount(cpu), amount(memory)
