"""Common options of the resources of one site link, and the VPC at its AWS end."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi


@dataclass(frozen=True)
class LinkOptions:
    """The link whose resources are created."""

    name: str
    parent: pulumi.Resource
    tags: dict[str, str]

    @property
    def child(self) -> pulumi.ResourceOptions:
        """Options of a resource of the link."""
        return pulumi.ResourceOptions(parent=self.parent)


@dataclass(frozen=True)
class VpcEnd:
    """The VPC at the AWS end."""

    id: pulumi.Input[str]
    cidr: str
    """CIDR of the VPC, the only network that the site may reach."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Private subnets, one in each zone."""
    route_tables: Sequence[pulumi.Input[str]]
    """The subnets' route tables."""
