"""Reads and checks the provider's configuration: `aws.Provider(…)` or `aws:…` in a stack's config."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from isthmus.core.errors import InputError
from sandbox.aws import assumed_roles
from sandbox.aws.calls import Settings
from sandbox.aws.loopback import require_loopback_url
from sandbox.aws.schema import UNKNOWN, suggest_nearest

SUPPORTED = (
    "region",
    "endpoints",
    "assumeRoles",
    "defaultTags",
    "allowedAccountIds",
    "forbiddenAccountIds",
    "maxRetries",
)
IGNORED = (
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
"""Settings for the real AWS, which have no effect here."""


def replacement_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the settings whose change replaces the provider: another region or account, but not another port."""
    replaced = ["region"] if "region" in old and old["region"] != new.get("region") else []
    before, after = (
        assumed_roles.account_of_roles(decode(config).get("assumeRoles")) for config in (old, new)
    )
    return replaced + (["assumeRoles"] if before and after and before != after else [])


def decode(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with nested ones parsed, which the engine sends as JSON text."""
    values: dict[str, Any] = {}
    for name, value in raw.items():
        if isinstance(value, str) and value[:1] in ("[", "{") and value != UNKNOWN:
            try:
                value = _unwrap(json.loads(value))
            except ValueError as error:
                raise InputError(f"`{name}` of the AWS provider is not valid JSON ({error})") from None
        values[name] = value
    return values


def _unwrap(value: Any) -> Any:
    from sandbox.aws.struct_values import unwrapped

    if isinstance(value, dict):
        value = unwrapped(value)
    if isinstance(value, dict):
        return {key: _unwrap(part) for key, part in value.items()}
    return [_unwrap(part) for part in value] if isinstance(value, list) else value


def find_problems(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (property, reason) of each setting that the sandbox's provider does not accept."""
    problems: list[tuple[str, str]] = []
    setting_names = (*SUPPORTED, *IGNORED)
    for name in config:
        if name not in setting_names and not name.startswith("__"):
            reason = (
                f"`{name}` is no setting of the sandbox's AWS provider.{suggest_nearest(name, setting_names)} "
                f"It takes {', '.join(SUPPORTED)}, and passes over {', '.join(IGNORED)}."
            )
            problems.append((name, reason))
    try:
        for url in _endpoints(config.get("endpoints")).values():
            if url != UNKNOWN:
                require_loopback_url(url)
    except InputError as error:
        problems.append(("endpoints", str(error)))
    try:
        assumed_roles.parse_roles(config.get("assumeRoles"))
    except InputError as error:
        problems.append(("assumeRoles", str(error)))
    return problems


def _endpoints(value: Any) -> dict[str, str]:
    """Return `[{s3: URL, kms: URL}, …]` as one map."""
    if value is None or value == UNKNOWN:
        return {}
    entries = value if isinstance(value, list) else [value]
    endpoints: dict[str, str] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not all(isinstance(url, str) for url in entry.values()):
            raise InputError(
                "`endpoints` of the AWS provider is not a list of maps from service to URL",
                fix="Set it to, for example, [{s3: http://127.0.0.1:4566}]",
            )
        endpoints |= entry
    return endpoints


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
"""botocore's service names by other names that the real provider accepts for a service's endpoint."""


def read_settings(config: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the checked settings. Raises `InputError` if region or endpoint is missing, or not on this machine."""
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
            "the sandbox's AWS provider has no endpoint, and it never calls the real AWS",
            fix='Run `isthmus sandbox up` and `eval "$(isthmus sandbox env)"`, or set `endpoints`',
        )
    region = config.get("region") or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region:
        raise InputError(
            "the AWS provider has no region",
            fix="Set `region` on the provider or `aws:region` in the stack's config",
        )
    tags = config.get("defaultTags") or {}
    return Settings(
        endpoints=endpoints,
        region=str(region),
        default_tags=dict(tags.get("tags") or {}) if isinstance(tags, dict) else {},
        roles=assumed_roles.parse_roles(config.get("assumeRoles")),
        max_attempts=max(1, min(10, int(config.get("maxRetries") or 4) + 1)),
    )


def check_account(config: Mapping[str, Any], account: str) -> None:
    """Raise `InputError` if the configuration does not allow the endpoint's account."""
    allowed = [str(account_id) for account_id in config.get("allowedAccountIds") or []]
    forbidden = [str(account_id) for account_id in config.get("forbiddenAccountIds") or []]
    if (allowed and account not in allowed) or account in forbidden:
        raise InputError(
            f"the endpoint's account is {account}, which the provider's configuration does not allow",
            fix="Change `allowedAccountIds` and `forbiddenAccountIds`, or use another endpoint",
        )
