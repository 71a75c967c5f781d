"""Denies model calls when a budget is used up: AWS Budgets attaches a policy."""

from typing import Any

import pulumi

from components.aws.common.names import aws_name
from components.aws.common.role_policy import role_policy
from components.aws.identity.boundary import boundary_arn

CALLS = [
    "bedrock:CreateModelInvocationJob",
    "bedrock:InvokeAgent",
    "bedrock:InvokeFlow",
    "bedrock:InvokeInlineAgent",
    "bedrock:InvokeModel",
    "bedrock:InvokeModelWithBidirectionalStream",
    "bedrock:InvokeModelWithResponseStream",
    "bedrock:Retrieve",
    "bedrock:RetrieveAndGenerate",
]
"""Calls of Bedrock that cost by use; Converse and asynchronous calls need InvokeModel (Service Authorization
Reference, as of knowledge, not checked)."""
HOSTED_CALLS = [
    "sagemaker:InvokeEndpoint",
    "sagemaker:InvokeEndpointAsync",
    "sagemaker:InvokeEndpointWithResponseStream",
]
"""Calls of endpoints on SageMaker, whose instances cost by the hour, called or not: a denial frees none of them."""
ATTACH = ["iam:AttachRolePolicy", "iam:DetachRolePolicy"]
USED_UP = 100
"""Percent of actual spend at which it happens."""


def create_denial(
    name: str,
    budget: Any,
    roles: list[pulumi.Input[str]],
    *,
    account: pulumi.Input[str],
    partition: pulumi.Input[str],
    boundary: pulumi.Input[str] | None,
    topic: pulumi.Output[str],
    emails: list[str],
    tags: dict[str, str],
    parent: pulumi.Resource,
    hosted: bool = False,
) -> None:
    """The denying policy, attached to nothing yet, the role by which it will be attached, and the action.

    A policy for each budget: one that is lifted leaves another's denial in place. `hosted`: calls of endpoints
    on SageMaker are denied too.
    """
    from pulumi_aws.budgets import BudgetAction
    from pulumi_aws.iam import Policy, Role

    child = pulumi.ResourceOptions(parent=parent)
    policy = Policy(
        f"{name}-deny",
        description=f"Budget {name} is used up: no call of a model",
        policy=pulumi.Output.json_dumps(deny_policy(hosted)),
        tags=tags,
        opts=child,
    )
    arns = [pulumi.Output.format("arn:{}:iam::{}:role/{}", partition, account, role) for role in roles]
    attach_statement = {
        "Sid": "AttachTheDenial",
        "Effect": "Allow",
        "Action": ATTACH,
        "Resource": arns,
        "Condition": {"ArnEquals": {"iam:PolicyARN": policy.arn}},
    }
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "BudgetsOfThisAccount",
                "Effect": "Allow",
                "Principal": {"Service": "budgets.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": account},
                    "ArnLike": {
                        "aws:SourceArn": pulumi.Output.format(
                            "arn:{}:budgets::{}:budget/{}*", partition, account, budget.name
                        )
                    },
                },
            }
        ],
    }
    role = Role(
        f"{name}-role",
        name=aws_name(f"{name}-role", 64),
        description=f"AWS Budgets denies calls of models when {name} is used up",
        assume_role_policy=pulumi.Output.json_dumps(trust),
        permissions_boundary=boundary_arn(
            name, boundary, [attach_statement], child, tags=tags, role_policies=arns
        ),
        tags=tags,
        opts=child,
    )
    action_policy = role_policy(f"{name}-role-policy", role, [attach_statement], child)
    BudgetAction(
        f"{name}-action",
        account_id=account,
        budget_name=budget.name,
        action_type="APPLY_IAM_POLICY",
        approval_model="AUTOMATIC",
        notification_type="ACTUAL",
        action_threshold={"action_threshold_type": "PERCENTAGE", "action_threshold_value": USED_UP},
        definition={"iam_action_definition": {"policy_arn": policy.arn, "roles": list(roles)}},
        execution_role_arn=role.arn,
        subscribers=[
            *({"address": address, "subscription_type": "EMAIL"} for address in emails),
            {"address": topic, "subscription_type": "SNS"},
        ],
        tags=tags,
        # Its role must be able to act when AWS looks at it.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[action_policy]),
    )


def deny_policy(hosted: bool = False) -> dict[str, Any]:
    actions = [*CALLS, *(HOSTED_CALLS if hosted else [])]
    return {
        "Version": "2012-10-17",
        "Statement": [{"Sid": "BudgetUsedUp", "Effect": "Deny", "Action": actions, "Resource": "*"}],
    }
