"""Application Auto Scaling: targets and policies.

moto's targets have no tags, and moto changes a policy's ARN with each update. Nothing is scaled here, and the alarms
that AWS creates for a policy are not created.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.memory import Memory
from sandbox.aws.beside.naming import arn, now
from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

Entry = dict[str, Any]
_KEY_PARAMS = ("ServiceNamespace", "ResourceId", "ScalableDimension")


@dataclass
class State:
    """The resources of one account and region: targets, their policies by name, tags by ARN."""

    targets: dict[tuple[str, ...], Entry] = field(default_factory=dict)
    policies: dict[tuple[str, ...], Entry] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)


STATE = Memory(State)


def is_registered(request: ServiceRequest, resource: str) -> bool:
    """Return True if a resource is a scalable target in any dimension."""
    return any(resource == key[1] for key in STATE.of(request).targets)


def _target_key(request: ServiceRequest) -> tuple[str, ...]:
    return tuple(request.params[key] for key in _KEY_PARAMS)


def _not_found(resource_kind: str) -> Refused:
    return Refused("ObjectNotFoundException", 400, f"No {resource_kind} found for these arguments.")


def register(request: ServiceRequest) -> Entry:
    """Create a target, or change the bounds of an existing one. Tags are used only for a new target."""
    state, params = STATE.of(request), dict(request.params)
    tags = params.pop("Tags", None)
    existing = state.targets.get(_target_key(request))
    if existing is None:
        if not {"MinCapacity", "MaxCapacity"} <= set(params):
            raise Refused("ValidationException", 400, "A new target needs MinCapacity and MaxCapacity.")
        target = arn(request, "application-autoscaling", f"scalable-target/{secrets.token_hex(16)}")
        iam = f"arn:{partition(request.region)[0]}:iam::{request.account}"
        existing = {
            "RoleARN": f"{iam}:role/aws-service-role/application-autoscaling",
            "ScalableTargetARN": target,
            "CreationTime": now(),
        }
        state.tags[target] = dict(tags or {})
    merged = {**existing, **params}
    if merged["MinCapacity"] > merged["MaxCapacity"]:
        raise Refused("ValidationException", 400, "MinCapacity is above MaxCapacity.")
    state.targets[_target_key(request)] = merged
    return {"ScalableTargetARN": merged["ScalableTargetARN"]}


def describe_targets(request: ServiceRequest) -> Entry:
    params = request.params
    return {
        "ScalableTargets": [
            target
            for key, target in STATE.of(request).targets.items()
            if key[0] == params["ServiceNamespace"]
            and key[1] in (params.get("ResourceIds") or [key[1]])
            and key[2] == params.get("ScalableDimension", key[2])
        ]
    }


def deregister(request: ServiceRequest) -> Entry:
    """Delete a target with its policies, as AWS does."""
    state, target_key = STATE.of(request), _target_key(request)
    if target_key not in state.targets:
        raise _not_found("scalable target")
    state.tags.pop(state.targets.pop(target_key)["ScalableTargetARN"], None)
    state.policies = {key: policy for key, policy in state.policies.items() if key[:3] != target_key}
    return {}


def put_policy(request: ServiceRequest) -> Entry:
    state, params = STATE.of(request), request.params
    if _target_key(request) not in state.targets:
        raise _not_found("scalable target")
    key = (*_target_key(request), params["PolicyName"])
    resource = (
        f"resource/{params['ServiceNamespace']}/{params['ResourceId']}:policyName/{params['PolicyName']}"
    )
    policy = arn(request, "autoscaling", f"scalingPolicy:{secrets.token_hex(16)}:{resource}")
    existing = state.policies.get(key) or {"PolicyARN": policy, "CreationTime": now()}
    state.policies[key] = {**existing, **params}
    return {"PolicyARN": existing["PolicyARN"], "Alarms": []}


def describe_policies(request: ServiceRequest) -> Entry:
    params = request.params
    return {
        "ScalingPolicies": [
            policy
            for key, policy in STATE.of(request).policies.items()
            if key[0] == params["ServiceNamespace"]
            and key[1] == params.get("ResourceId", key[1])
            and key[2] == params.get("ScalableDimension", key[2])
            and key[3] in (params.get("PolicyNames") or [key[3]])
        ]
    }


def delete_policy(request: ServiceRequest) -> Entry:
    if STATE.of(request).policies.pop((*_target_key(request), request.params["PolicyName"]), None) is None:
        raise _not_found("scaling policy")
    return {}


def _tags(request: ServiceRequest) -> dict[str, str]:
    tags = STATE.of(request).tags.get(request.params["ResourceARN"])
    if tags is None:
        raise Refused("ResourceNotFoundException", 400, "The specified resource does not exist.")
    return tags


def tag(request: ServiceRequest) -> Entry:
    _tags(request).update(request.params["Tags"])
    return {}


def untag(request: ServiceRequest) -> Entry:
    for key in request.params["TagKeys"]:
        _tags(request).pop(key, None)
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
    Operation(_SERVICE, "ListTagsForResource", lambda request: {"Tags": dict(_tags(request))}),
)
