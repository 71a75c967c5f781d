"""The AWS identities of records: the sealer, and on Fargate the gateway that mounts the share."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.efs_mount import mount_statement
from components.aws.eks.roles import create_bounded_role
from components.aws.identity.boundary import boundary_policy
from components.aws.identity.pod_identity import PodIdentity, create_association, pod_trust
from components.aws.identity.task_role import task_trust
from components.base.argument_checks import check_choice, check_sensitivity
from isthmus.contracts.platform.model.records import SEAL_LIST, SEAL_LOCK, SEAL_PUT, SEAL_READ, SEAL_USE_KEY
from isthmus.core.errors import InputError, Refused

BEARERS = ("gateway", "sealer")


class SealedBucket(TypedDict):
    """The bucket of a sealer's seals."""

    arn: pulumi.Input[str]
    """ARN of the audit bucket, with Object Lock."""
    prefix: str
    """Folder of the class and site in the bucket."""
    key: NotRequired[pulumi.Input[str]]
    """ARN of the key that encrypts it. Absent: S3's own."""


class RecordsIdentityArgs(TypedDict):
    """The AWS identity of a sealer or of a gateway that writes a class's records at an AWS site."""

    bearer: str
    """`sealer`, or `gateway` (its tasks on Fargate, which mount the share)."""
    sensitivity: str
    """The class: public, internal or confidential."""
    region: str
    """AWS region."""
    bucket: NotRequired[SealedBucket]
    """For a sealer: the bucket of its seals."""
    source_vpc: pulumi.Input[str]
    """Id of the VPC from whose endpoints its calls must come."""
    pod: NotRequired[PodIdentity]
    """For a sealer: its pods in an EKS cluster. Absent: ECS tasks, which mount the share with it."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of the role's permissions boundary. Absent: one is created."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class RecordsIdentity(pulumi.ComponentResource):
    """A separate role with its boundary. A sealer's role writes and reads below its prefix, and deletes nothing.

    A gateway's role only mounts. The share's own policy decides with which access point, and whether it may write.
    """

    role_arn: pulumi.Output[str]
    """ARN of the role. Known when its policy is attached and the pods have it."""

    def __init__(
        self, name: str, args: RecordsIdentityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:RecordsIdentity", name, dict(args), opts)
        from pulumi_aws import get_caller_identity_output

        bearer = check_choice(args["bearer"], BEARERS, f"{name}.bearer")
        sensitivity = check_sensitivity(args["sensitivity"], name)
        if sensitivity == "restricted":
            raise Refused(
                "class restricted may not have an AWS identity",
                where=f"{name}.sensitivity",
                fix="Seal its records on-prem",
            )
        if (bearer == "sealer") != ("bucket" in args) or (bearer == "gateway" and "pod" in args):
            raise InputError(
                f"a {bearer} {'without a bucket' if bearer == 'sealer' else 'with the identity of a sealer'}",
                where=f"{name}.bearer",
                fix="Set bucket for a sealer; remove bucket and pod for a gateway",
            )
        account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        region, pod = args["region"], args.get("pod")
        statements = sealer_statements(args["bucket"], region, args["source_vpc"]) if "bucket" in args else []
        mounts = [mount_statement(region, account)] if pod is None else []
        boundary_policy(
            [*statements, *mounts]
        )  # refused before anything is created, even if the boundary is given
        tags = {**args.get("tags", {}), "isthmus.dev/class": sensitivity, "isthmus.dev/records": bearer}
        self.role_arn = create_bounded_role(
            name,
            f"The {bearer} of {sensitivity} records, by {'pod identity' if pod else 'tasks of ECS'}",
            pod_trust(pod, account) if pod else task_trust(region, account),
            statements,
            args.get("permissions_boundary"),
            tags,
            pulumi.ResourceOptions(parent=self),
            boundary_only=mounts,
        )
        if pod is not None:
            self.role_arn = self._associate(name, pod, tags)
        self.register_outputs({"role_arn": self.role_arn})

    def _associate(self, name: str, pod: PodIdentity, tags: dict[str, str]) -> pulumi.Output[str]:
        association = create_association(name, pod, self.role_arn, tags, pulumi.ResourceOptions(parent=self))
        return pulumi.Output.all(self.role_arn, association).apply(lambda values: str(values[0]))


def sealer_statements(bucket: SealedBucket, region: str, vpc: pulumi.Input[str]) -> list[dict[str, Any]]:
    """Permissions of a sealer: put locked seals below its prefix, read them, and read their locks."""
    vpc_condition: dict[str, Any] = {"StringEquals": {"aws:SourceVpc": vpc}}
    prefixes = [f"{bucket['prefix']}/*"]
    objects = pulumi.Output.concat(bucket["arn"], f"/{bucket['prefix']}/*")

    def allow(sid: str, actions: tuple[str, ...], resource: Any, condition: dict[str, Any]) -> dict[str, Any]:
        allowed = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": [resource]}
        return {**allowed, "Condition": condition}

    statements = [
        allow("Seal", SEAL_PUT, objects, vpc_condition),
        allow("ReadBack", SEAL_READ, objects, vpc_condition),
        allow("Look", SEAL_LIST, bucket["arn"], {**vpc_condition, "StringLike": {"s3:prefix": prefixes}}),
        allow("SeeTheLock", SEAL_LOCK, bucket["arn"], vpc_condition),
    ]
    if "key" in bucket:
        # S3 uses the key for the caller from its own network, so no VPC is required.
        via_s3 = {"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}}
        statements.append(allow("SealUnderTheKey", SEAL_USE_KEY, bucket["key"], via_s3))
    return statements
