"""Whether the audit trail exists, and no role or policy can stop it or delete it, its records or its keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.iam.permissions import TRAIL_THREATS, attachments_to_unknown_roles, covers, roles
from isthmus.graph.resources.resources import (
    Fault,
    Graph,
    Resource,
    as_list,
    is_unread,
    statements,
    unread_fault,
)

_ROOT = re.compile(r"(arn:aws[\w-]*:iam::)?(\$\{aws\.accountId\}|\d{12})(:root)?")
"""The account itself. Within it, the policies and boundaries of the roles decide."""
_SERVICE_LINKED_ROLE = re.compile(
    r"arn:aws[\w-]*:iam::[^:]+:role/aws-service-role/[a-z0-9.-]+\.amazonaws\.com/\w+"
)
"""A service-linked role, which only an AWS service can assume."""
_USERS = ("aws:iam/user:User", "aws:iam/group:Group")
_TYPES_WITH_POLICIES = (
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucket:Bucket",
    "aws:s3/bucketV2:BucketV2",
    "aws:kms/key:Key",
    "aws:kms/keyPolicy:KeyPolicy",
    "aws:sns/topic:Topic",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
)
"""Types with the resource policy of a bucket, key, topic or log group."""


def nobody_switches_the_trail_off(graph: Graph) -> list[Fault]:
    """Find roles that may stop, restrict or delete the trail, and roles without a boundary against it."""
    broken: list[Fault] = []
    for role in roles(graph):
        reasons = [f"may {action}" for action in TRAIL_THREATS if role.may(action)]
        reasons += [f"has {arn}, whose words are not known" for arn in role.uncapped]
        if role.boundary is None and role.given is None:
            reasons.append("has no permissions boundary")
        broken += [Fault(f"role {role.name} {why}", role.resource) for why in reasons]
        reasons = [f"has {name}, whose words are not known before it is made" for name in role.hidden]
        broken += [Fault(f"role {role.name} {why}", role.resource, "undecided") for why in reasons]
        if is_unread(role.resource.inputs.get("assumeRolePolicy")):
            broken.append(unread_fault(role.resource, "trust policy"))
        for statement in statements(role.resource.inputs.get("assumeRolePolicy")):
            if statement.get("Effect") == "Allow" and _lets_anybody(statement):
                broken.append(Fault(f"anybody may become role {role.name}", role.resource))
    broken += [
        Fault(f"{attachment.name} is put on a role that is not known", attachment)
        for attachment in attachments_to_unknown_roles(graph)
    ]
    for user in graph.of(*_USERS):
        why = f"{user.name} is a user or group of IAM, which no boundary of ours holds"
        broken.append(Fault(why, user))
    for guarded in graph.of(*_TYPES_WITH_POLICIES):
        if is_unread(guarded.inputs.get("policy")):
            broken.append(unread_fault(guarded))
        for statement in statements(guarded.inputs.get("policy")):
            for why in _gives_away(guarded, statement):
                broken.append(Fault(f"the policy of {guarded.name} lets {why}", guarded))
    for trail in graph.of("aws:cloudtrail/trail:Trail"):
        broken += [Fault(f"trail {trail.name} {why}", trail) for why in _trail_faults(trail)]
    return broken


def the_trail_stands(graph: Graph, platform: Platform) -> list[Fault]:
    """Find trails of the platform that are missing in the rendering."""
    expected = [trail.name for trail in platform.trails if trail.mode == "manage"]
    made = list(graph.of("aws:cloudtrail/trail:Trail"))
    if len(made) < len(expected):
        return [Fault(f"of the trails {', '.join(expected)}, {len(made)} are made")]
    return []


def _trail_faults(trail: Resource) -> Iterator[str]:
    if trail.inputs.get("enableLogging") is False:
        yield "does not log"
    if trail.inputs.get("isMultiRegionTrail") is not True:
        yield "records one region only"
    if trail.inputs.get("enableLogFileValidation") is not True:
        yield "does not validate its files"
    if trail.inputs.get("includeGlobalServiceEvents") is False:
        yield "leaves out IAM and the other global services"
    if not _sees_management(trail.inputs):
        yield "leaves out calls that change things"


def _sees_management(inputs: dict[str, Any]) -> bool:
    """Whether the trail records every management event. A trail without selectors does."""
    advanced, basic = inputs.get("advancedEventSelectors"), inputs.get("eventSelectors")
    if advanced:
        # Exactly one field: further fields would narrow the selection.
        return any(
            [(field.get("field"), field.get("equals")) for field in selector.get("fieldSelectors") or []]
            == [("eventCategory", ["Management"])]
            for selector in advanced
        )
    return not basic or any(
        selector.get("includeManagementEvents") is not False
        and selector.get("readWriteType", "All") == "All"
        and not selector.get("excludeManagementEventSources")
        for selector in basic
    )


def _gives_away(resource: Resource, statement: dict[str, Any]) -> Iterator[str]:
    """What a resource policy allows to others, in addition to the boundaries of roles."""
    if statement.get("Effect") != "Allow":
        return
    actions = as_list(statement.get("Action"))
    if _lets_anybody(statement):
        yield "anybody in"
    if "NotAction" in statement or any(action == "*" or action.endswith(":*") for action in actions):
        yield f"its callers do {', '.join(actions) or 'all that it does not name'}"
        return
    is_account_root = resource.type.startswith("aws:kms/") and all(
        map(_ROOT.fullmatch, _principals(statement))
    )
    if _for_a_service(statement):
        actions = [action for action in actions if action != "kms:CreateGrant"]
    for action in TRAIL_THREATS:
        if not is_account_root and any(covers(pattern, action) for pattern in actions):
            yield f"its callers do {action}"


def _for_a_service(statement: dict[str, Any]) -> bool:
    """Whether a statement is only for an AWS service's own resources: EC2 Auto Scaling attaches encrypted volumes."""
    condition = statement.get("Condition") or {}
    is_service_grant = (condition.get("Bool") or {}).get("kms:GrantIsForAWSResource") == "true"
    return (
        is_service_grant
        and bool(_principals(statement))
        and all(map(_SERVICE_LINKED_ROLE.fullmatch, _principals(statement)))
    )


def _principals(statement: dict[str, Any]) -> list[str]:
    """Principals of a statement that are not AWS services."""
    principal = statement.get("Principal")
    if not isinstance(principal, dict):
        return as_list(principal)
    return [arn for kind in ("AWS", "Federated") for arn in as_list(principal.get(kind))]


def _lets_anybody(statement: dict[str, Any]) -> bool:
    return "NotPrincipal" in statement or any("*" in principal for principal in _principals(statement))
