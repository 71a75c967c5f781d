"""Bedrock's log of calls. There is one for each account and region, so the strictest class decides its content."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.log_group import LogGroupOptions, create_log_group
from components.aws.common.names import aws_name, partition
from components.aws.common.role_policy import role_policy
from components.aws.identity.boundary import boundary_arn
from components.base.argument_checks import MODES, check_choice

STREAM = "aws/bedrock/modelinvocations"
"""The only log stream that Bedrock writes to (user guide, model invocation logging)."""


class InvocationLoggingArgs(TypedDict):
    """Bedrock's log of calls in one account and region."""

    name: str
    """Name of the log."""
    region: str
    """AWS region whose calls are logged."""
    mode: str
    """`manage`: created here. `existing`: the organisation has one, which stays unchanged. `off`: none."""
    text: bool
    """Whether prompts and answers are logged too. Otherwise only caller, model, time and token counts."""
    retention_days: int
    """Retention of the records in days. CloudWatch Logs rounds it up to a period that it supports."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of the permissions boundary of the log's role. Absent: one is created."""
    kms_key: NotRequired[pulumi.Input[str]]
    """ARN of the organisation's key that encrypts the log. Absent: a key is created."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class InvocationLogging(pulumi.ComponentResource):
    """The log of every model call in the region, in a log group with its own key.

    AWS has one such setting for each account and region, and creating it replaces an earlier one. Group and key
    stay after a destroy.
    """

    log_group: pulumi.Output[str]
    """Name of the log group. Empty if none is created here."""
    retained: pulumi.Output[list[str]]
    """ARNs of resources that a destroy retains: the log group and its key."""

    def __init__(
        self, name: str, args: InvocationLoggingArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:InvocationLogging", name, dict(args), opts)
        mode = check_choice(args["mode"], MODES, f"invocation_logging.{args['name']}.mode")
        self.log_group = pulumi.Output.from_input("")
        self.retained = pulumi.Output.from_input([])
        if mode == "manage":
            self._make(name, args)
        self.register_outputs({"log_group": self.log_group, "retained": self.retained})

    def _make(self, name: str, args: InvocationLoggingArgs) -> None:
        from pulumi_aws import get_caller_identity_output
        from pulumi_aws.bedrockmodel import InvocationLoggingConfiguration
        from pulumi_aws.iam import Role

        region, tags = args["region"], args.get("tags", {})
        child = pulumi.ResourceOptions(parent=self)
        account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        retained_opts = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        group = create_log_group(
            name,
            f"/isthmus/bedrock/{name}/calls-",
            args["retention_days"],
            f"invocation_logging.{args['name']}.retention_days",
            LogGroupOptions(region, account, tags, retained_opts, args.get("kms_key")),
        )
        writes = [
            {
                "Sid": "WriteCalls",
                "Effect": "Allow",
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": [pulumi.Output.concat(group.arn, ":log-stream:", STREAM)],
            }
        ]
        role = Role(
            f"{name}-role",
            name=aws_name(f"{name}-role", 64),
            description=f"Writes Bedrock's log of calls in {region}",
            assume_role_policy=pulumi.Output.json_dumps(trust_policy(region, account)),
            permissions_boundary=boundary_arn(
                name, args.get("permissions_boundary"), writes, child, tags=tags
            ),
            tags=tags,
            opts=child,
        )
        policy = role_policy(f"{name}-policy", role, writes, child)
        InvocationLoggingConfiguration(
            f"{name}-logging",
            logging_config={
                "text_data_delivery_enabled": args["text"],
                # Never: content larger than a log event would go to a bucket, and no bucket is created for content.
                "image_data_delivery_enabled": False,
                "embedding_data_delivery_enabled": False,
                "video_data_delivery_enabled": False,
                "cloudwatch_config": {"log_group_name": group.name, "role_arn": role.arn},
            },
            region=region,
            # Bedrock tests the role when it is set, so the role's policy must exist before.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.log_group = group.name
        self.retained = pulumi.Output.all(*group.made)


def trust_policy(region: str, account: pulumi.Input[str]) -> dict[str, Any]:
    """The trust policy: Bedrock in this account and region only, so that no other account can write with this role."""
    source = pulumi.Output.format("arn:{}:bedrock:{}:{}:*", partition(region), region, account)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Bedrock",
                "Effect": "Allow",
                "Principal": {"Service": "bedrock.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": account},
                    "ArnLike": {"aws:SourceArn": source},
                },
            }
        ],
    }
