"""Identity in AWS: least privilege, bounded, short, and nobody's for long."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from isthmus.contracts.reference.aws_actions import UNSCOPED, any_resource
from isthmus.graph.iam.permissions import covers, roles
from isthmus.graph.resources.resources import Resource, listed
from policies.inputs.documents import actions, conditions, principals, resources, statements
from policies.inputs.values import unknown, wants
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

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
BY_RESOURCE = {
    "aws:kms/key:Key": "policy",
    "aws:kms/keyPolicy:KeyPolicy": "policy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
    "aws:sqs/queuePolicy:QueuePolicy": "policy",
    "aws:secretsmanager/secretPolicy:SecretPolicy": "policy",
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": "policyDocument",
}
_WIDE = re.compile(
    r"arn:aws[\w-]*:iam::aws:policy/(?:.*/)?(AdministratorAccess|PowerUserAccess|\w*FullAccess)$"
)
_READS = re.compile(r"^[\w-]+:(Describe|List)\w*$")
SERVICES = ("ecs-tasks.amazonaws.com", "ec2.amazonaws.com", "eks.amazonaws.com", "pods.eks.amazonaws.com")
"""Services whose trust takes no source: machines and tasks are started by us, pods are bound by an association."""


def documents(subject: Subject) -> Iterator[tuple[Resource, str, list[dict[str, Any]] | None]]:
    """Every document that gives rights to an identity, with what it is called."""
    for each in subject.graph.of(*_GRANTS):
        said = each.inputs.get("policy", each.inputs.get("inlinePolicy"))
        yield each, each.name, statements(said)
    for role in subject.graph.of(_ROLE):
        for inline in role.inputs.get("inlinePolicies") or []:
            yield role, f"{role.name}'s {inline.get('name')}", statements(inline.get("policy"))
    for profile in subject.graph.of("aws:rolesanywhere/profile:Profile"):
        if profile.inputs.get("sessionPolicy"):
            yield profile, profile.name, statements(profile.inputs["sessionPolicy"])


def _allowed(subject: Subject) -> Iterator[tuple[Resource, str, dict[str, Any]]]:
    for resource, name, document in documents(subject):
        for statement in document or []:
            if statement.get("Effect") == "Allow":
                yield resource, name, statement


def _can_be_read(subject: Subject) -> Iterator[Broken]:
    for resource, name, document in documents(subject):
        if document is None:
            yield Broken(f"what {name} allows is not known before the change is made", resource, "undecided")


def _no_wildcard_action(subject: Subject) -> Iterator[Broken]:
    for resource, name, statement in _allowed(subject):
        if "NotAction" in statement:
            yield Broken(f"{name} allows all but {', '.join(listed(statement['NotAction']))}", resource)
        for action in actions(statement):
            # ec2:Describe* reads and no more.
            if ("*" in action or "?" in action) and not _READS.match(action.rstrip("*")):
                yield Broken(f"{name} allows {action}", resource)


def _no_wildcard_resource(subject: Subject) -> Iterator[Broken]:
    ceilings = set(_ceilings(subject))
    for resource, name, statement in _allowed(subject):
        if "NotResource" in statement:
            yield Broken(f"{name} allows {', '.join(actions(statement))} on all but what it names", resource)
        every = [each for each in actions(statement) if not _alone(each, statement)]
        for what in resources(statement) if every else ():
            # What only bounds gives nothing; it may name a kind of thing, in our own account.
            if _anywhere(what) if resource.urn in ceilings else _unnamed(what):
                yield Broken(f"{name} allows {', '.join(every)} on {what}", resource)


def _alone(action: str, statement: dict[str, Any]) -> bool:
    """Whether a call knows no resource or only reads a list, or its namespace stands in a condition instead."""
    if action in UNSCOPED or (_READS.match(action) and not action.startswith("s3:")):
        return True
    keys = {key for _, key, _ in conditions(statement)}
    return action == "cloudwatch:PutMetricData" and "cloudwatch:namespace" in keys


def _ceilings(subject: Subject) -> Iterator[str]:
    """URNs of policies that bound a role or a session, and are given to nobody."""
    graph = subject.graph
    given = [each.inputs.get("policyArn") for each in graph.resources if each.type.startswith("aws:iam/")]
    given += [each.inputs.get("managedPolicyArns") for each in graph.of(_ROLE)]
    attached = {each.urn for arn in given if arn for each in graph.referred(arn, ":Policy")}
    for role in graph.of(_ROLE):
        for each in graph.referred(role.inputs.get("permissionsBoundary") or "", ":Policy"):
            if each.urn not in attached:
                yield each.urn
    for profile in graph.of("aws:rolesanywhere/profile:Profile"):
        yield profile.urn


def _unnamed(what: str) -> bool:
    """Whether a resource names no one thing; below a thing of ours, such as a log group's streams, it does."""
    before, _, _ = what.partition("*")
    return any_resource(what) and not re.search(r"\$\{(?!aws\.)[^{}]+\}[:/]$", before)


