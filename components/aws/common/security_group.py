"""Creates a security group for one port and one direction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi

from components.aws.common.ip_addresses import cidr_label

Direction = Literal["ingress", "egress"]


@dataclass(frozen=True)
class AllowedTraffic:
    """The connections that a security group allows: one direction, one port, named peers."""

    direction: Direction
    port: int
    peers: Sequence[str]
    """CIDRs of the peers."""
    protocols: Sequence[str] = ("tcp",)


def peer_rule(
    name: str,
    direction: Direction,
    group: pulumi.Input[str],
    description: str,
    port: int,
    *,
    protocol: str = "tcp",
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
    **peer: pulumi.Input[str],
) -> Any:
    """A rule of a group for one port and one peer: `cidr_ipv4`, `referenced_security_group_id` or `prefix_list_id`."""
    from pulumi_aws import vpc

    rule: Any = vpc.SecurityGroupIngressRule if direction == "ingress" else vpc.SecurityGroupEgressRule
    return rule(
        name,
        security_group_id=group,
        description=description,
        ip_protocol=protocol,
        from_port=port,
        to_port=port,
        tags=tags,
        opts=opts,
        **peer,
    )


def one_way_group(
    name: str,
    allowed: AllowedTraffic,
    *,
    description: str,
    vpc_id: pulumi.Input[str],
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Output[str]:
    """Id of a group that allows this traffic only, with a rule for each peer and protocol, described and tagged.

    The provider removes AWS's default rule, which allows all egress. A rule that someone adds by hand is not in the
    stack: AWS Config or an audit finds it, `pulumi refresh` does not.
    """
    from pulumi_aws import ec2

    group = ec2.SecurityGroup(
        f"{name}-group", description=description, vpc_id=vpc_id, tags={**tags, "Name": name}, opts=opts
    )
    for peer in allowed.peers:
        for protocol in allowed.protocols:
            peer_rule(
                f"{name}-{protocol}-{cidr_label(peer)}",
                allowed.direction,
                group.id,
                description,
                allowed.port,
                protocol=protocol,
                tags=tags,
                opts=opts,
                cidr_ipv4=peer,
            )
    return group.id
