"""Rules for AWS permissions: named actions and resources, boundaries, short sessions, named principals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from isthmus.contracts.reference import roles as people_roles
from isthmus.contracts.reference.aws_actions import ACCOUNT_ACTIONS, UNSCOPED_ACTIONS, is_open_resource
from isthmus.graph.iam.permissions import covers, roles
from isthmus.graph.resources.resources import Resource, as_list
from policies.inputs.documents import (
    RESOURCE_POLICY_KEYS,
    actions,
    conditions,
    principals,
    resources,
    statements,
)
from policies.inputs.selectors import first_of_rows, resources_where, stack_in_aws
from policies.inputs.values import is_unknown, require
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_ROLE = "aws:iam/role:Role"
_GRANTS = (
    "aws:iam/policy:Policy",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/userPolicy:UserPolicy",
    "aws:iam/groupPolicy:GroupPolicy",
    "aws:ssoadmin/permissionSetInlinePolicy:PermissionSetInlinePolicy",
)
_USERS = (
    "aws:iam/user:User",
    "aws:iam/group:Group",
    "aws:iam/userLoginProfile:UserLoginProfile",
    "aws:iam/sshKey:SshKey",
    "aws:iam/serviceSpecificCredential:ServiceSpecificCredential",
)
_WIDE_POLICY = re.compile(
    r"arn:aws[\w-]*:iam::aws:policy/(?:.*/)?(AdministratorAccess|PowerUserAccess|\w*FullAccess)$"
)
_READ_ACTION = re.compile(r"^[\w-]+:(Describe|List)\w*$")
_SERVICES_WITHOUT_SOURCE = (
    "rolesanywhere.amazonaws.com",
    "ecs-tasks.amazonaws.com",
    "ec2.amazonaws.com",
    "eks.amazonaws.com",
    "pods.eks.amazonaws.com",
)
"""Services that need no source condition: we start machines and tasks ourselves, and an association binds pods."""


_PEOPLE_READS = frozenset(
    frozenset(read_actions) for row in people_roles.ACCOUNT.values() for read_actions in row.values()
)
"""Rows of the table of people's roles: they show settings, counts and events of the account, and no content."""


def _policy_documents(subject: Subject) -> Iterator[tuple[Resource, str, list[dict[str, Any]] | None]]:
    """Every policy document that grants permissions to an identity: resource, name, statements (None: not known)."""
    for resource in subject.graph.of(*_GRANTS):
        policy = resource.inputs.get("policy", resource.inputs.get("inlinePolicy"))
        yield resource, resource.name, statements(policy)
    for role in subject.graph.of(_ROLE):
        for inline in role.inputs.get("inlinePolicies") or []:
            yield role, f"{role.name}'s {inline.get('name')}", statements(inline.get("policy"))
    for profile in subject.graph.of("aws:rolesanywhere/profile:Profile"):
        if profile.inputs.get("sessionPolicy"):
            yield profile, profile.name, statements(profile.inputs["sessionPolicy"])


def _allow_statements(subject: Subject) -> Iterator[tuple[Resource, str, dict[str, Any]]]:
    for resource, name, document in _policy_documents(subject):
        for statement in document or []:
            if statement.get("Effect") == "Allow":
                yield resource, name, statement


def _check_readable(subject: Subject) -> Iterator[Violation]:
    for resource, name, document in _policy_documents(subject):
        if document is None:
            yield Violation(
                f"the permissions of {name} are not known before the change is made", resource, "undecided"
            )


def _readable_grants(subject: Subject) -> Iterator[Resource]:
    """Resources that grant permissions by a readable document; `identity/can-be-read` covers the others."""
    return (resource for resource, _, document in _policy_documents(subject) if document is not None)


def _check_actions(subject: Subject) -> Iterator[Violation]:
    for resource, name, statement in _allow_statements(subject):
        if "NotAction" in statement:
            yield Violation(
                f"{name} allows all actions except {', '.join(as_list(statement['NotAction']))}", resource
            )
        for action in actions(statement):
            # `ec2:Describe*` only reads.
            if ("*" in action or "?" in action) and not _READ_ACTION.match(action.rstrip("*")):
                yield Violation(f"{name} allows {action}", resource)


