"""The roles that the provider assumes (`assumeRoles`), one after the other, and the session that it then signs with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.core.errors import InputError
from sandbox.aws.aws_errors import CallRefused, Tries, refusal
from sandbox.aws.schema import UNKNOWN, nearest

_SESSION = "isthmus-sandbox"
"""The session's name where none is given: the API wants one."""
_ARN = re.compile(r"arn:[\w-]+:iam::(\d{12}):role/.+")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_MEMBERS: Mapping[str, str] = {
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
"""The provider's names, and those of STS's AssumeRole."""


@dataclass(frozen=True)
class Role:
    """One role to assume."""

    arn: str
    params: Mapping[str, Any]
    """Of AssumeRole, the ARN among them."""


def roles(value: Any) -> tuple[Role, ...]:
    """The roles of `assumeRoles`, in their order. Raises `InputError` for what is no role."""
    if value is None or value == UNKNOWN:
        return ()
    entries = value if isinstance(value, list) else [value]
    return tuple(_role(entry) for entry in entries)


def account(value: Any) -> str | None:
    """The account in which the provider of this `assumeRoles` works; None where it does not say."""
    entries = value if isinstance(value, list) else [value]
    last = entries[-1] if entries else None
    found = _ARN.fullmatch(str(last.get("roleArn"))) if isinstance(last, dict) else None
    return found[1] if found else None


def _role(entry: Any) -> Role:
    if not isinstance(entry, dict):
        raise InputError("`assumeRoles` of the AWS provider wants a list of roles, each with a `roleArn`")
    for name in entry:
        if name not in _MEMBERS:
            raise InputError(f"`{name}` is no part of a role in `assumeRoles`.{nearest(name, _MEMBERS)}")
    arn = str(entry.get("roleArn") or "")
    if arn != UNKNOWN and not _ARN.fullmatch(arn):
        raise InputError(
            f"`{arn}` in `assumeRoles` is no ARN of a role",
            fix="It has the form arn:aws:iam::ACCOUNT:role/NAME",
        )
    params = {_MEMBERS[name]: value for name, value in entry.items() if value not in (None, "", [], {})}
    params.setdefault("RoleSessionName", _SESSION)
    if "DurationSeconds" in params:
        params["DurationSeconds"] = _seconds(str(params["DurationSeconds"]))
    if "PolicyArns" in params:
        params["PolicyArns"] = [{"arn": one} for one in params["PolicyArns"]]
    if "Tags" in params:
        params["Tags"] = [{"Key": key, "Value": text} for key, text in sorted(params["Tags"].items())]
    return Role(arn, params)


def _seconds(text: str) -> int:
    found = _DURATION.fullmatch(text)
    if not text or not found:
        raise InputError(f"`duration` in `assumeRoles` is `{text}`; it has the form 1h, 30m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def credentials(chain: tuple[Role, ...], sts: Callable[[dict[str, Any]], Any]) -> Any:
    """botocore's credentials of the last role's session, made anew before they end.

    `sts` gives a client of STS for the keys of the session before (none at first). Raises `CallRefused`
    that names the role.
    """
    from botocore.credentials import RefreshableCredentials

    def assumed() -> dict[str, Any]:
        keys: dict[str, Any] = {}
        end = ""
        for role in chain:
            answer = _assume(sts(keys), role)["Credentials"]
            keys = {
                "aws_access_key_id": answer["AccessKeyId"],
                "aws_secret_access_key": answer["SecretAccessKey"],
                "aws_session_token": answer["SessionToken"],
            }
            end = answer["Expiration"].isoformat()
        return {
            "access_key": keys["aws_access_key_id"],
            "secret_key": keys["aws_secret_access_key"],
            "token": keys["aws_session_token"],
            "expiry_time": end,
        }

    return RefreshableCredentials.create_from_metadata(
        metadata=assumed(), refresh_using=assumed, method="assume-role"
    )


def _assume(client: Any, role: Role) -> Any:
    import botocore.exceptions as refused
    import botocore.parsers as answers

    tries = Tries()  # of its own: it happens between the tries of other calls
    tries.begin()
    client.meta.events.register("needs-retry", tries.note)
    try:
        return client.assume_role(**role.params)
    except (refused.ClientError, refused.BotoCoreError, answers.ResponseParserError) as error:
        known = refusal("the AWS provider", "sts", "assume_role", error, tries)
        if known.code != "AccessDenied":
            raise CallRefused(f"{known} The role is {role.arn}.", known.code, known.unsure) from None
        raise CallRefused(
            f"{known}. Look at the role's trust policy: it must be there, name the account that asks, and, where it "
            "asks for an external id, that of the provider's `assumeRoles`.",
            known.code,
        ) from None
