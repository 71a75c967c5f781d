"""The component TaskIdentity: the role of ECS tasks, and its permissions boundary."""

from typing import NotRequired, TypedDict

import pulumi

from components.aws.identity.boundary import boundary_arn, boundary_policy
from components.aws.identity.task_role import create_task_role, task_trust
from components.aws.identity.workload_identity import session_statements
from components.base.argument_checks import check_sensitivity, may_use_aws
from isthmus.core.errors import Refused


class TaskIdentityArgs(TypedDict):
    """An AWS identity for tasks of Amazon ECS."""

    name: str
    """Name of the identity."""
    sensitivity: str
    """The class whose translator has it."""
    region: str
    """AWS region in which the tasks run."""
    actions: list[str]
    """The only actions that it may have, each with its full name."""
    resources: list[pulumi.Input[str]]
    """ARNs of the only resources that it may access. Patterns for resources that are created later."""
    bedrock_regions: NotRequired[list[str]]
    """Every region in which a call may be served. If set, the boundary denies all others."""
    source_vpc: NotRequired[pulumi.Input[str]]
    """Id of the VPC from whose endpoints calls must come. Absent: from anywhere."""
    routed_resources: NotRequired[list[pulumi.Input[str]]]
    """ARNs that Bedrock accesses in other regions to serve a call. No VPC is required there."""
    routed_regions: NotRequired[list[str]]
    """The other regions in which Bedrock may do so."""
    guardrail_key: NotRequired[pulumi.Input[str]]
    """ARN of the key that encrypts the guardrail's settings. Its users need permission to decrypt with it."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of the role's permissions boundary. Absent: one is created."""
    exception: NotRequired[str]
    """Reference of the recorded exception that allows a confidential class to use AWS."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class TaskIdentity(pulumi.ComponentResource):
    """A role for ECS tasks and its boundary. Its permissions are those that both its own policy and the boundary
    allow.

    It has no policy yet: BedrockAccess adds one. There is no certificate, profile or key.
    """

    role_arn: pulumi.Output[str]
    """ARN of the role."""
    role_name: pulumi.Output[str]
    """Name of the role, to attach policies to."""
    boundary_arn: pulumi.Output[str]
    """ARN of the role's permissions boundary."""

    def __init__(self, name: str, args: TaskIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:TaskIdentity", name, dict(args), opts)
        from pulumi_aws import get_caller_identity_output

        where = f"identities.{args['name']}"
        sensitivity = check_sensitivity(args["sensitivity"], where)
        may_use_aws(sensitivity, where, args.get("exception", ""))
        if "*" in [resource for resource in args["resources"] if isinstance(resource, str)]:
            raise Refused(
                "the identity could access every resource",
                where=f"{where}.resources",
                fix="Replace `*` by patterns of ARNs",
            )
        statements = session_statements(
            args["actions"],
            args["resources"],
            args.get("source_vpc"),
            args.get("guardrail_key"),
            args.get("routed_resources", []),
            args.get("routed_regions", []),
        )
        boundary_policy(statements)  # refused before anything is created, even if the boundary is given
        tags = {
            **args.get("tags", {}),
            "isthmus.dev/class": sensitivity,
            "isthmus.dev/identity": args["name"],
        }
        child = pulumi.ResourceOptions(parent=self)
        account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        self.boundary_arn = boundary_arn(
            name,
            args.get("permissions_boundary"),
            statements,
            child,
            tags=tags,
            bedrock_regions=args.get("bedrock_regions", []),
        )
        description = f"{args['name']}, by tasks of ECS"
        trust = task_trust(args["region"], account)
        role = create_task_role(name, description, trust, self.boundary_arn, tags, child)
        self.role_arn, self.role_name = role.arn, role.name
        self.register_outputs(
            {"role_arn": self.role_arn, "role_name": self.role_name, "boundary_arn": self.boundary_arn}
        )