def _check_resources(subject: Subject) -> Iterator[Violation]:
    boundary_urns = set(_boundary_only_policies(subject))
    for resource, name, statement in _allow_statements(subject):
        if "NotResource" in statement:
            yield Violation(
                f"{name} allows {', '.join(actions(statement))} on all resources except those that it names",
                resource,
            )
        if frozenset(actions(statement)) in _PEOPLE_READS:
            continue
        scoped_actions = [
            action for action in actions(statement) if not _needs_no_resource(action, statement)
        ]
        for arn in resources(statement) if scoped_actions else ():
            # A boundary grants nothing, so it may name a kind of resource in our own account.
            if _reaches_other_accounts(arn) if resource.urn in boundary_urns else _is_unnamed(arn):
                yield Violation(f"{name} allows {', '.join(scoped_actions)} on {arn}", resource)


def _needs_no_resource(action: str, statement: dict[str, Any]) -> bool:
    """Whether an action takes no resource, only reads a list, or is limited by a namespace condition instead."""
    if action in (*UNSCOPED_ACTIONS, *ACCOUNT_ACTIONS) or (
        _READ_ACTION.match(action) and not action.startswith("s3:")
    ):
        return True
    keys = {key for _, key, _ in conditions(statement)}
    return action == "cloudwatch:PutMetricData" and "cloudwatch:namespace" in keys


def _boundary_only_policies(subject: Subject) -> Iterator[str]:
    """URNs of policies that are used only as boundary or session policy, and are attached to no identity."""
    graph = subject.graph
    arns = [
        resource.inputs.get("policyArn")
        for resource in graph.resources
        if resource.type.startswith("aws:iam/")
    ]
    arns += [role.inputs.get("managedPolicyArns") for role in graph.of(_ROLE)]
    attached = {policy.urn for arn in arns if arn for policy in graph.referred(arn, ":Policy")}
    for role in graph.of(_ROLE):
        for policy in graph.referred(role.inputs.get("permissionsBoundary") or "", ":Policy"):
            if policy.urn not in attached:
                yield policy.urn
    for profile in graph.of("aws:rolesanywhere/profile:Profile"):
        yield profile.urn


def _is_unnamed(arn: str) -> bool:
    """Whether an ARN names no single resource. A wildcard below one of our resources (a log group's streams) does."""
    before, _, _ = arn.partition("*")
    return is_open_resource(arn) and not re.search(r"\$\{(?!aws\.)[^{}]+\}[:/]$", before)


def _reaches_other_accounts(arn: str) -> bool:
    """Whether an ARN reaches more than one account's resources of one service (bucket ARNs have no account)."""
    fields = arn.split(":", 5)
    return len(fields) < 6 or "*" in "".join(fields[:3]) or "*" in fields[4] or fields[5] in ("", "*")


def _check_boundaries(subject: Subject) -> Iterator[Violation]:
    for role in roles(subject.graph):
        bound = role.resource.inputs.get("permissionsBoundary")
        if is_unknown(bound) and role.boundary is None and role.given is None:
            yield Violation(
                f"the permissions boundary of {role.name} is not known yet", role.resource, "undecided"
            )
        elif role.boundary is None and role.given is None:
            yield Violation(f"role {role.name} has no permissions boundary", role.resource)


def _check_managed_policies(subject: Subject) -> Iterator[Violation]:
    for resource in subject.graph.resources:
        if not resource.type.startswith("aws:iam/"):
            continue
        arns = [resource.inputs.get("policyArn"), *as_list(resource.inputs.get("managedPolicyArns"))]
        for arn in arns:
            match = _WIDE_POLICY.match(str(arn or ""))
            if match:
                yield Violation(f"{resource.name} attaches the managed policy {match[1]}", resource)


def _attachments(subject: Subject) -> Iterator[Resource]:
    """IAM resources that attach managed policies."""
    for resource in subject.graph.resources:
        attached = resource.inputs.get("policyArn") or resource.inputs.get("managedPolicyArns")
        if resource.type.startswith("aws:iam/") and attached:
            yield resource


