"""Whether the trail stands, and nobody of the rendering's could take it, its records or its keys away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.iam.permissions import SWITCHING_OFF, astray, covers, roles
from isthmus.graph.resources.resources import Fault, Graph, Resource, listed, not_known, statements, unread

_ROOT = re.compile(r"(arn:aws[\w-]*:iam::)?(\$\{aws\.accountId\}|\d{12})(:root)?")
"""The account itself: within it, roles' own policies and boundaries decide."""
_LINKED = re.compile(r"arn:aws[\w-]*:iam::[^:]+:role/aws-service-role/[a-z0-9.-]+\.amazonaws\.com/\w+")
"""A role that a service of AWS alone can bear."""
_USERS = ("aws:iam/user:User", "aws:iam/group:Group")
_GUARDED = (
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucket:Bucket",
    "aws:s3/bucketV2:BucketV2",
    "aws:kms/key:Key",
    "aws:kms/keyPolicy:KeyPolicy",
    "aws:sns/topic:Topic",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
)
"""What bears the policy of a bucket, key, topic or log group."""


def nobody_switches_the_trail_off(graph: Graph) -> list[Fault]:
    """No role of ours may stop, blind or erase the trail, and each is bounded, whatever is added to it later."""
    broken: list[Fault] = []
    for role in roles(graph):
        said = [f"may {action}" for action in SWITCHING_OFF if role.may(action)]
        said += [f"has {arn}, whose words are not known" for arn in role.unknown]
        if role.boundary is None and role.given is None:
            said.append("has no permissions boundary")
        broken += [Fault(f"role {role.name} {why}", role.resource) for why in said]
        said = [f"has {name}, whose words are not known before it is made" for name in role.hidden]
        broken += [Fault(f"role {role.name} {why}", role.resource, "undecided") for why in said]
        if unread(role.resource.inputs.get("assumeRolePolicy")):
            broken.append(not_known(role.resource, "trust policy"))
        for statement in statements(role.resource.inputs.get("assumeRolePolicy")):
            if statement.get("Effect") == "Allow" and _anybody(statement):
                broken.append(Fault(f"anybody may become role {role.name}", role.resource))
    broken += [Fault(f"{each.name} is put on a role that is not known", each) for each in astray(graph)]
    for each in graph.of(*_USERS):
        why = f"{each.name} is a user or group of IAM, which no boundary of ours holds"
        broken.append(Fault(why, each))
    for each in graph.of(*_GUARDED):
        if unread(each.inputs.get("policy")):
            broken.append(not_known(each))
        for statement in statements(each.inputs.get("policy")):
            for why in _gives_away(each, statement):
                broken.append(Fault(f"the policy of {each.name} lets {why}", each))
    for trail in graph.of("aws:cloudtrail/trail:Trail"):
        broken += [Fault(f"trail {trail.name} {why}", trail) for why in _lacks(trail)]
    return broken


def the_trail_stands(graph: Graph, platform: Platform) -> list[Fault]:
    """As many trails are made as the platform says."""
    wanted = [one.name for one in platform.trails if one.mode == "manage"]
    found = list(graph.of("aws:cloudtrail/trail:Trail"))
    if len(found) < len(wanted):
        return [Fault(f"of the trails {', '.join(wanted)}, {len(found)} are made")]
    return []


def _lacks(trail: Resource) -> Iterator[str]:
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
    """Whether every management event is recorded; a trail without selectors records them."""
    advanced, plain = inputs.get("advancedEventSelectors"), inputs.get("eventSelectors")
    if advanced:
        # One field alone: further ones would narrow it.
        return any(
            [(one.get("field"), one.get("equals")) for one in selector.get("fieldSelectors") or []]
            == [("eventCategory", ["Management"])]
            for selector in advanced
        )
    return not plain or any(
        one.get("includeManagementEvents") is not False
        and one.get("readWriteType", "All") == "All"
        and not one.get("excludeManagementEventSources")
        for one in plain
    )


def _gives_away(resource: Resource, statement: dict[str, Any]) -> Iterator[str]:
    """What a resource's own policy lets others do, beside and above the boundaries of roles."""
    if statement.get("Effect") != "Allow":
        return
    actions = listed(statement.get("Action"))
    if _anybody(statement):
        yield "anybody in"
    if "NotAction" in statement or any(each == "*" or each.endswith(":*") for each in actions):
        yield f"its callers do {', '.join(actions) or 'all that it does not name'}"
        return
    own = resource.type.startswith("aws:kms/") and all(map(_ROOT.fullmatch, _who(statement)))
    if _for_a_service(statement):
        actions = [each for each in actions if each != "kms:CreateGrant"]
    for action in SWITCHING_OFF:
        if not own and any(covers(each, action) for each in actions):
            yield f"its callers do {action}"


def _for_a_service(statement: dict[str, Any]) -> bool:
    """A service of AWS, for its own resources alone: EC2 Auto Scaling, that attaches encrypted volumes."""
    condition = statement.get("Condition") or {}
    own = (condition.get("Bool") or {}).get("kms:GrantIsForAWSResource") == "true"
    return own and bool(_who(statement)) and all(map(_LINKED.fullmatch, _who(statement)))


def _who(statement: dict[str, Any]) -> list[str]:
    """Principals of a statement that are no services of AWS."""
    principal = statement.get("Principal")
    if not isinstance(principal, dict):
        return listed(principal)
    return [each for kind in ("AWS", "Federated") for each in listed(principal.get(kind))]


def _anybody(statement: dict[str, Any]) -> bool:
    return "NotPrincipal" in statement or any("*" in each for each in _who(statement))
