"""The provider's configuration: `aws.Provider(…)` or `aws:…` in a stack's config."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from isthmus.core.errors import InputError
from sandbox.aws import assumed_roles
from sandbox.aws.calls import Settings
from sandbox.aws.loopback import require_loopback_url
from sandbox.aws.schema import UNKNOWN, nearest

SERVED = (
    "region",
    "endpoints",
    "assumeRoles",
    "defaultTags",
    "allowedAccountIds",
    "forbiddenAccountIds",
    "maxRetries",
)
PASSED_OVER = (
    "accessKey",
    "secretKey",
    "token",
    "insecure",
    "profile",
    "s3UsePathStyle",
    "s3UsEast1RegionalEndpoint",
    "skipCredentialsValidation",
    "skipMetadataApiCheck",
    "skipRegionValidation",
    "skipRequestingAccountId",
    "stsRegion",
    "retryMode",
    "version",
    "pluginDownloadURL",
)
"""Meant for the real AWS; without meaning here and harmless."""


def replacing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What makes another provider of it: another region, another account. Another port is the same one."""
    found = ["region"] if "region" in old and old["region"] != new.get("region") else []
    before, after = (assumed_roles.account(decoded(each).get("assumeRoles")) for each in (old, new))
    return found + (["assumeRoles"] if before and after and before != after else [])


def decoded(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they were meant: the engine sends nested ones as JSON text."""
    made: dict[str, Any] = {}
    for name, value in raw.items():
        if isinstance(value, str) and value[:1] in ("[", "{") and value != UNKNOWN:
            try:
                value = _unwrap(json.loads(value))
            except ValueError as error:
                raise InputError(f"`{name}` of the AWS provider is not valid JSON: {error}") from None
        made[name] = value
    return made


def _unwrap(value: Any) -> Any:
    from sandbox.aws.struct_values import unwrapped

    if isinstance(value, dict):
        value = unwrapped(value)
    if isinstance(value, dict):
        return {key: _unwrap(part) for key, part in value.items()}
    return [_unwrap(part) for part in value] if isinstance(value, list) else value


def problems(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(property, reason) for what the sandbox's provider does not take."""
    found: list[tuple[str, str]] = []
    known = (*SERVED, *PASSED_OVER)
    for name in config:
        if name not in known and not name.startswith("__"):
            reason = (
                f"`{name}` is no setting of the sandbox's AWS provider.{nearest(name, known)} "
                f"It takes {', '.join(SERVED)}, and passes over {', '.join(PASSED_OVER)}."
            )
            found.append((name, reason))
    try:
        for url in _endpoints(config.get("endpoints")).values():
            if url != UNKNOWN:
                require_loopback_url(url)
    except InputError as error:
        found.append(("endpoints", str(error)))
    try:
        assumed_roles.roles(config.get("assumeRoles"))
    except InputError as error:
        found.append(("assumeRoles", str(error)))
    return found


def _endpoints(value: Any) -> dict[str, str]:
    """`[{s3: URL, kms: URL}, …]` as one map."""
    if value is None or value == UNKNOWN:
        return {}
    entries = value if isinstance(value, list) else [value]
    made: dict[str, str] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not all(isinstance(url, str) for url in entry.values()):
            raise InputError("`endpoints` of the AWS provider wants a list of maps from service to URL")
        made |= entry
    return made


_SERVICE_NAMES = {
    "cloudwatchlogs": "logs",
    "cloudwatchlog": "logs",
    "servicequotas": "service-quotas",
    "cloudwatchevents": "events",
    "eventbridge": "events",
    "costexplorer": "ce",
    "appautoscaling": "application-autoscaling",
    "applicationautoscaling": "application-autoscaling",
}
"""Other names that the real provider takes for a service's endpoint."""


def settings(config: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
    """The checked settings. Raises `InputError` without region or endpoint, or for one elsewhere."""
    endpoints = {
        _SERVICE_NAMES.get(name, name): url for name, url in _endpoints(config.get("endpoints")).items()
    }
    for variable, url in environment.items():
        if variable == "AWS_ENDPOINT_URL":
            endpoints.setdefault("", url)
        elif variable.startswith("AWS_ENDPOINT_URL_"):
            endpoints.setdefault(variable.removeprefix("AWS_ENDPOINT_URL_").lower().replace("_", ""), url)
    for url in endpoints.values():
        require_loopback_url(url)
    if not endpoints:
        raise InputError(
            "the sandbox's AWS provider was given no endpoint, and it never speaks to the real AWS",
            fix='Run `isthmus sandbox up` and `eval "$(isthmus sandbox env)"`, or set `endpoints`',
        )
    region = config.get("region") or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region:
        raise InputError("the AWS provider has no region", fix="Set `region` on it or `aws:region`")
    tags = config.get("defaultTags") or {}
    return Settings(
        endpoints=endpoints,
        region=str(region),
        default_tags=dict(tags.get("tags") or {}) if isinstance(tags, dict) else {},
        roles=assumed_roles.roles(config.get("assumeRoles")),
        max_attempts=max(1, min(10, int(config.get("maxRetries") or 4) + 1)),
    )


def check_account(config: Mapping[str, Any], account: str) -> None:
    """Raises `InputError` when the endpoint's account is not one that the configuration allows."""
    allowed = [str(one) for one in config.get("allowedAccountIds") or []]
    forbidden = [str(one) for one in config.get("forbiddenAccountIds") or []]
    if (allowed and account not in allowed) or account in forbidden:
        raise InputError(
            f"the endpoint's account is {account}, which the provider's configuration does not allow",
            fix="Look at `allowedAccountIds` and `forbiddenAccountIds`, or at the endpoint",
        )
