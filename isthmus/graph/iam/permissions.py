"""What the AWS roles of a rendering may do, from their policies and boundaries alone.

Over-stated on purpose: conditions of what is allowed are taken to hold, denials with a condition not to.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.reference import aws_actions
from isthmus.graph.resources.resources import Graph, Resource, listed, statements, unread

SWITCHING_OFF = (
    *aws_actions.TRAIL,
    *aws_actions.WATCH,
    *aws_actions.RECORDS,
    *aws_actions.KEYS,
    *(each for each in aws_actions.ONWARD if "*" not in each),
    "cloudwatch:PutMetricAlarm",
    "logs:AssociateKmsKey",
    "logs:PutMetricFilter",
    "s3:PutBucketOwnershipControls",
    "s3:PutReplicationConfiguration",
    "events:DeleteRule",
    "events:DisableRule",
    "events:PutRule",
    "events:PutTargets",
    "events:RemoveTargets",
    "sns:AddPermission",
    "sns:DeleteTopic",
    "sns:RemovePermission",
    "sns:SetTopicAttributes",
    "sns:Unsubscribe",
    "iam:CreateAccessKey",
    "iam:CreateLoginProfile",
    "iam:CreatePolicyVersion",
    "iam:CreateRole",
    "iam:CreateServiceSpecificCredential",
    "iam:CreateUser",
    "iam:DeleteRolePermissionsBoundary",
    "iam:PassRole",
    "iam:PutRolePermissionsBoundary",
    "iam:PutRolePolicy",
    "iam:SetDefaultPolicyVersion",
    "iam:UpdateAssumeRolePolicy",
    "organizations:DeletePolicy",
    "organizations:DetachPolicy",
    "organizations:DisablePolicyType",
    "organizations:LeaveOrganization",
    "organizations:UpdatePolicy",
    "account:CloseAccount",
    "account:DisableRegion",
)
"""By each of these the trail, its records or its alarms could be taken away, or someone become who may: what the
components' boundary denies, and what else their alarms watch or a role could rise by (a test holds it to both)."""
_GIVEN = re.compile(r"arn:aws[\w-]*:iam::(?!aws:)[^:]+:policy/.+")
"""A policy of an account; those of AWS's own bound nobody."""


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
    unknown: list[str] = field(default_factory=list)
    """ARNs of policies attached to it whose words the rendering does not hold."""
    hidden: list[str] = field(default_factory=list)
    """Policies of its own, and its boundary, whose words are not known before they are made, by name."""

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
            if _is(graph, policy.inputs.get("role"), role)
            for statement in statements(policy.inputs.get("policy"))
        ]
        for inline in role.inputs.get("inlinePolicies") or []:
            documents += statements(inline.get("policy"))
        unknown: list[str] = []
        for arn in _attached(graph, role):
            ours = graph.referred(arn, "aws:iam/policy:Policy")
            documents += [s for each in ours for s in statements(each.inputs.get("policy"))]
            if not ours:
                unknown.append(str(arn))
        bound = role.inputs.get("permissionsBoundary")
        ours = graph.referred(bound, "aws:iam/policy:Policy")
        boundary = [s for each in ours for s in statements(each.inputs.get("policy"))] if ours else None
        given = bound if not ours and isinstance(bound, str) and _GIVEN.fullmatch(bound) else None
        made.append(Role(role, documents, boundary, given, unknown, _hidden(graph, role)))
    return made


def _hidden(graph: Graph, role: Resource) -> list[str]:
    own = [
        each
        for each in graph.of("aws:iam/rolePolicy:RolePolicy")
        if _is(graph, each.inputs.get("role"), role)
    ]
    for value in [*_attached(graph, role), role.inputs.get("permissionsBoundary")]:
        own += graph.referred(value, "aws:iam/policy:Policy")
    found = [each.name for each in own if unread(each.inputs.get("policy"))]
    inline = role.inputs.get("inlinePolicies") or []
    return found + [role.name for each in inline if unread(each.get("policy"))]


def _attached(graph: Graph, role: Resource) -> list[Any]:
    """ARNs of every managed policy that the role has, in whichever of the ways it is attached."""
    arns = list(role.inputs.get("managedPolicyArns") or [])
    for each in graph.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
        if _is(graph, each.inputs.get("role"), role):
            arns.append(each.inputs.get("policyArn"))
    for each in graph.of("aws:iam/policyAttachment:PolicyAttachment"):
        if any(_is(graph, one, role) for one in each.inputs.get("roles") or []):
            arns.append(each.inputs.get("policyArn"))
    return arns


def astray(graph: Graph) -> list[Resource]:
    """Policies put on a role that the rendering does not make: what it may do with them is not known."""
    made = list(graph.of("aws:iam/role:Role"))
    found = []
    for each in graph.of(
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:iam/policyAttachment:PolicyAttachment",
    ):
        for value in [each.inputs.get("role"), *(each.inputs.get("roles") or [])]:
            if value is not None and not any(_is(graph, value, role) for role in made):
                found.append(each)
    return found


def _is(graph: Graph, value: Any, role: Resource) -> bool:
    """Whether a value means the role, by reference or by its own name."""
    return role in graph.referred(value, ":Role") or _names(value, role)


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
            if not any(covers(each, action) for each in listed(statement["NotAction"])):
                return True
        elif any(covers(each, action) for each in listed(statement.get("Action"))):
            return True
    return False


def covers(pattern: str, action: str) -> bool:
    """Whether a policy's action or resource, with its wildcards, is or holds this one."""
    return fnmatch.fnmatchcase(action.lower(), pattern.lower())


MOUNT = ("elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite")


def _allowed(role: Role) -> list[dict[str, Any]]:
    return [each for each in role.policies if each.get("Effect") == "Allow"]


def mounts_only(graph: Graph, role: str) -> bool:
    """Whether a role that is made here may mount shares and nothing else."""
    found = {each.urn for each in graph.referred(role, ":Role")}
    made = [each for each in roles(graph) if each.resource.urn in found]
    return bool(made) and all(
        not each.unknown
        and not each.hidden
        and all(
            "NotAction" not in one and set(listed(one.get("Action"))) <= set(MOUNT) for one in _allowed(each)
        )
        for each in made
    )
