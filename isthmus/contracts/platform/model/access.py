"""How callers outside the cluster reach a gateway. Data model only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from isthmus.contracts.platform.model.records import Address
from isthmus.contracts.vocabulary import Part

HostName = Annotated[
    str,
    Field(max_length=253, examples=["llm.bank.example"]),
    StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$"),
]
"""A DNS name in full, in lower case."""
LabelKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,253}$")]


class GatewayAccess(Part):
    """A load balancer that passes TLS through to a gateway, for callers from stated ranges. Each range also needs an
    entry of `trust.yaml` (`access`)."""

    host: HostName
    """Name that callers use. The gateway's certificate has it beside the name in the cluster."""
    source_ranges: list[Annotated[str, Field(max_length=64)]] = Field(min_length=1, max_length=32)
    """Addresses of the callers. `0.0.0.0/0` only for class public; for restricted only networks of the site."""
    port: int = Field(default=443, ge=1, le=65535)
    """Port of the load balancer."""
    load_balancer_class: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,253}$")] | None = None
    """On-prem: which controller makes the load balancer, such as `metallb.io/metallb`. Absent: the cluster's default.
    In AWS it is the AWS Load Balancer Controller."""
    annotations: dict[LabelKey, Annotated[str, Field(max_length=1024)]] = {}
    """What the organisation's controller needs, such as an address pool. Not what decides about callers or TLS."""
    address: Address | None = None
    """On-prem: the load balancer's address. Absent: the controller chooses one."""
    internet_facing: bool = False
    """AWS: the load balancer has addresses of the internet. Only for class public."""