def _check_trust(subject: Subject) -> Iterator[Violation]:
    for role in subject.graph.of(_ROLE):
        document = statements(role.inputs.get("assumeRolePolicy"))
        if document is None:
            yield Violation(
                f"who may assume {role.name} is not known before the change is made", role, "undecided"
            )
        for statement in document or []:
            if statement.get("Effect") != "Allow":
                continue
            trusted = principals(statement)
            if "NotPrincipal" in statement or any("*" in principal for principal in trusted):
                yield Violation(f"anyone may assume role {role.name}", role)
            keys = {key for _, key, _ in conditions(statement)}
            if "rolesanywhere.amazonaws.com" in trusted and not (
                "aws:SourceArn" in keys and any(key.startswith("aws:PrincipalTag/x509") for key in keys)
            ):
                yield Violation(f"any certificate of any trust anchor may assume {role.name}", role)
            federated = statement.get("Principal")
            if isinstance(federated, dict) and federated.get("Federated") and not keys:
                yield Violation(
                    f"every user of {as_list(federated['Federated'])[0]} may assume {role.name}", role
                )


def _check_confused_deputy(subject: Subject) -> Iterator[Violation]:
    for role in subject.graph.of(_ROLE):
        for statement in statements(role.inputs.get("assumeRolePolicy")) or []:
            services = [name for name in principals(statement) if name.endswith(".amazonaws.com")]
            keys = {key for _, key, _ in conditions(statement)}
            for service in services:
                if service in _SERVICES_WITHOUT_SOURCE:
                    continue
                if not keys & {"aws:SourceArn", "aws:SourceAccount", "aws:SourceOrgID"}:
                    yield Violation(f"{service} may assume {role.name} on behalf of another account", role)


def _trusts_a_service(role: Resource) -> bool:
    names = [
        name
        for statement in statements(role.inputs.get("assumeRolePolicy")) or []
        for name in principals(statement)
    ]
    return any(name.endswith(".amazonaws.com") and name not in _SERVICES_WITHOUT_SOURCE for name in names)


def _check_no_users(subject: Subject) -> Iterator[Violation]:
    for user in subject.graph.of(*_USERS):
        yield Violation(f"{user.name} is an IAM user or group, which no boundary of ours limits", user)


def _check_session_length(subject: Subject) -> Iterator[Violation]:
    for profile in subject.graph.of("aws:rolesanywhere/profile:Profile"):
        yield from require(
            profile,
            "durationSeconds",
            lambda n: n is None or n <= 3600,
            "allows sessions of more than one hour",
        )
    for role in subject.graph.of(_ROLE):
        yield from require(
            role,
            "maxSessionDuration",
            lambda n: n is None or n <= 3600,
            "allows sessions of more than one hour",
        )


def _check_session_policies(subject: Subject) -> Iterator[Violation]:
    for profile in subject.graph.of("aws:rolesanywhere/profile:Profile"):
        if not profile.inputs.get("sessionPolicy") and not profile.inputs.get("managedPolicyArns"):
            yield Violation(
                f"sessions of {profile.name} have all permissions of its roles: there is no session policy",
                profile,
            )
        if profile.inputs.get("acceptRoleSessionName"):
            yield Violation(
                f"callers of {profile.name} can choose the session name that the trail records", profile
            )


def _check_resource_policies(subject: Subject) -> Iterator[Violation]:
    for resource in subject.graph.of(*RESOURCE_POLICY_KEYS):
        document = statements(resource.inputs.get(RESOURCE_POLICY_KEYS[resource.type]))
        if document is None:
            yield Violation(
                f"who may use {resource.name} is not known before the change is made", resource, "undecided"
            )
        for statement in document or []:
            if statement.get("Effect") != "Allow":
                continue
            is_open = "NotPrincipal" in statement or any(
                "*" in principal for principal in principals(statement)
            )
            if is_open and not any(_names_caller(key, value) for _, key, value in conditions(statement)):
                yield Violation(
                    f"{resource.name} allows anyone to use it: {', '.join(actions(statement)) or 'every action'}",
                    resource,
                )
            elif any(covers(action, "kms:PutKeyPolicy") and "*" in action for action in actions(statement)):
                yield Violation(
                    f"{resource.name} allows its callers {', '.join(actions(statement))}", resource
                )


def _names_caller(key: str, value: Any) -> bool:
    """Whether a condition limits who the caller is."""
    is_caller_key = key.lower().startswith(("aws:principal", "aws:source", "kms:calleraccount"))
    return is_caller_key and not any(allowed in ("*", "") for allowed in as_list(value))


