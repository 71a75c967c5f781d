"""What the AWS roles of a rendering may do, from their policies and boundaries alone.

Over-stated on purpose: conditions of what is allowed are taken to hold, denials with a condition not to.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any

from isthmus.report.graph import Graph, Resource, listed, statements

SWITCHING_OFF = (
    "cloudtrail:StopLogging",
    "cloudtrail:DeleteTrail",
    "cloudtrail:UpdateTrail",
    "cloudtrail:PutEventSelectors",
    "cloudtrail:PutInsightSelectors",
    "s3:DeleteBucket",
    "s3:DeleteObjectVersion",
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketObjectLockConfiguration",
    "s3:BypassGovernanceRetention",
    "kms:ScheduleKeyDeletion",
    "kms:DisableKey",
    "kms:PutKeyPolicy",
    "logs:DeleteLogGroup",
    "cloudwatch:DeleteAlarms",
    "events:DisableRule",
    "events:DeleteRule",
    "sns:DeleteTopic",
    "iam:CreateAccessKey",
    "iam:DeleteRolePermissionsBoundary",
    "iam:PutRolePermissionsBoundary",
)
"""By each of these the trail, its records or its alarms could be taken away."""


@dataclass(frozen=True)
class Role:
    """A role of the rendering, with the documents that say what it may do."""

    resource: Resource
    policies: list[dict[str, Any]]
    """Statements of its own and attached policies."""
    boundary: list[dict[str, Any]] | None
    """Statements of its boundary; None: it has none, or one that the rendering does not hold."""
    given: str | None
    """ARN of a boundary of the organisation's, whose words are not known here."""

    @property
    def name(self) -> str:
        return self.resource.name

    def may(self, action: str) -> bool:
        """Whether an action could be allowed on anything at all."""
        if not _says(self.policies, "Allow", action) or _says(self.policies, "Deny", action, bare=True):
            return False
        if self.boundary is None:
            return True
        return _says(self.boundary, "Allow", action) and not _says(self.boundary, "Deny", action, bare=True)


def roles(graph: Graph) -> list[Role]:
    """Every role that the rendering makes, by name."""
    made = []
    for role in sorted(graph.of("aws:iam/role:Role"), key=lambda each: each.name):
        documents = [
            statement
            for policy in graph.of("aws:iam/rolePolicy:RolePolicy")
            if role in graph.referred(policy.inputs.get("role"), ":Role")
            or _names(policy.inputs.get("role"), role)
            for statement in statements(policy.inputs.get("policy"))
        ]
        for attachment in graph.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
            if role in graph.referred(attachment.inputs.get("role"), ":Role"):
                for policy in graph.referred(attachment.inputs.get("policyArn"), ":Policy"):
                    documents += statements(policy.inputs.get("policy"))
        bound = role.inputs.get("permissionsBoundary")
        ours = graph.referred(bound, "aws:iam/policy:Policy")
        boundary = [s for each in ours for s in statements(each.inputs.get("policy"))] if ours else None
        made.append(Role(role, documents, boundary, bound if bound and not ours else None))
    return made


def _names(value: Any, role: Resource) -> bool:
    """Whether a role's policy names the role by its own name rather than by a reference."""
    return isinstance(value, str) and value in (role.inputs.get("name"), f"${{{role.name}.name}}")


def _says(documents: list[dict[str, Any]], effect: str, action: str, *, bare: bool = False) -> bool:
    """Whether a statement of that effect covers the action; `bare`: on everything, without a condition."""
    for statement in documents:
        if statement.get("Effect") != effect or (bare and statement.get("Condition")):
            continue
        if bare and "*" not in listed(statement.get("Resource")):
            continue
        if "NotAction" in statement:
            if not any(_covers(each, action) for each in listed(statement["NotAction"])):
                return True
        elif any(_covers(each, action) for each in listed(statement.get("Action"))):
            return True
    return False


def _covers(pattern: str, action: str) -> bool:
    return fnmatch.fnmatchcase(action.lower(), pattern.lower())
