"""AWS STS: `AssumeRole`, which moto answers whoever asks for whatever.

Here a role's trust policy decides, with its conditions, the external id among them. A role of another
account that nobody made in the sandbox is taken to be there and to let its caller in: its owner's
account is not ours to know. In the sandbox's own account such a role is refused, as in AWS.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sandbox.aws.beside import trust_policies
from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Asked, Operation, Refused

_ROLE = re.compile(r"arn:[\w-]+:iam::(?P<account>\d{12}):role/(?:.+/)?[\w+=,.@-]+")
_SHORTEST, _USUAL, _CHAINED = 900, 3600, 3600
"""Seconds; a role assumed from a role's session ends after an hour at the latest."""


def assume_role(asked: Asked) -> dict[str, Any]:
    """A session's credentials. Raises `Refused`."""
    params = asked.params
    found = _ROLE.fullmatch(params["RoleArn"])
    if not found:
        raise Refused("ValidationError", 400, f"{params['RoleArn']} is invalid")
    account, seconds = found["account"], int(params.get("DurationSeconds") or _USUAL)
    caller = _session(asked)
    role = _role(account, params["RoleArn"], asked.region)
    if role is None and account == asked.account:
        raise _denied(asked, caller)
    if role is not None and not _let_in(role, asked, caller):
        raise _denied(asked, caller)
    longest = _CHAINED if caller else role.max_session_duration if role else seconds
    if not _SHORTEST <= seconds <= longest:
        which = (
            "the 1 hour session limit for roles assumed by role chaining"
            if caller
            else ("the MaxSessionDuration set for this role")
        )
        raise Refused("ValidationError", 400, f"The requested DurationSeconds exceeds {which}.")
    return _answer(asked, seconds)


def _role(account: str, arn: str, region: str) -> Any:
    """moto's role, or None."""
    from moto.iam.models import iam_backends

    roles = iam_backends[account][partition(region)[0]].roles.values()
    return next((role for role in roles if role.arn == arn), None)


def _session(asked: Asked) -> Any:
    """moto's session of a role whose key signed the request; None for made-up keys and users' own."""
    from moto.sts.models import sts_backends

    backend = sts_backends[asked.account][partition(asked.region)[0]]
    return backend.get_assumed_role_from_access_key(asked.access_key)


def _let_in(role: Any, asked: Asked, caller: Any) -> bool:
    """Whether the role's trust policy lets the caller in, for all that is asked."""
    params = asked.params
    names = {"*", asked.account, f"arn:{partition(asked.region)[0]}:iam::{asked.account}:root"}
    if caller:
        names |= {caller.arn, caller.role_arn}

    def asks(principal: str) -> bool:
        # Made-up keys say no more than their account, so they may be anyone of it.
        return principal in names or (not caller and principal.split(":")[4:5] == [asked.account])

    context = {"sts:RoleSessionName": params["RoleSessionName"], "aws:PrincipalAccount": asked.account}
    if caller:
        context["aws:PrincipalArn"] = caller.role_arn
    if params.get("ExternalId"):
        context["sts:ExternalId"] = params["ExternalId"]
    if params.get("SourceIdentity"):
        context["sts:SourceIdentity"] = params["SourceIdentity"]
    tags = params.get("Tags") or []
    context |= {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags}
    actions = ["sts:AssumeRole"]
    actions += ["sts:TagSession"] if tags else []
    actions += ["sts:SetSourceIdentity"] if params.get("SourceIdentity") else []
    document = role.assume_role_policy_document
    document = json.loads(document) if isinstance(document, str) else document
    return trust_policies.allows(document, context, trust_policies.Asking("AWS", asks), actions)


def _denied(asked: Asked, caller: Any) -> Refused:
    who = caller.arn if caller else f"arn:{partition(asked.region)[0]}:sts::{asked.account}:user/moto"
    what = f"User: {who} is not authorized to perform: sts:AssumeRole on resource: {asked.params['RoleArn']}"
    return Refused("AccessDenied", 403, what)


def _answer(asked: Asked, seconds: int) -> dict[str, Any]:
    from moto.sts.models import sts_backends

    params = asked.params
    made = sts_backends[asked.account][partition(asked.region)[0]].assume_role(
        region_name=asked.region,
        role_session_name=params["RoleSessionName"],
        role_arn=params["RoleArn"],
        policy=params.get("Policy", ""),
        duration=seconds,
        external_id=params.get("ExternalId", ""),
    )
    answer = {
        "Credentials": {
            "AccessKeyId": made.access_key_id,
            "SecretAccessKey": made.secret_access_key,
            "SessionToken": made.session_token,
            "Expiration": made.expiration,
        },
        "AssumedRoleUser": {"AssumedRoleId": made.user_id, "Arn": made.arn},
        # Per cent of what AWS takes for policies and tags, packed in a way of its own: not known.
        "PackedPolicySize": 0,
    }
    if params.get("SourceIdentity"):
        answer["SourceIdentity"] = params["SourceIdentity"]
    return answer


OPERATIONS = (Operation("sts", "AssumeRole", assume_role),)
