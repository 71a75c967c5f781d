"""The provider's `assumeRoles`: reads the roles, assumes them one after the other, and keeps the session fresh."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.core.errors import InputError
from sandbox.aws.aws_errors import CallRefused, Tries, refusal
from sandbox.aws.schema import UNKNOWN, suggest_nearest

_DEFAULT_SESSION_NAME = "isthmus-sandbox"
"""Default of the session's name, which the API requires."""
_ROLE_ARN = re.compile(r"arn:[\w-]+:iam::(\d{12}):role/.+")
_DURATION_FORMAT = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_API_NAMES: Mapping[str, str] = {
    "roleArn": "RoleArn",
    "sessionName": "RoleSessionName",
    "externalId": "ExternalId",
    "duration": "DurationSeconds",
    "policy": "Policy",
    "policyArns": "PolicyArns",
    "sourceIdentity": "SourceIdentity",
    "tags": "Tags",
    "transitiveTagKeys": "TransitiveTagKeys",
}
"""Parameters of STS's AssumeRole, by the provider's names."""


@dataclass(frozen=True)
class Role:
    """One role to assume."""

    arn: str
    params: Mapping[str, Any]
    """Parameters of AssumeRole, with the ARN."""


def parse_roles(value: Any) -> tuple[Role, ...]:
    """Return the roles of `assumeRoles`, in order. Raises `InputError` if an entry is invalid."""
    if value is None or value == UNKNOWN:
        return ()
    entries = value if isinstance(value, list) else [value]
    return tuple(_parse_role(entry) for entry in entries)


def account_of_roles(value: Any) -> str | None:
    """Return the account of the last role of `assumeRoles`, in which the provider works. None: not known."""
    entries = value if isinstance(value, list) else [value]
    last = entries[-1] if entries else None
    match = _ROLE_ARN.fullmatch(str(last.get("roleArn"))) if isinstance(last, dict) else None
    return match[1] if match else None


def _parse_role(entry: Any) -> Role:
    if not isinstance(entry, dict):
        raise InputError(
            "`assumeRoles` of the AWS provider is not a list of roles",
            fix="Set it to a list of maps with `roleArn`",
        )
    for name in entry:
        if name not in _API_NAMES:
            raise InputError(
                f"`{name}` is not a key of a role in `assumeRoles`.{suggest_nearest(name, _API_NAMES)}",
                fix=f"Use only {', '.join(_API_NAMES)}",
            )
    arn = str(entry.get("roleArn") or "")
    if arn != UNKNOWN and not _ROLE_ARN.fullmatch(arn):
        raise InputError(
            f"`{arn}` in `assumeRoles` is not the ARN of a role",
            fix="Set roleArn in the form arn:aws:iam::ACCOUNT:role/NAME",
        )
    params = {_API_NAMES[name]: value for name, value in entry.items() if value not in (None, "", [], {})}
    params.setdefault("RoleSessionName", _DEFAULT_SESSION_NAME)
    if "DurationSeconds" in params:
        params["DurationSeconds"] = _seconds(str(params["DurationSeconds"]))
    if "PolicyArns" in params:
        params["PolicyArns"] = [{"arn": policy_arn} for policy_arn in params["PolicyArns"]]
    if "Tags" in params:
        params["Tags"] = [{"Key": key, "Value": text} for key, text in sorted(params["Tags"].items())]
    return Role(arn, params)


def _seconds(text: str) -> int:
    match = _DURATION_FORMAT.fullmatch(text)
    if not text or not match:
        raise InputError(
            f"`duration` in `assumeRoles` is `{text}`", fix="Set it in the form 1h, 30m or 1h30m"
        )
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def refreshing_credentials(chain: tuple[Role, ...], sts: Callable[[dict[str, Any]], Any]) -> Any:
    """Return botocore credentials of the last role's session. They are refreshed before they expire.

    `sts` returns an STS client for the keys of the previous session (none at first). Raises `CallRefused`, which
    names the role.
    """
    from botocore.credentials import RefreshableCredentials

    def assume_chain() -> dict[str, Any]:
        keys: dict[str, Any] = {}
        end = ""
        for role in chain:
            response = _assume(sts(keys), role)["Credentials"]
            keys = {
                "aws_access_key_id": response["AccessKeyId"],
                "aws_secret_access_key": response["SecretAccessKey"],
                "aws_session_token": response["SessionToken"],
            }
            end = response["Expiration"].isoformat()
        return {
            "access_key": keys["aws_access_key_id"],
            "secret_key": keys["aws_secret_access_key"],
            "token": keys["aws_session_token"],
            "expiry_time": end,
        }

    return RefreshableCredentials.create_from_metadata(
        metadata=assume_chain(), refresh_using=assume_chain, method="assume-role"
    )


def _assume(client: Any, role: Role) -> Any:
    import botocore.exceptions as refused
    import botocore.parsers as answers

    tries = Tries()  # separate, since a refresh happens between the tries of another call
    tries.begin()
    client.meta.events.register("needs-retry", tries.note)
    try:
        return client.assume_role(**role.params)
    except (refused.ClientError, refused.BotoCoreError, answers.ResponseParserError) as error:
        refused_call = refusal("the AWS provider", "sts", "assume_role", error, tries)
        if refused_call.code != "AccessDenied":
            raise CallRefused(
                f"{refused_call} The role is {role.arn}.", refused_call.code, refused_call.unsure
            ) from None
        raise CallRefused(
            f"{refused_call}. Check the role's trust policy: it must allow the calling account, and its external id, "
            "if it has one, must be the one in the provider's `assumeRoles`.",
            refused_call.code,
        ) from None
