"""The component TaskExecution: the roles with which ECS starts a gateway's tasks, and their log group."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.image_pull import PULL, repository_arn
from components.aws.common.log_group import LogGroupOptions, create_log_group, retention_period
from components.aws.common.names import aws_name, partition
from components.aws.identity.boundary import boundary_arn, compact_policy
from components.aws.identity.task_role import create_task_role, task_trust
from components.base.argument_checks import check_sensitivity, may_use_aws

LOG = ["logs:CreateLogStream", "logs:PutLogEvents"]


class TaskExecutionArgs(TypedDict):
    """The roles with which ECS starts the tasks of a class's gateway."""

    name: str
    """Name of the gateway."""
    sensitivity: str
    """The class: public, internal or confidential."""
    region: str
    """AWS region."""
    images: dict[str, str]
    """Image of each task in Amazon ECR, by digest: `edge`, `translator`, and with records `sealer`."""
    secrets: dict[str, list[str]]
    """ARNs of the secrets of each task."""
    secrets_key: NotRequired[str]
    """ARN of the organisation's key that encrypts them. Absent: Secrets Manager's own."""
    log_days: int
    """Retention of the logs in days. CloudWatch Logs rounds it up to a period that it supports."""
    source_vpc: pulumi.Input[str]
    """Id of the VPC from whose endpoints its calls must come."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of the roles' permissions boundary. Absent: one is created for each role."""
    exception: NotRequired[str]
    """Reference of the recorded exception that allows a confidential class to use AWS."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class TaskExecution(pulumi.ComponentResource):
    """An encrypted log group, and the execution role of each task, which can read its image and its secrets only.

    The containers of a task never have this role. The logs and their key stay after a destroy.
    """

    log_group: pulumi.Output[str]
    """Name of the log group."""
    log_streams: pulumi.Output[str]
    """ARN pattern of its log streams."""
    role_arns: pulumi.Output[dict[str, str]]
    """ARN of the execution role of each task."""
    retained: pulumi.Output[list[str]]
    """ARNs of resources that a destroy retains: the logs and their key."""

    def __init__(
        self, name: str, args: TaskExecutionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:TaskExecution", name, dict(args), opts)
        from pulumi_aws import get_caller_identity_output

        where = f"gateways.{args['name']}"
        sensitivity = check_sensitivity(args["sensitivity"], where)
        may_use_aws(sensitivity, where, args.get("exception", ""))
        retention_period(args["log_days"], f"{where}.fargate.log_days")
        repositories = {
            task: repository_arn(image, f"{where}.image") for task, image in args["images"].items()
        }
        region, tags = args["region"], {**args.get("tags", {}), "isthmus.dev/class": sensitivity}
        account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        retained = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        group = create_log_group(
            name,
            f"/isthmus/gateway/{name}/",
            args["log_days"],
            f"{where}.fargate.log_days",
            LogGroupOptions(region, account, tags, retained),
        )
        streams = pulumi.Output.format(
            "arn:{}:logs:{}:{}:log-group:{}:*", partition(region), region, account, group.name
        )
        self.roles: dict[str, Any] = {}
        """In Python: ARN of the execution role of each task."""
        for task in sorted(repositories):
            statements = self._statements(args, task, repositories[task], streams)
            self.roles[task] = self._create_role(
                f"{name}-{task}-start", task, args, account, statements, tags
            )
        self.log_group, self.log_streams = group.name, streams
        self.role_arns = pulumi.Output.all(**self.roles)
        self.retained = pulumi.Output.all(*group.made)
        self.register_outputs(
            {
                "log_group": self.log_group,
                "log_streams": self.log_streams,
                "role_arns": self.role_arns,
                "retained": self.retained,
            }
        )

    def _create_role(
        self,
        name: str,
        task: str,
        args: TaskExecutionArgs,
        account: pulumi.Input[str],
        statements: list[dict[str, Any]],
        tags: dict[str, str],
    ) -> pulumi.Output[str]:
        """Create the execution role of one task. Returns its ARN."""
        from pulumi_aws.iam import RolePolicy

        child = pulumi.ResourceOptions(parent=self)
        boundary = boundary_arn(name, args.get("permissions_boundary"), statements, child, tags=tags)
        description = f"ECS, to start the {task} of {args['name']}"
        trust = task_trust(args["region"], account)
        role = create_task_role(name, description, trust, boundary, tags, child)
        RolePolicy(
            f"{name}-policy",
            name=aws_name(f"{name}-policy", 128),
            role=role.name,
            policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements}).apply(
                lambda text: compact_policy(text, f"gateways.{args['name']} (policy)")
            ),
            opts=child,
        )
        return role.arn

    def _statements(
        self, args: TaskExecutionArgs, task: str, image: str, streams: pulumi.Output[str]
    ) -> list[dict[str, Any]]:
        """Statements of one task's role. Its boundary has the same."""
        vpc_condition = {"StringEquals": {"aws:SourceVpc": args["source_vpc"]}}
        grants: list[tuple[str, list[str], list[Any]]] = [
            ("Login", ["ecr:GetAuthorizationToken"], ["*"]),
            ("Image", PULL, [image]),
            ("Secrets", ["secretsmanager:GetSecretValue"], list(args["secrets"][task])),
            ("Logs", LOG, [streams]),
        ]
        statements: list[dict[str, Any]] = [
            {
                "Sid": sid,
                "Effect": "Allow",
                "Action": actions,
                "Resource": resources,
                "Condition": vpc_condition,
            }
            for sid, actions, resources in grants
        ]
        if key := args.get("secrets_key"):
            # Secrets Manager decrypts for the caller from its own network, so no VPC is required.
            service = f"secretsmanager.{args['region']}.amazonaws.com"
            via_secrets_manager = {"StringEquals": {"kms:ViaService": service}}
            statements.append(
                {
                    "Sid": "OpenSecrets",
                    "Effect": "Allow",
                    "Action": ["kms:Decrypt"],
                    "Resource": [key],
                    "Condition": via_secrets_manager,
                }
            )
        return statements
