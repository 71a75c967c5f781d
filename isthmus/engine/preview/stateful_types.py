"""Resource types whose replacement loses data, or identifiers that others use."""

from __future__ import annotations

STATEFUL = (
    # Volumes and claims; deleting a namespace deletes its contents.
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
    # Networks: other routes, addresses and allow lists refer to them.
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
"""Prefixes of type tokens."""


def is_stateful(type_: str) -> bool:
    """Whether replacing a resource of this type loses data or identifiers."""
    return type_.startswith(STATEFUL)
