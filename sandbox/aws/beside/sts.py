"""AWS STS: `AssumeRole`, which moto allows for every caller and role.

Here the role's trust policy decides, with its conditions and the external id. A missing role of another account
counts as existing and as allowing the caller, since the sandbox does not manage that account. As in AWS, a missing
role of the sandbox's own account is refused.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sandbox.aws.beside import trust_policies
from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

_ROLE = re.compile(r"arn:[\w-]+:iam::(?P<account>\d{12}):role/(?:.+/)?[\w+=,.@-]+")
_MIN_SECONDS, _DEFAULT_SECONDS, _MAX_CHAINED_SECONDS = 900, 3600, 3600
"""Session lengths in seconds. A role that is assumed from a role's session ends after one hour at most."""


def assume_role(request: ServiceRequest) -> dict[str, Any]:
    """Return a session's credentials. Raises `Refused` if the role or the duration is not allowed."""
    params = request.params
    match = _ROLE.fullmatch(params["RoleArn"])
    if not match:
        raise Refused("ValidationError", 400, f"{params['RoleArn']} is invalid")
    account, seconds = match["account"], int(params.get("DurationSeconds") or _DEFAULT_SECONDS)
    caller = _find_session(request)
    role = _find_role(account, params["RoleArn"], request.region)
    if role is None and account == request.account:
        raise _denied(request, caller)
    if role is not None and not _is_allowed(role, request, caller):
        raise _denied(request, caller)
    max_seconds = _MAX_CHAINED_SECONDS if caller else role.max_session_duration if role else seconds
    if not _MIN_SECONDS <= seconds <= max_seconds:
        limit = (
            "the 1 hour session limit for roles assumed by role chaining"
            if caller
            else ("the MaxSessionDuration set for this role")
        )
        raise Refused("ValidationError", 400, f"The requested DurationSeconds exceeds {limit}.")
    return _credential_response(request, seconds)


def _find_role(account: str, arn: str, region: str) -> Any:
    """Return moto's role, or None."""
    from moto.iam.models import iam_backends

    roles = iam_backends[account][partition(region)[0]].roles.values()
    return next((role for role in roles if role.arn == arn), None)


def _find_session(request: ServiceRequest) -> Any:
    """Return moto's role session whose key signed the request. None for dummy keys and users' keys."""
    from moto.sts.models import sts_backends

    backend = sts_backends[request.account][partition(request.region)[0]]
    return backend.get_assumed_role_from_access_key(request.access_key)


def _is_allowed(role: Any, request: ServiceRequest, caller: Any) -> bool:
    """Return True if the role's trust policy allows the caller all requested actions."""
    params = request.params
    names = {"*", request.account, f"arn:{partition(request.region)[0]}:iam::{request.account}:root"}
    if caller:
        names |= {caller.arn, caller.role_arn}

    def is_caller(principal: str) -> bool:
        # A dummy key identifies only the account, so it may act as any principal of the account.
        return principal in names or (not caller and principal.split(":")[4:5] == [request.account])

    context = {"sts:RoleSessionName": params["RoleSessionName"], "aws:PrincipalAccount": request.account}
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
    return trust_policies.allows(document, context, trust_policies.Caller("AWS", is_caller), actions)


def _denied(request: ServiceRequest, caller: Any) -> Refused:
    principal = (
        caller.arn if caller else f"arn:{partition(request.region)[0]}:sts::{request.account}:user/moto"
    )
    message = f"User: {principal} is not authorized to perform: sts:AssumeRole on resource: {request.params['RoleArn']}"
    return Refused("AccessDenied", 403, message)


def _credential_response(request: ServiceRequest, seconds: int) -> dict[str, Any]:
    from moto.sts.models import sts_backends

    params = request.params
    session = sts_backends[request.account][partition(request.region)[0]].assume_role(
        region_name=request.region,
        role_session_name=params["RoleSessionName"],
        role_arn=params["RoleArn"],
        policy=params.get("Policy", ""),
        duration=seconds,
        external_id=params.get("ExternalId", ""),
    )
    answer = {
        "Credentials": {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "SessionToken": session.session_token,
            "Expiration": session.expiration,
        },
        "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.arn},
        # Per cent of AWS's limit for packed policies and tags. AWS's packing is not public.
        "PackedPolicySize": 0,
    }
    if params.get("SourceIdentity"):
        answer["SourceIdentity"] = params["SourceIdentity"]
    return answer


OPERATIONS = (Operation("sts", "AssumeRole", assume_role),)
