"""Application Auto Scaling: targets and policies. moto's targets have no tags, and its policies another ARN at each
change. Nothing is scaled, and the alarms that AWS makes for a policy are not made."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.memory import Memory
from sandbox.aws.beside.naming import arn, now
from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Asked, Operation, Refused

Entry = dict[str, Any]
_WHICH = ("ServiceNamespace", "ResourceId", "ScalableDimension")


@dataclass
class Held:
    """Of one account and region: targets, their policies by name, tags by ARN."""

    targets: dict[tuple[str, ...], Entry] = field(default_factory=dict)
    policies: dict[tuple[str, ...], Entry] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)


HELD = Memory(Held)


def registered(asked: Asked, resource: str) -> bool:
    """Whether a resource is scaled, whatever its dimension."""
    return any(resource == key[1] for key in HELD.of(asked).targets)


def _which(asked: Asked) -> tuple[str, ...]:
    return tuple(asked.params[key] for key in _WHICH)


def _none(what: str) -> Refused:
    return Refused("ObjectNotFoundException", 400, f"No {what} found for these arguments.")


def register(asked: Asked) -> Entry:
    """A target, or other bounds of one that is there; tags are taken when it is made."""
    held, given = HELD.of(asked), dict(asked.params)
    tags = given.pop("Tags", None)
    found = held.targets.get(_which(asked))
    if found is None:
        if not {"MinCapacity", "MaxCapacity"} <= set(given):
            raise Refused("ValidationException", 400, "A new target needs MinCapacity and MaxCapacity.")
        target = arn(asked, "application-autoscaling", f"scalable-target/{secrets.token_hex(16)}")
        iam = f"arn:{partition(asked.region)[0]}:iam::{asked.account}"
        found = {
            "RoleARN": f"{iam}:role/aws-service-role/application-autoscaling",
            "ScalableTargetARN": target,
            "CreationTime": now(),
        }
        held.tags[target] = dict(tags or {})
    merged = {**found, **given}
    if merged["MinCapacity"] > merged["MaxCapacity"]:
        raise Refused("ValidationException", 400, "MinCapacity is above MaxCapacity.")
    held.targets[_which(asked)] = merged
    return {"ScalableTargetARN": merged["ScalableTargetARN"]}


def describe_targets(asked: Asked) -> Entry:
    given = asked.params
    return {
        "ScalableTargets": [
            one
            for key, one in HELD.of(asked).targets.items()
            if key[0] == given["ServiceNamespace"]
            and key[1] in (given.get("ResourceIds") or [key[1]])
            and key[2] == given.get("ScalableDimension", key[2])
        ]
    }


def deregister(asked: Asked) -> Entry:
    """Its policies go with it, as in AWS."""
    held, which = HELD.of(asked), _which(asked)
    if which not in held.targets:
        raise _none("scalable target")
    held.tags.pop(held.targets.pop(which)["ScalableTargetARN"], None)
    held.policies = {key: one for key, one in held.policies.items() if key[:3] != which}
    return {}


def put_policy(asked: Asked) -> Entry:
    held, given = HELD.of(asked), asked.params
    if _which(asked) not in held.targets:
        raise _none("scalable target")
    key = (*_which(asked), given["PolicyName"])
    resource = f"resource/{given['ServiceNamespace']}/{given['ResourceId']}:policyName/{given['PolicyName']}"
    policy = arn(asked, "autoscaling", f"scalingPolicy:{secrets.token_hex(16)}:{resource}")
    found = held.policies.get(key) or {"PolicyARN": policy, "CreationTime": now()}
    held.policies[key] = {**found, **given}
    return {"PolicyARN": found["PolicyARN"], "Alarms": []}


def describe_policies(asked: Asked) -> Entry:
    given = asked.params
    return {
        "ScalingPolicies": [
            one
            for key, one in HELD.of(asked).policies.items()
            if key[0] == given["ServiceNamespace"]
            and key[1] == given.get("ResourceId", key[1])
            and key[2] == given.get("ScalableDimension", key[2])
            and key[3] in (given.get("PolicyNames") or [key[3]])
        ]
    }


def delete_policy(asked: Asked) -> Entry:
    if HELD.of(asked).policies.pop((*_which(asked), asked.params["PolicyName"]), None) is None:
        raise _none("scaling policy")
    return {}


def _tags(asked: Asked) -> dict[str, str]:
    found = HELD.of(asked).tags.get(asked.params["ResourceARN"])
    if found is None:
        raise Refused("ResourceNotFoundException", 400, "The specified resource does not exist.")
    return found


def tag(asked: Asked) -> Entry:
    _tags(asked).update(asked.params["Tags"])
    return {}


def untag(asked: Asked) -> Entry:
    for key in asked.params["TagKeys"]:
        _tags(asked).pop(key, None)
    return {}


_SERVICE = "application-autoscaling"
OPERATIONS = (
    Operation(_SERVICE, "RegisterScalableTarget", register),
    Operation(_SERVICE, "DescribeScalableTargets", describe_targets),
    Operation(_SERVICE, "DeregisterScalableTarget", deregister),
    Operation(_SERVICE, "PutScalingPolicy", put_policy),
    Operation(_SERVICE, "DescribeScalingPolicies", describe_policies),
    Operation(_SERVICE, "DeleteScalingPolicy", delete_policy),
    Operation(_SERVICE, "TagResource", tag),
    Operation(_SERVICE, "UntagResource", untag),
    Operation(_SERVICE, "ListTagsForResource", lambda asked: {"Tags": dict(_tags(asked))}),
)
