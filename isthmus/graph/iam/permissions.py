"""What the AWS roles of a rendering may do, by their policies and boundaries.

The result is an upper bound: conditions of an `Allow` are assumed to hold, a `Deny` with a condition is ignored.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.reference import aws_actions, aws_managed_policies
from isthmus.graph.resources.resources import Graph, Resource, as_list, is_unread, statements

TRAIL_THREATS = (
    *aws_actions.STOP_TRAIL_ACTIONS,
    *aws_actions.STOP_MONITORING_ACTIONS,
    *aws_actions.DELETE_RECORD_ACTIONS,
    *aws_actions.DISABLE_KEY_ACTIONS,
    *(action for action in aws_actions.OTHER_IDENTITY_ACTIONS if "*" not in action),
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
"""Actions that could stop or delete the trail, its records or alarms, or give a role these rights.

The boundary of the components denies them, or their alarms report them; a test checks that both lists agree.
"""
_REFERENCE = re.compile(r"(?:arn:aws:iam:::)?\$\{[^{}]+\.arn\}")
"""A reference to one policy, also as `isthmus render` writes it."""
_POLICY_OF_AWS = re.compile(r"arn:aws[\w-]*:iam::aws:policy/[\w+=,.@/-]+")
_POLICY_OF_AN_ACCOUNT = re.compile(r"arn:aws[\w-]*:iam::(?!aws:)[^:]+:policy/.+")
"""A policy of an account. AWS's own policies do not restrict a role."""


@dataclass(frozen=True)
class Role:
    """A role of the rendering with its policy documents."""

    resource: Resource
    policies: list[dict[str, Any]]
    """Statements of its own and attached policies."""
    boundary: list[dict[str, Any]] | None
    """Statements of its boundary. None: it has no boundary, or one that is not in the rendering."""
    given: str | None
    """ARN of a boundary of the organisation, whose content is unknown here."""
    unknown: list[str] = field(default_factory=list)
    """ARNs of attached policies that are not in the rendering."""
    hidden: list[str] = field(default_factory=list)
    """Names of its policies or its boundary whose content is unknown before they are created."""
    is_capped: bool = False
    """Whether its boundary is a policy of the rendering that allows no threat to the trail."""

    @property
    def name(self) -> str:
        return self.resource.name

    def may(self, action: str) -> bool:
        """Whether the role could be allowed to do an action on any resource."""
        return _allows(self.policies, action) and (self.boundary is None or _allows(self.boundary, action))

    @property
    def uncapped(self) -> list[str]:
        """ARNs of attached policies whose words are not known, and that could allow a threat to the trail.

        A boundary limits every policy of its role, so one of AWS's own allows no threat that a boundary of the
        rendering leaves out, or denies on all resources without a condition. Some of AWS's own allowed none when they
        were read.
        """

        def is_harmless(arn: str) -> bool:
            is_read = arn.rpartition("/")[2] in aws_managed_policies.NO_THREAT_TO_TRAILS
            return _POLICY_OF_AWS.fullmatch(arn) is not None and (self.is_capped or is_read)

        return [arn for arn in self.unknown if not is_harmless(arn)]


def roles(graph: Graph) -> list[Role]:
    """Every role of the rendering, by name."""
    result = []
    for role in sorted(graph.of("aws:iam/role:Role"), key=lambda resource: resource.name):
        documents = [
            statement
            for policy in graph.of("aws:iam/rolePolicy:RolePolicy")
            if _is_role(graph, policy.inputs.get("role"), role)
            for statement in statements(policy.inputs.get("policy"))
        ]
        for inline in role.inputs.get("inlinePolicies") or []:
            documents += statements(inline.get("policy"))
        unknown: list[str] = []
        for arn in _attached(graph, role):
            policies = graph.referred(arn, "aws:iam/policy:Policy")
            documents += [s for policy in policies for s in statements(policy.inputs.get("policy"))]
            if not policies:
                unknown.append(str(arn))
        boundary_value = role.inputs.get("permissionsBoundary")
        policies = graph.referred(boundary_value, "aws:iam/policy:Policy")
        boundary = (
            [s for policy in policies for s in statements(policy.inputs.get("policy"))] if policies else None
        )
        foreign_boundary = (
            boundary_value
            if not policies
            and isinstance(boundary_value, str)
            and _POLICY_OF_AN_ACCOUNT.fullmatch(boundary_value)
            else None
        )
        hidden = _unread_policies(graph, role)
        is_made = bool(policies and _REFERENCE.fullmatch(str(boundary_value)))
        is_capped = is_made and all(map(_caps_threats, policies))
        result.append(Role(role, documents, boundary, foreign_boundary, unknown, hidden, is_capped))
    return result


