"""Creates a role for tasks of Amazon ECS, with its trust policy and permissions boundary."""

from typing import Any

import pulumi

from components.aws.common.names import aws_name, partition


def task_trust(region: str, account: pulumi.Input[str]) -> dict[str, Any]:
    """The trust policy: ECS, for tasks of this account and region only.

    ECS supports no narrower source than all tasks of a region (Amazon ECS developer guide, "Amazon ECS task IAM
    role", read 2026-11). So iam:PassRole decides which tasks get the role.
    """
    source = pulumi.Output.format("arn:{}:ecs:{}:{}:*", partition(region), region, account)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TasksOfThisAccount",
                "Effect": "Allow",
                "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": account},
                    "ArnLike": {"aws:SourceArn": source},
                },
            }
        ],
    }


def create_task_role(
    name: str,
    description: str,
    trust: dict[str, Any],
    boundary: pulumi.Input[str],
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> Any:
    """Create the role `NAME-role` without a policy. `trust`: from `task_trust`. `boundary`: ARN of its boundary."""
    from pulumi_aws.iam import Role

    return Role(
        f"{name}-role",
        name=aws_name(f"{name}-role", 64),
        description=description,
        assume_role_policy=pulumi.Output.json_dumps(trust),
        permissions_boundary=boundary,
        tags=tags,
        opts=opts,
    )
