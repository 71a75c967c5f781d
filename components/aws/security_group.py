"""A security group for one port and one direction; the other way nothing passes."""

from collections.abc import Sequence
from typing import Any, Literal

import pulumi

from components.aws.addresses import label


def one_way_group(
    name: str,
    direction: Literal["ingress", "egress"],
    *,
    description: str,
    vpc_id: pulumi.Input[str],
    protocols: Sequence[str],
    port: int,
    peers: Sequence[str],
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Output[str]:
    """Id of a group that lets `peers` (CIDRs) in, or out to, on one port; a rule for each, described and tagged.

    The provider takes away the rule by which AWS lets a new group out to everywhere. A rule that someone
    adds by hand is no part of the stack: AWS Config or an audit finds it, `pulumi refresh` does not.
    """
    from pulumi_aws import ec2, vpc

    group = ec2.SecurityGroup(
        f"{name}-group", description=description, vpc_id=vpc_id, tags={**tags, "Name": name}, opts=opts
    )
    rule: Any = vpc.SecurityGroupIngressRule if direction == "ingress" else vpc.SecurityGroupEgressRule
    for peer in peers:
        for protocol in protocols:
            rule(
                f"{name}-{protocol}-{label(peer)}",
                security_group_id=group.id,
                description=description,
                ip_protocol=protocol,
                from_port=port,
                to_port=port,
                cidr_ipv4=peer,
                tags=tags,
                opts=opts,
            )
    return group.id
