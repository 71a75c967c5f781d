"""Types that hold what a new one would not: to lose one is a migration, whatever the engine calls it."""

from __future__ import annotations

STATEFUL = (
    # Volumes and claims on them; a namespace takes what is in it along.
    *("kubernetes:core/v1:PersistentVolume", "kubernetes:core/v1:PersistentVolumeClaim"),
    *("kubernetes:core/v1:Namespace", "kubernetes:apps/v1:StatefulSet"),
    *(
        "aws:s3/bucket:",
        "aws:s3/bucketV2:",
        "aws:s3/bucketObjectLockConfiguration",
        "aws:efs/",
        "aws:ebs/",
        "aws:fsx/",
    ),
    *("aws:rds/", "aws:dynamodb/"),
    # Keys, secrets, records.
    *("aws:kms/key:", "aws:secretsmanager/secret:", "aws:cloudwatch/logGroup:", "aws:cloudtrail/trail:"),
    # Networks: what others' routes, addresses and allowances name.
    *(
        "aws:ec2/vpc:",
        "aws:ec2/subnet:",
        "aws:ec2/vpcEndpoint:",
        "aws:ec2/vpnConnection:",
        "aws:ec2/customerGateway:",
    ),
    *("aws:ec2transitgateway/transitGateway:", "aws:ec2transitgateway/vpcAttachment:", "aws:directconnect/"),
    *("aws:route53/resolverEndpoint:", "aws:eks/cluster:", "aws:rolesanywhere/trustAnchor:"),
)
"""Beginnings of types."""


def is_stateful(type_: str) -> bool:
    """Whether a resource of the type holds what a new one would not."""
    return type_.startswith(STATEFUL)
