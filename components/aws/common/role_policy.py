"""Creates the inline policy of a role."""

from collections.abc import Sequence
from typing import Any

import pulumi

from components.aws.common.names import aws_name


def role_policy(
    name: str, role: Any, statements: Sequence[dict[str, Any]], opts: pulumi.ResourceOptions
) -> Any:
    """The inline policy `name` of a role. Resources that need the role's permissions depend on it."""
    from pulumi_aws.iam import RolePolicy

    return RolePolicy(
        name,
        name=aws_name(name, 128),
        role=role.name,
        policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements}),
        opts=opts,
    )
