"""Denies model calls when a budget is used up: AWS Budgets attaches a policy."""

from dataclasses import dataclass
from typing import Any

import pulumi

from components.aws.common.names import aws_name
from components.aws.common.role_policy import role_policy
from components.aws.common.topic import Topic
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
"""Calls of Bedrock that cost by use. Converse and asynchronous calls need InvokeModel (Service Authorization
Reference, as of knowledge, not checked)."""
HOSTED_CALLS = [
    "sagemaker:InvokeEndpoint",
    "sagemaker:InvokeEndpointAsync",
    "sagemaker:InvokeEndpointWithResponseStream",
]
"""Calls of SageMaker endpoints. Their instances cost by the hour even without calls, so a denial does not stop that
cost."""
ATTACH = ["iam:AttachRolePolicy", "iam:DetachRolePolicy"]
USED_UP = 100
"""Percentage of actual spend at which calls are denied."""


@dataclass(frozen=True)
class Alerts:
    """The recipients of a budget's alerts."""

    topic: Topic
    emails: list[str]


@dataclass(frozen=True)
class BudgetDenial:
    """The denial of one budget. Each budget has its own policy, so lifting one denial leaves the others in place."""

    name: str
    """Name of the budget among the resources."""
    budget: Any
    account: pulumi.Input[str]
    partition: pulumi.Input[str]
    alerts: Alerts
    tags: dict[str, str]
    parent: pulumi.Resource

    @property
    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self.parent)

    def create(
        self, roles: list[pulumi.Input[str]], boundary: pulumi.Input[str] | None, *, hosted: bool = False
    ) -> None:
        """Create the denying policy (not attached yet), the role that attaches it, and the action.

        `roles`: names of the roles to deny. `boundary`: ARN of the attaching role's boundary. `hosted`: also deny
        calls of SageMaker endpoints.
        """
        policy = self._create_policy(hosted)
        role, role_policy_resource = self._create_role(policy, roles, boundary)
        self._create_action(policy, roles, role, role_policy_resource)

    def _create_policy(self, hosted: bool) -> Any:
        from pulumi_aws.iam import Policy

        return Policy(
            f"{self.name}-deny",
            description=f"Budget {self.name} is used up: no call of a model",
            policy=pulumi.Output.json_dumps(deny_policy(hosted)),
            tags=self.tags,
            opts=self._child,
        )

    def _create_role(
        self, policy: Any, roles: list[pulumi.Input[str]], boundary: pulumi.Input[str] | None
    ) -> tuple[Any, pulumi.Resource]:
        """The role with which AWS Budgets attaches the denial to `roles` only, and the role's policy."""
        from pulumi_aws.iam import Role

        name = f"{self.name}-role"
        arns = [
            pulumi.Output.format("arn:{}:iam::{}:role/{}", self.partition, self.account, role)
            for role in roles
        ]
        attach_statement = {
            "Sid": "AttachTheDenial",
            "Effect": "Allow",
            "Action": ATTACH,
            "Resource": arns,
            "Condition": {"ArnEquals": {"iam:PolicyARN": policy.arn}},
        }
        role = Role(
            name,
            name=aws_name(name, 64),
            description=f"AWS Budgets denies calls of models when {self.name} is used up",
            assume_role_policy=pulumi.Output.json_dumps(self._trust()),
            permissions_boundary=boundary_arn(
                self.name, boundary, [attach_statement], self._child, tags=self.tags, role_policies=arns
            ),
            tags=self.tags,
            opts=self._child,
        )
        return role, role_policy(f"{name}-policy", role, [attach_statement], self._child)

    def _trust(self) -> dict[str, Any]:
        """The trust policy: AWS Budgets, for this budget of this account only."""
        source = pulumi.Output.format(
            "arn:{}:budgets::{}:budget/{}*", self.partition, self.account, self.budget.name
        )
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "BudgetsOfThisAccount",
                    "Effect": "Allow",
                    "Principal": {"Service": "budgets.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                    "Condition": {
                        "StringEquals": {"aws:SourceAccount": self.account},
                        "ArnLike": {"aws:SourceArn": source},
                    },
                }
            ],
        }

    def _create_action(
        self, policy: Any, roles: list[pulumi.Input[str]], role: Any, role_policy_resource: pulumi.Resource
    ) -> None:
        """Attach the policy to the roles when the budget is used up, and send an alert."""
        from pulumi_aws.budgets import BudgetAction

        BudgetAction(
            f"{self.name}-action",
            account_id=self.account,
            budget_name=self.budget.name,
            action_type="APPLY_IAM_POLICY",
            approval_model="AUTOMATIC",
            notification_type="ACTUAL",
            action_threshold={"action_threshold_type": "PERCENTAGE", "action_threshold_value": USED_UP},
            definition={"iam_action_definition": {"policy_arn": policy.arn, "roles": list(roles)}},
            execution_role_arn=role.arn,
            subscribers=[
                *({"address": address, "subscription_type": "EMAIL"} for address in self.alerts.emails),
                {"address": self.alerts.topic.arn, "subscription_type": "SNS"},
            ],
            tags=self.tags,
            # AWS checks the role's permissions when the action is created.
            opts=pulumi.ResourceOptions(parent=self.parent, depends_on=[role_policy_resource]),
        )


def deny_policy(hosted: bool = False) -> dict[str, Any]:
    actions = [*CALLS, *(HOSTED_CALLS if hosted else [])]
    return {
        "Version": "2012-10-17",
        "Statement": [{"Sid": "BudgetUsedUp", "Effect": "Deny", "Action": actions, "Resource": "*"}],
    }
