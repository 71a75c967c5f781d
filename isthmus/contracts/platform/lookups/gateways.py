"""Answers questions about a gateway: what its class demands, and which requests leave its site."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Gateway


def required_redactions(gateway: Gateway) -> frozenset[str]:
    """What a gateway must redact: the demands of its class and of the organisation."""
    from isthmus.contracts.reference import handling

    return frozenset([*handling.handling_of(gateway.class_).redacted, *gateway.redacted])


def leaves_site(gateway: Gateway, endpoint: Endpoint) -> bool:
    """Whether requests to an endpoint leave the gateway's site."""
    return endpoint.site != gateway.site
