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
    """The class whose translator bears it."""
    region: str
    """AWS region in which the tasks run."""
    actions: list[str]
    """Actions that it may take at most, each named in full."""
    resources: list[pulumi.Input[str]]
    """ARNs that it may touch at most; patterns where the exact ones are made later."""
    bedrock_regions: NotRequired[list[str]]
    """Every region in which a call may be served; named, the boundary denies all others."""
    source_vpc: NotRequired[pulumi.Input[str]]
    """Id of the VPC whose endpoints calls must come through; absent: from anywhere."""
    routed_resources: NotRequired[list[pulumi.Input[str]]]
    """ARNs that Bedrock asks for in another region than a call was made in; no VPC is asked for there."""
    routed_regions: NotRequired[list[str]]
    """The other regions in which it may ask so."""
    guardrail_key: NotRequired[pulumi.Input[str]]
    """ARN of the key that seals the guardrail's settings, which its users must be able to open."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of the policy that bounds the role; absent, one is made beside it."""
    exception: NotRequired[str]
    """Reference of the recorded exception by which a confidential class may use AWS."""
    tags: NotRequired[dict[str, str]]
    """Tags of what is made."""


class TaskIdentity(pulumi.ComponentResource):
    """A role for tasks of ECS and its boundary. It may do what its own policy and the boundary both allow.

    It has no policy of its own yet: BedrockAccess gives it one. There is no certificate, no profile and no key.
    """

    role_arn: pulumi.Output[str]
    """ARN of the role."""
    role_name: pulumi.Output[str]
    """Name of the role, to attach policies to."""
    boundary_arn: pulumi.Output[str]
    """ARN of the policy that bounds the role."""

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
        boundary_policy(statements)  # refused before anything is made, even where the boundary is given
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
