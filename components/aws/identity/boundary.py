"""Permissions boundaries: what an identity of ours can do at most, whatever its own policies come to say."""

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pulumi

from isthmus.contracts.reference.aws_actions import KEYS, ONWARD, RECORDS, TRAIL, WATCH
from isthmus.core.errors import InputError, Refused

POLICY_CHARACTERS = 6144
"""Longest managed policy, characters without white space (IAM's quotas, as of knowledge, not checked)."""


def boundary_policy(
    allow_statements: Sequence[Mapping[str, Any]],
    *,
    bedrock_regions: Sequence[str] = (),
    audit_buckets: Sequence[str] = (),
    role_policies: Sequence[Any] = (),
) -> dict[str, Any]:
    """The policy document of a boundary: the statements given, and denials that stand above them.

    `allow_statements`: `Effect: Allow` with actions named one by one; resources may be wide patterns, since
    the role's own policy is exact. `bedrock_regions`: every region in which a Bedrock call may be made or
    served, destinations of inference profiles among them; absent: not bounded. `audit_buckets`: ARN
    patterns; given, bucket and object calls are denied on these only, absent: on every bucket.
    `role_policies`: ARNs of the only roles whose managed policies it may attach and detach (the role by
    which AWS Budgets denies); absent, as for every other identity: nothing of IAM at all.

    Raises `Refused` for a statement that the denials would leave without effect or that holds a wildcard
    action, `InputError` for one that allows nothing. A call that deletes records is such a one where every
    bucket is held, and with `audit_buckets` where it is allowed on nothing but these.
    """
    if not allow_statements:
        raise InputError("a boundary that allows nothing", where="boundary", fix="Name its statements")
    held = _held(audit_buckets)
    for at, statement in enumerate(allow_statements):
        _check(statement, f"boundary.statements.{at}", bool(role_policies), held)
    denials: list[dict[str, Any]] = [
        _deny("KeepTheTrail", TRAIL),
        _deny("KeepTheWatch", WATCH),
        _deny("KeepTheRecords", RECORDS, held),
        _deny("KeepTheKeys", KEYS),
        # Creating access keys is part of it, named too so that a search for it finds it.
        *_no_iam(list(role_policies)),
        _deny("NoAccessKey", ["iam:CreateAccessKey", "iam:CreateServiceSpecificCredential"]),
        _deny("NoOtherIdentity", ONWARD),
    ]
    if bedrock_regions:
        elsewhere = {"StringNotEquals": {"aws:RequestedRegion": sorted(set(bedrock_regions))}}
        denials.append({**_deny("NoOtherRegion", ["bedrock:*"]), "Condition": elsewhere})
    return {"Version": "2012-10-17", "Statement": [*map(dict, allow_statements), *denials]}


def boundary_arn(
    name: str,
    given: pulumi.Input[str] | None,
    allow_statements: Sequence[Mapping[str, Any]],
    opts: pulumi.ResourceOptions,
    *,
    tags: Mapping[str, str] | None = None,
    bedrock_regions: Sequence[str] = (),
    role_policies: Sequence[Any] = (),
) -> pulumi.Output[str]:
    """ARN of the boundary of the role `name`: the one given, or a managed policy made beside the role.

    `opts` bears the parent (and with it the provider). Values in the statements may be outputs.
    """
    if given is not None:
        return pulumi.Output.from_input(given)
    from pulumi_aws.iam import Policy

    document = boundary_policy(allow_statements, bedrock_regions=bedrock_regions, role_policies=role_policies)
    made = Policy(
        f"{name}-boundary",
        description=f"What {name} may do at most",
        policy=pulumi.Output.json_dumps(document).apply(lambda text: fitting(text, f"{name}-boundary")),
        tags=dict(tags or {}),
        opts=opts,
    )
    return made.arn


def fitting(policy: str, where: str, longest: int = POLICY_CHARACTERS) -> str:
    """`policy` as JSON without white space; `InputError` where it is longer than AWS takes."""
    dense = json.dumps(json.loads(policy), separators=(",", ":"))
    if len(dense) > longest:
        raise InputError(
            f"the policy has {len(dense):,} characters, AWS takes {longest:,}",
            where=where,
            fix="Give the identity fewer models, or split its workloads over two identities",
        )
    return dense


def _deny(sid: str, actions: Sequence[str], resources: Sequence[str] = ("*",)) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Deny", "Action": list(actions), "Resource": list(resources)}


def _no_iam(roles: list[Any]) -> list[dict[str, Any]]:
    """Nothing of IAM; with `roles`, nothing on any other resource and two calls on these."""
    if not roles:
        return [_deny("NoIam", ["iam:*"])]
    two = ["iam:AttachRolePolicy", "iam:DetachRolePolicy"]
    return [
        {"Sid": "NoIam", "Effect": "Deny", "Action": ["iam:*"], "NotResource": roles},
        {"Sid": "NoIamButPolicies", "Effect": "Deny", "NotAction": two, "Resource": roles},
    ]


def _held(audit_buckets: Sequence[str]) -> list[str]:
    """Patterns of the buckets, and of what is in them, on which calls of `RECORDS` are denied."""
    return [part for bucket in audit_buckets for part in (bucket, f"{bucket}/*")] or ["*"]


def _records_only(resource: Any, held: Sequence[str]) -> bool:
    """Whether a statement's resource, a pattern or not, lies within what is held, as far as its text tells."""
    return "*" in held or (isinstance(resource, str) and any(fnmatchcase(resource, each) for each in held))


def _check(statement: Mapping[str, Any], where: str, iam: bool, held: Sequence[str]) -> None:
    actions = statement.get("Action")
    named = [actions] if isinstance(actions, str) else list(actions or ())
    if statement.get("Effect") != "Allow" or not named or not statement.get("Resource"):
        raise InputError(
            "a boundary's statement needs Effect Allow, Action and Resource",
            where=where,
            fix="Denials are added to it by themselves",
        )
    resources = statement["Resource"]
    touched = resources if isinstance(resources, list | tuple) else [resources]
    in_vain = RECORDS if all(_records_only(each, held) for each in touched) else []
    for action in named:
        service = action.partition(":")[0]
        if "*" in action:
            raise Refused(
                f"'{action}' allows more than one action", where=where, fix="Name each action itself"
            )
        denied = (*TRAIL, *WATCH, *KEYS, *ONWARD, *in_vain)
        refused = action in denied or service in ("organizations", "account")
        if refused or (service == "iam" and not iam):
            raise Refused(f"'{action}' is denied to every identity of ours", where=where, fix="Leave it out")