_LEAST_PRIVILEGE = (
    *fw.nist("AC-3", "AC-6"),
    *fw.nist_171("3.1.5"),
    *fw.hipaa("164.308(a)(4)"),
    *fw.iso_27001("A.5.15"),
    *fw.dora("Art. 9(4)(c)"),
)
RULES = (
    Rule(
        "identity/can-be-read",
        "Permissions can be read before they take effect",
        "medium",
        fw.nist("AC-6"),
        "Nobody can review a policy whose contents are not known",
        "Render the stack without the engine, so that the policy's contents are known, or write known "
        "names into the policy",
        _check_readable,
        _GRANTS,
        applies_to=first_of_rows(_policy_documents),
    ),
    Rule(
        "identity/no-wildcard-action",
        "Permissions name their actions",
        "critical",
        _LEAST_PRIVILEGE,
        "`bedrock:*` allows deleting guardrails and logging as well as calling a model",
        "Name each action",
        _check_actions,
        (*_GRANTS, _ROLE),
        applies_to=_readable_grants,
    ),
    Rule(
        "identity/no-wildcard-resource",
        "Permissions name their resources",
        "high",
        _LEAST_PRIVILEGE,
        "With `*`, an identity of one class reaches another class's models, keys and logs",
        "Name the resource's ARN with its account and region",
        _check_resources,
        (*_GRANTS, _ROLE),
        applies_to=_readable_grants,
    ),
    Rule(
        "identity/roles-bounded",
        "Every role has a permissions boundary",
        "high",
        _LEAST_PRIVILEGE,
        "Without a boundary, a policy that is added later, even by hand, applies in full",
        "Set permissionsBoundary on the role",
        _check_boundaries,
        (_ROLE,),
    ),
    Rule(
        "identity/no-wide-managed-policy",
        "No role has a managed policy that allows everything of a service",
        "critical",
        _LEAST_PRIVILEGE,
        "AWS can add permissions to its managed policies at any time",
        "Write a policy that names actions and resources",
        _check_managed_policies,
        applies_to=_attachments,
    ),
    Rule(
        "identity/trust-named",
        "The trust policy of a role names who may assume it",
        "critical",
        (*fw.nist("AC-3", "IA-2"), *fw.iso_27001("A.5.15"), *fw.dora("Art. 9(4)(c)")),
        "Whoever assumes a translator's role can call its models without passing a gateway",
        "Name the principal; for Roles Anywhere, name the trust anchor and the certificate's subject",
        _check_trust,
        (_ROLE,),
    ),
    Rule(
        "identity/no-confused-deputy",
        "Services assume a role only for resources of our own accounts",
        "medium",
        fw.nist("AC-3"),
        "A service that acts for every account could use our role on behalf of another account",
        "Add a condition on aws:SourceArn or aws:SourceAccount",
        _check_confused_deputy,
        (_ROLE,),
        applies_to=resources_where(_trusts_a_service, _ROLE),
    ),
    Rule(
        "identity/no-users",
        "There are no IAM users, groups or passwords",
        "high",
        (*fw.nist("IA-2", "AC-2"), *fw.iso_27001("A.5.16")),
        "No permissions boundary limits them, and single sign-on does not disable them when their owner leaves",
        "Let people sign in through the organisation's single sign-on and assume a role",
        _check_no_users,
        _USERS,
        applies_to=stack_in_aws,
    ),
    Rule(
        "identity/sessions-short",
        "Sessions last at most one hour",
        "medium",
        fw.nist("AC-12"),
        "A stolen session works until it expires",
        "Set durationSeconds and maxSessionDuration to at most 3600",
        _check_session_length,
        ("aws:rolesanywhere/profile:Profile", _ROLE),
    ),
    Rule(
        "identity/sessions-bounded",
        "Roles Anywhere sessions have a session policy",
        "medium",
        fw.nist("AC-6"),
        "The session policy still limits the session when the role gets more permissions later",
        "Set sessionPolicy, and remove acceptRoleSessionName",
        _check_session_policies,
        ("aws:rolesanywhere/profile:Profile",),
    ),
    Rule(
        "identity/resource-policies-named",
        "Policies of keys, buckets, topics and secrets name who has access",
        "critical",
        (*fw.nist("AC-3"), *fw.fsbp("S3.6", "KMS.5"), *fw.iso_27001("A.8.3"), *fw.dora("Art. 9(4)(c)")),
        "A resource policy grants access independently of every role and boundary",
        "Name the principals, or add a condition on aws:SourceArn or aws:PrincipalArn",
        _check_resource_policies,
        tuple(RESOURCE_POLICY_KEYS),
    ),
)
