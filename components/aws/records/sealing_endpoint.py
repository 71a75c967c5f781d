"""The S3 interface endpoint of sealers in an EKS cluster, with addresses that are known before creation.

A gateway endpoint has thousands of public addresses of S3, which network policies cannot list.
"""

from ipaddress import ip_network
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.ip_addresses import ipv4_networks
from components.aws.common.security_group import AllowedTraffic, one_way_group
from components.aws.network.endpoint_policy import EndpointGrant, check_grant, endpoint_policy
from isthmus.core.errors import InputError

FROM_THE_END = 6
"""Position of the endpoint's address in a subnet, counted from the end. AWS assigns other addresses in order of
request, so the endpoint is created before nodes."""


class SealingEndpointArgs(TypedDict):
    """The S3 endpoint of the sealers in one network."""

    region: str
    """AWS region."""
    vpc_id: pulumi.Input[str]
    """Id of the VPC."""
    subnet_ids: list[pulumi.Input[str]]
    """Ids of private subnets, one in each zone."""
    subnet_cidrs: list[str]
    """CIDRs of the subnets, in the same order."""
    sources: list[str]
    """Networks that may connect to it."""
    grants: list[EndpointGrant]
    """Permissions of roles on buckets through it."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class SealingEndpoint(pulumi.ComponentResource):
    """An S3 address in each zone, at which named roles reach named buckets. The public name does not resolve to it."""

    endpoint_id: pulumi.Output[str]
    """Id of the endpoint."""

    def __init__(
        self, name: str, args: SealingEndpointArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:SealingEndpoint", name, dict(args), opts)
        from pulumi_aws import ec2

        for index, grant in enumerate(args["grants"]):
            check_grant(grant, f"{name}.grants.{index}")
        if not args["grants"]:
            raise InputError(
                "grants is empty", where=f"{name}.grants", fix="Add a grant for the role of each sealer"
            )
        if len(args["subnet_ids"]) != len(args["subnet_cidrs"]):
            raise InputError(
                "subnet_ids and subnet_cidrs differ in length",
                where=f"{name}.subnet_cidrs",
                fix="Set the network of each subnet, in the order of subnet_ids",
            )
        tags = args.get("tags", {})
        child = pulumi.ResourceOptions(parent=self)
        sources = [str(network) for network in ipv4_networks(args["sources"], f"{name}.sources")]
        group = one_way_group(
            name,
            AllowedTraffic("ingress", 443, sources),
            description="HTTPS to the S3 endpoint of the sealers",
            vpc_id=args["vpc_id"],
            tags=tags,
            opts=child,
        )
        fixed: Any = [
            {"subnet_id": subnet, "ipv4": address}
            for subnet, address in zip(
                args["subnet_ids"], sealing_addresses(args["subnet_cidrs"]), strict=True
            )
        ]
        endpoint = ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=args["vpc_id"],
            service_name=f"com.amazonaws.{args['region']}.s3",
            vpc_endpoint_type="Interface",
            subnet_ids=args["subnet_ids"],
            subnet_configurations=fixed,
            security_group_ids=[group],
            # Sealers know its addresses from their hosts file. Everything else uses the gateway endpoint.
            private_dns_enabled=False,
            policy=endpoint_policy("s3", args["grants"], args["region"]),
            tags={**tags, "Name": f"{name}-s3"},
            opts=child,
        )
        self.endpoint_id = endpoint.id
        self.register_outputs({"endpoint_id": self.endpoint_id})


def sealing_addresses(subnet_cidrs: list[str]) -> list[str]:
    """The endpoint's address in each subnet."""
    return [str(ip_network(cidr)[-FROM_THE_END]) for cidr in subnet_cidrs]
