"""Answers questions about a gateway: what its class demands, and which requests leave its site."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Gateway


def demanded(gateway: Gateway) -> frozenset[str]:
    """What is redacted of what passes a gateway: by its class, and by what the organisation adds."""
    from isthmus.contracts.reference import handling

    return frozenset([*handling.of(gateway.class_).redacted, *gateway.redacted])


def leaves(gateway: Gateway, endpoint: Endpoint) -> bool:
    """Whether what is sent to an endpoint leaves the gateway's site."""
    return endpoint.site != gateway.site
