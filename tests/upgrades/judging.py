"""What an upgrade would do to what is stateful, from the steps of a preview."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

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
LOSES = {
    "delete": "delete",
    "discard": "delete",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "discard-replaced": "replace",
    "import-replacement": "replace",
}
"""The engine's operation → what a migration calls it."""


@dataclass(frozen=True)
class Loss:
    """A stateful resource that would be replaced or deleted."""

    type: str
    name: str
    op: str


def losses(steps: Iterable[dict[str, Any]]) -> set[Loss]:
    """Of a preview's steps (`pulumi preview --json`), those that lose something stateful."""
    found = set()
    for step in steps:
        op = LOSES.get(step["op"])
        *_, chain, name = step["urn"].split("::")
        kind = chain.rpartition("$")[2]
        if op and kind.startswith(STATEFUL):
            found.add(Loss(kind, name, op))
    return found


def written(migrations: Iterable[dict[str, Any]]) -> set[Loss]:
    """The losses to which `docs/migrations.yaml` consents; a `KeyError` where an entry lacks what it must say."""
    return {
        Loss(each["type"], each["name"], each["op"])
        for each in migrations
        if each["since"] and each["why"] and each["steps"]
    }