def _caps_threats(policy: Resource) -> bool:
    """Whether a boundary's words are known, and allow no threat to the trail."""
    document = policy.inputs.get("policy")
    listed = statements(document)
    return bool(listed) and not any(_allows(listed, action) for action in TRAIL_THREATS)


def _unread_policies(graph: Graph, role: Resource) -> list[str]:
    policies = [
        policy
        for policy in graph.of("aws:iam/rolePolicy:RolePolicy")
        if _is_role(graph, policy.inputs.get("role"), role)
    ]
    for value in [*_attached(graph, role), role.inputs.get("permissionsBoundary")]:
        policies += graph.referred(value, "aws:iam/policy:Policy")
    names = [policy.name for policy in policies if is_unread(policy.inputs.get("policy"))]
    inline = role.inputs.get("inlinePolicies") or []
    return names + [role.name for inline_policy in inline if is_unread(inline_policy.get("policy"))]


def _attached(graph: Graph, role: Resource) -> list[Any]:
    """ARNs of the managed policies of a role, attached in any way."""
    arns = list(role.inputs.get("managedPolicyArns") or [])
    for attachment in graph.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
        if _is_role(graph, attachment.inputs.get("role"), role):
            arns.append(attachment.inputs.get("policyArn"))
    for attachment in graph.of("aws:iam/policyAttachment:PolicyAttachment"):
        if any(_is_role(graph, role_name, role) for role_name in attachment.inputs.get("roles") or []):
            arns.append(attachment.inputs.get("policyArn"))
    return arns


def attachments_to_unknown_roles(graph: Graph) -> list[Resource]:
    """Policies attached to roles outside the rendering: it is unknown what these roles may do with them."""
    roles = list(graph.of("aws:iam/role:Role"))
    attachments = []
    for attachment in graph.of(
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:iam/policyAttachment:PolicyAttachment",
    ):
        for value in [attachment.inputs.get("role"), *(attachment.inputs.get("roles") or [])]:
            if value is not None and not any(_is_role(graph, value, role) for role in roles):
                attachments.append(attachment)
    return attachments


def _is_role(graph: Graph, value: Any, role: Resource) -> bool:
    """Whether a value refers to the role, by reference or by its name."""
    return role in graph.referred(value, ":Role") or _names_role(value, role)


def _names_role(value: Any, role: Resource) -> bool:
    """Whether a policy names its role by its name instead of a reference."""
    return isinstance(value, str) and value in (role.inputs.get("name"), f"${{{role.name}.name}}")


def _allows(documents: list[dict[str, Any]], action: str) -> bool:
    """Whether statements could allow an action on any resource."""
    return _has_statement(documents, "Allow", action) and not _has_statement(
        documents, "Deny", action, bare=True
    )


def _has_statement(documents: list[dict[str, Any]], effect: str, action: str, *, bare: bool = False) -> bool:
    """Whether a statement with this effect covers the action. `bare`: on all resources and without a condition."""
    for statement in documents:
        if statement.get("Effect") != effect or (bare and statement.get("Condition")):
            continue
        if bare and "*" not in as_list(statement.get("Resource")):
            continue
        if "NotAction" in statement:
            if not any(covers(pattern, action) for pattern in as_list(statement["NotAction"])):
                return True
        elif any(covers(pattern, action) for pattern in as_list(statement.get("Action"))):
            return True
    return False


def covers(pattern: str, action: str) -> bool:
    """Whether a policy's action or resource, with its wildcards, covers this one."""
    return fnmatch.fnmatchcase(action.lower(), pattern.lower())


MOUNT = ("elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite")


def _allowed(role: Role) -> list[dict[str, Any]]:
    return [statement for statement in role.policies if statement.get("Effect") == "Allow"]


def mounts_only(graph: Graph, role: str) -> bool:
    """Whether a role of the rendering may only mount file shares."""
    urns = {resource.urn for resource in graph.referred(role, ":Role")}
    matching = [entry for entry in roles(graph) if entry.resource.urn in urns]
    return bool(matching) and all(
        not entry.unknown
        and not entry.hidden
        and all(
            "NotAction" not in statement and set(as_list(statement.get("Action"))) <= set(MOUNT)
            for statement in _allowed(entry)
        )
        for entry in matching
    )
