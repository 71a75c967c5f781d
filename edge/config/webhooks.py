"""Settings `webhooks` of `mode: notifier`: where applications are told that an answer is decided."""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from edge.config.base import File, Name, Strict, is_address
from edge.review_domains import Label


class Webhook(Strict):
    """The webhook of an application. It is told an id and a status, never content."""

    name: Label
    """What `workloads[].webhook` of the gateways names."""
    url: Annotated[str, Field(max_length=2000)]
    """Where the application listens: https:// with a host."""
    address: Name
    """The one IP address at which it is reached, within `networks`. The host's name is not looked up."""
    secret: File
    """File with the secret, `whsec_` and base64. Two lines, the newer first, while it changes."""
    ca: File | None = None
    """CA of the application's certificate. Absent: the system's."""
    gateway: Annotated[str, Field(pattern=r"^https://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$")]
    """URL of the gateway, for the link at which the application fetches the answer with its own key."""

    @field_validator("url")
    @classmethod
    def _is_secure(cls, url: str) -> str:
        address = urlsplit(url)
        if (
            address.scheme != "https"
            or not address.hostname
            or address.username
            or address.fragment
            or not url.isascii()
            or any(character <= " " for character in url)
        ):
            raise ValueError("must be https:// with a host, in ASCII, without a user and a fragment")
        return url

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        if not is_address(address):
            raise ValueError(f"{address!r} is not an IP address")
        if ipaddress.ip_address(address).is_link_local:
            raise ValueError(f"{address} is link-local. State an address of your networks")
        return address
