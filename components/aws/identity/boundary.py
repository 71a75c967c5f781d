"""Builds permissions boundaries, which limit the identities of the platform."""

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pulumi

from isthmus.contracts.reference.aws_actions import (
    DELETE_RECORD_ACTIONS,
    DISABLE_KEY_ACTIONS,
    OTHER_IDENTITY_ACTIONS,
    STOP_MONITORING_ACTIONS,
    STOP_TRAIL_ACTIONS,
)
from isthmus.core.errors import InputError, Refused

POLICY_CHARACTERS = 6144
"""Maximum length of a managed policy in characters without white space (IAM's quotas, as of knowledge, not
checked)."""


def boundary_policy(
    allow_statements: Sequence[Mapping[str, Any]],
    *,
    bedrock_regions: Sequence[str] = (),
    audit_buckets: Sequence[str] = (),
    role_policies: Sequence[Any] = (),
) -> dict[str, Any]:
    """The policy document of a boundary: the given statements, and denials that override them.

    `allow_statements`: `Effect: Allow` with full action names. Resources may be wide patterns, because the role's
    own policy is exact. `bedrock_regions`: every region in which Bedrock may receive or serve a call, including
    destinations of inference profiles. Absent: no limit. `audit_buckets`: ARN patterns of the buckets on which
    deletions are denied. Absent: on every bucket. `role_policies`: ARNs of the only roles whose managed policies it
    may attach and detach (for the role with which AWS Budgets denies). Absent: no IAM calls at all.

    Raises `Refused` for a statement with a wildcard action, or one that the denials would make ineffective.
    Deleting records is such a case if every bucket is protected, or if it is allowed on `audit_buckets` only.
    Raises `InputError` for a statement that allows nothing.
    """
    if not allow_statements:
        raise InputError(
            "the permissions boundary allows nothing",
            where="boundary",
            fix="Add a statement that allows what the role needs",
        )
    record_patterns = _record_patterns(audit_buckets)
    for index, statement in enumerate(allow_statements):
        _check(statement, f"boundary.statements.{index}", bool(role_policies), record_patterns)
    denials: list[dict[str, Any]] = [
        _deny("KeepTheTrail", STOP_TRAIL_ACTIONS),
        _deny("KeepTheWatch", STOP_MONITORING_ACTIONS),
        _deny("KeepTheRecords", DELETE_RECORD_ACTIONS, record_patterns),
        _deny("KeepTheKeys", DISABLE_KEY_ACTIONS),
        # Includes the creation of access keys, which is listed too, so that a search finds it.
        *_iam_denials(list(role_policies)),
        _deny("NoAccessKey", ["iam:CreateAccessKey", "iam:CreateServiceSpecificCredential"]),
        _deny("NoOtherIdentity", OTHER_IDENTITY_ACTIONS),
    ]
    if bedrock_regions:
        condition = {"StringNotEquals": {"aws:RequestedRegion": sorted(set(bedrock_regions))}}
        denials.append({**_deny("NoOtherRegion", ["bedrock:*"]), "Condition": condition})
    return {"Version": "2012-10-17", "Statement": [*map(dict, allow_statements), *denials]}


def boundary_arn(
    name: str,
    boundary: pulumi.Input[str] | None,
    allow_statements: Sequence[Mapping[str, Any]],
    opts: pulumi.ResourceOptions,
    *,
    tags: Mapping[str, str] | None = None,
    bedrock_regions: Sequence[str] = (),
    role_policies: Sequence[Any] = (),
) -> pulumi.Output[str]:
    """ARN of the boundary of the role `name`: the given one, or a new managed policy.

    `opts` has the parent, and with it the provider. Values in the statements may be outputs.
    """
    if boundary is not None:
        return pulumi.Output.from_input(boundary)
    from pulumi_aws.iam import Policy

    document = boundary_policy(allow_statements, bedrock_regions=bedrock_regions, role_policies=role_policies)
    policy = Policy(
        f"{name}-boundary",
        description=f"What {name} may do at most",
        policy=pulumi.Output.json_dumps(document).apply(
            lambda text: compact_policy(text, f"{name}-boundary")
        ),
        tags=dict(tags or {}),
        opts=opts,
    )
    return policy.arn


def compact_policy(policy: str, where: str, max_length: int = POLICY_CHARACTERS) -> str:
    """`policy` as JSON without white space. Raises `InputError` if it is longer than AWS allows."""
    compact = json.dumps(json.loads(policy), separators=(",", ":"))
    if len(compact) > max_length:
        raise InputError(
            f"the policy has {len(compact):,} characters, but AWS accepts at most {max_length:,}",
            where=where,
            fix="Give the identity fewer models, or split its workloads over two identities",
        )
    return compact


def _deny(sid: str, actions: Sequence[str], resources: Sequence[str] = ("*",)) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Deny", "Action": list(actions), "Resource": list(resources)}


def _iam_denials(roles: list[Any]) -> list[dict[str, Any]]:
    """Deny IAM. With `roles`, deny IAM on all other resources, and all but two calls on these."""
    if not roles:
        return [_deny("NoIam", ["iam:*"])]
    policy_actions = ["iam:AttachRolePolicy", "iam:DetachRolePolicy"]
    return [
        {"Sid": "NoIam", "Effect": "Deny", "Action": ["iam:*"], "NotResource": roles},
        {"Sid": "NoIamButPolicies", "Effect": "Deny", "NotAction": policy_actions, "Resource": roles},
    ]


def _record_patterns(audit_buckets: Sequence[str]) -> list[str]:
    """Patterns of the buckets and their objects on which `DELETE_RECORD_ACTIONS` are denied."""
    return [pattern for bucket in audit_buckets for pattern in (bucket, f"{bucket}/*")] or ["*"]


def _is_record_resource(resource: Any, record_patterns: Sequence[str]) -> bool:
    """Whether a statement's resource, also a pattern, is inside the protected ones, by its text."""
    return "*" in record_patterns or (
        isinstance(resource, str) and any(fnmatchcase(resource, pattern) for pattern in record_patterns)
    )


def _check(
    statement: Mapping[str, Any], where: str, allows_iam: bool, record_patterns: Sequence[str]
) -> None:
    actions = statement.get("Action")
    action_names = [actions] if isinstance(actions, str) else list(actions or ())
    if statement.get("Effect") != "Allow" or not action_names or not statement.get("Resource"):
        raise InputError(
            "a boundary's statement needs Effect Allow, Action and Resource",
            where=where,
            fix="Set the three keys; denials are added automatically",
        )
    resources = statement["Resource"]
    resource_list = resources if isinstance(resources, list | tuple) else [resources]
    record_actions = (
        DELETE_RECORD_ACTIONS
        if all(_is_record_resource(resource, record_patterns) for resource in resource_list)
        else []
    )
    for action in action_names:
        service = action.partition(":")[0]
        if "*" in action:
            raise Refused(
                f"'{action}' allows more than one action",
                where=where,
                fix="List each action by its full name",
            )
        denied_actions = (
            *STOP_TRAIL_ACTIONS,
            *STOP_MONITORING_ACTIONS,
            *DISABLE_KEY_ACTIONS,
            *OTHER_IDENTITY_ACTIONS,
            *record_actions,
        )
        is_denied = action in denied_actions or service in ("organizations", "account")
        if is_denied or (service == "iam" and not allows_iam):
            raise Refused(
                f"'{action}' is denied to every identity of the platform", where=where, fix="Remove it"
            )