def _anywhere(what: str) -> bool:
    """Whether it reaches beyond one account's things of one service (buckets have no account in their ARN)."""
    fields = what.split(":", 5)
    return len(fields) < 6 or "*" in "".join(fields[:3]) or "*" in fields[4] or fields[5] in ("", "*")


def _bounded(subject: Subject) -> Iterator[Broken]:
    for role in roles(subject.graph):
        bound = role.resource.inputs.get("permissionsBoundary")
        if unknown(bound) and role.boundary is None and role.given is None:
            yield Broken(f"the boundary of {role.name} is not known here", role.resource, "undecided")
        elif role.boundary is None and role.given is None:
            yield Broken(f"role {role.name} has no permissions boundary", role.resource)


def _no_managed(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.resources:
        if not each.type.startswith("aws:iam/"):
            continue
        arns = [each.inputs.get("policyArn"), *listed(each.inputs.get("managedPolicyArns"))]
        for arn in arns:
            found = _WIDE.match(str(arn or ""))
            if found:
                yield Broken(f"{each.name} gives {found[1]}", each)


def _trust(subject: Subject) -> Iterator[Broken]:
    for role in subject.graph.of(_ROLE):
        document = statements(role.inputs.get("assumeRolePolicy"))
        if document is None:
            yield Broken(f"who may become {role.name} is not known before the change", role, "undecided")
        for statement in document or []:
            if statement.get("Effect") != "Allow":
                continue
            who = principals(statement)
            if "NotPrincipal" in statement or any("*" in each for each in who):
                yield Broken(f"anybody may become role {role.name}", role)
            keys = {key for _, key, _ in conditions(statement)}
            if "rolesanywhere.amazonaws.com" in who and not (
                "aws:SourceArn" in keys and any(key.startswith("aws:PrincipalTag/x509") for key in keys)
            ):
                yield Broken(f"any certificate of any anchor may become {role.name}", role)
            federated = statement.get("Principal")
            if isinstance(federated, dict) and federated.get("Federated") and not keys:
                yield Broken(
                    f"everybody whom {listed(federated['Federated'])[0]} knows may become {role.name}", role
                )


def _no_deputy(subject: Subject) -> Iterator[Broken]:
    for role in subject.graph.of(_ROLE):
        for statement in statements(role.inputs.get("assumeRolePolicy")) or []:
            services = [who for who in principals(statement) if who.endswith(".amazonaws.com")]
            keys = {key for _, key, _ in conditions(statement)}
            for service in services:
                if service in SERVICES or service == "rolesanywhere.amazonaws.com":
                    continue
                if not keys & {"aws:SourceArn", "aws:SourceAccount", "aws:SourceOrgID"}:
                    yield Broken(f"{service} may become {role.name} on behalf of another account", role)


def _no_user(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(*_USERS):
        yield Broken(f"{each.name} is a user or group of IAM, which no boundary of ours holds", each)


def _short(subject: Subject) -> Iterator[Broken]:
    for profile in subject.graph.of("aws:rolesanywhere/profile:Profile"):
        yield from wants(
            profile,
            "durationSeconds",
            lambda n: n is None or n <= 3600,
            "gives sessions of more than an hour",
        )
    for role in subject.graph.of(_ROLE):
        yield from wants(
            role, "maxSessionDuration", lambda n: n is None or n <= 3600, "may be borne for more than an hour"
        )


def _sessions_bounded(subject: Subject) -> Iterator[Broken]:
    for profile in subject.graph.of("aws:rolesanywhere/profile:Profile"):
        if not profile.inputs.get("sessionPolicy") and not profile.inputs.get("managedPolicyArns"):
            yield Broken(f"sessions of {profile.name} may do all that its roles may", profile)
        if profile.inputs.get("acceptRoleSessionName"):
            yield Broken(f"callers of {profile.name} choose the name that the trail has of them", profile)


def _resource_policies(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(*BY_RESOURCE):
        document = statements(each.inputs.get(BY_RESOURCE[each.type]))
        if document is None:
            yield Broken(f"whom {each.name} lets in is not known before the change", each, "undecided")
        for statement in document or []:
            if statement.get("Effect") != "Allow":
                continue
            open_ = "NotPrincipal" in statement or any("*" in who for who in principals(statement))
            if open_ and not any(_names(key, value) for _, key, value in conditions(statement)):
                yield Broken(f"{each.name} lets anybody {', '.join(actions(statement)) or 'in'}", each)
            elif any(covers(action, "kms:PutKeyPolicy") and "*" in action for action in actions(statement)):
                yield Broken(f"{each.name} lets its callers {', '.join(actions(statement))}", each)


def _names(key: str, value: Any) -> bool:
    """Whether a condition says whose call it must be."""
    said = key.lower().startswith(("aws:principal", "aws:source", "kms:calleraccount"))
    return said and not any(each in ("*", "") for each in listed(value))


_least = (
    *fw.nist("AC-3", "AC-6"),
    *fw.nist_171("3.1.5"),
    *fw.hipaa("164.308(a)(4)"),
    *fw.iso_27001("A.5.15"),
    *fw.dora("Art. 9(4)(c)"),
)
RULES = (
    Rule(
        "identity/can-be-read",
        "What an identity may do can be read before it may",
        "medium",
        fw.nist("AC-6"),
        "A policy that nobody could read was approved by nobody",
        "Render the stack without the engine, which knows the policy's words, or write known names into it",
        _can_be_read,
        _GRANTS,
    ),
    Rule(
        "identity/no-wildcard-action",
        "Rights name their actions",
        "critical",
        _least,
        "`bedrock:*` may delete guardrails and logging as well as call a model",
        "Name each action",
        _no_wildcard_action,
        (*_GRANTS, _ROLE),
    ),
    Rule(
        "identity/no-wildcard-resource",
        "Rights name what they are over",
        "high",
        _least,
        "On `*` an identity of one class reaches another class's models, keys and logs",
        "Name the resource's ARN, its account and region too",
        _no_wildcard_resource,
        (*_GRANTS, _ROLE),
    ),
    Rule(
        "identity/roles-bounded",
        "Every role has a permissions boundary",
        "high",
        _least,
        "A policy added later, by hand too, would count in full",
        "Set permissionsBoundary",
        _bounded,
        (_ROLE,),
    ),
    Rule(
        "identity/no-wide-managed-policy",
        "No role has a managed policy that gives everything of a service",
        "critical",
        _least,
        "AWS widens its managed policies by itself",
        "Write a policy that names actions and resources",
        _no_managed,
    ),
    Rule(
        "identity/trust-named",
        "Who may become a role is named",
        "critical",
        (*fw.nist("AC-3", "IA-2"), *fw.iso_27001("A.5.15"), *fw.dora("Art. 9(4)(c)")),
        "Whoever can become a translator's role calls its models unseen by any gateway",
        "Name the principal; for Roles Anywhere the trust anchor and the certificate's subject",
        _trust,
        (_ROLE,),
    ),
    Rule(
        "identity/no-confused-deputy",
        "Services become a role for our own resources only",
        "medium",
        fw.nist("AC-3"),
        "A service that acts for everybody would act on ours for another account",
        "Add a condition on aws:SourceArn or aws:SourceAccount",
        _no_deputy,
        (_ROLE,),
    ),
    Rule(
        "identity/no-users",
        "No users, groups or passwords of IAM's",
        "high",
        (*fw.nist("IA-2", "AC-2"), *fw.iso_27001("A.5.16")),
        "No boundary of ours holds them, and no sign-on ends them when their owner leaves",
        "Let people come by the organisation's sign-on and take a role",
        _no_user,
        _USERS,
    ),
    Rule(
        "identity/sessions-short",
        "Sessions end within the hour",
        "medium",
        fw.nist("AC-12"),
        "A stolen session works until it ends",
        "Set durationSeconds and maxSessionDuration to 3600 at most",
        _short,
        ("aws:rolesanywhere/profile:Profile", _ROLE),
    ),
    Rule(
        "identity/sessions-bounded",
        "Sessions from outside AWS are bounded once more",
        "medium",
        fw.nist("AC-6"),
        "The session policy holds though the role is widened later",
        "Set sessionPolicy, and leave acceptRoleSessionName off",
        _sessions_bounded,
        ("aws:rolesanywhere/profile:Profile",),
    ),
    Rule(
        "identity/resource-policies-named",
        "Keys, buckets, topics and secrets name whom they let in",
        "critical",
        (*fw.nist("AC-3"), *fw.fsbp("S3.6", "KMS.5"), *fw.iso_27001("A.8.3"), *fw.dora("Art. 9(4)(c)")),
        "A resource's own policy stands beside every role and boundary",
        "Name principals, or condition on aws:SourceArn or aws:PrincipalArn",
        _resource_policies,
        tuple(BY_RESOURCE),
    ),
)
