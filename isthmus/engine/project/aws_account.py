"""Queries one AWS account and region with the credentials and roles of a stack's provider."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from isthmus.core import aws_session
from isthmus.core.errors import EnvironmentFault

_ABSENT = re.compile(r"NotFound|NoSuch|NonExist|DoesNotExist|^404$")
_DENIED = re.compile(r"AccessDenied|UnauthorizedOperation|NotAuthorized")


class Denied(EnvironmentFault):
    """AWS answered that the caller may not read this."""


@dataclass
class Aws:
    """One account and region, queried for one stack."""

    provider: Mapping[str, Any]
    """The provider's inputs, from the state."""
    stack: str
    """`PROJECT/STACK`."""
    known: frozenset[tuple[str, str]] = frozenset()
    """Type and id of every resource in the state."""
    _clients: dict[str, Any] = field(default_factory=dict)
    purpose: str = "what an earlier run created"
    """What Isthmus wants to know, as the end of a sentence."""

    @property
    def region(self) -> str:
        region = self.provider.get("region")
        return region if isinstance(region, str) else os.environ.get("AWS_REGION", "")

    @cached_property
    def _session(self) -> Any:
        profile = self.provider.get("profile")
        return aws_session.session(
            self.region,
            _assumed_roles(self.provider),
            why=self.purpose,
            profile=profile if isinstance(profile, str) else None,
            accounts=[str(account) for account in _list_input(self.provider, "allowedAccountIds")],
        )

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = aws_session.client(self._session, service)
        return self._clients[service]

    @cached_property
    def account(self) -> str:
        return self.ask("sts", "get_caller_identity")["Account"]

    @cached_property
    def partition(self) -> str:
        return self.ask("sts", "get_caller_identity")["Arn"].split(":")[1]

    def ask(self, service: str, call: str, **params: Any) -> dict[str, Any]:
        """Call AWS and return all pages of the answer; `{}` if AWS says that the object does not exist.

        Raises `Denied` if the caller lacks the permission, `EnvironmentFault` for every other failure.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        denied = False
        try:
            client = self.client(service)
            if client.can_paginate(call):
                return client.get_paginator(call).paginate(**params).build_full_result()
            return getattr(client, call)(**params)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            reason = f"{code}: {error.response.get('Error', {}).get('Message', '')}"
            # SageMaker reports a missing object as a ValidationException.
            if _ABSENT.search(code) or reason.startswith("ValidationException: Could not find "):
                return {}
            denied = _DENIED.search(code) is not None
        except BotoCoreError as error:
            reason = str(error)
        name = f"{service} {call.replace('_', '-')}"
        if denied:
            raise Denied(
                f"AWS denies {name}, needed to find {self.purpose} ({reason})",
                fix="Give who runs Isthmus the right to this call, then run the same command again",
            )
        raise EnvironmentFault(
            f"AWS did not answer {name}, needed to find {self.purpose} ({reason})",
            fix="Check credentials, region and endpoint (sandbox: `isthmus sandbox status`), then run the same"
            " command again",
        )

    def line(self, service: str, call: str, **params: Any) -> str:
        """The same call as a command for the AWS CLI."""
        words = [f"aws {'s3api' if service == 's3' else service} {call.replace('_', '-')}"]
        for name, value in params.items():
            option = "--" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
            shown = " ".join(map(_shorthand, value)) if isinstance(value, list) else str(value)
            words.append(f"{option} {shown}")
        return " ".join([*words, f"--region {self.region}"])


def _shorthand(value: Any) -> str:
    """A list member in the AWS CLI's shorthand: `Name=tag:x,Values=y`."""
    if not isinstance(value, dict):
        return str(value)
    return ",".join(
        f"{name}={','.join(member) if isinstance(member, list) else member}" for name, member in value.items()
    )


def _assumed_roles(provider: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The roles that a provider assumes, in order."""
    for role in _list_input(provider, "assumeRoles") or _list_input(provider, "assumeRole"):
        if isinstance(role, Mapping) and isinstance(role.get("roleArn"), str):
            yield role


def _list_input(provider: Mapping[str, Any], name: str) -> list[Any]:
    """A list from a provider's inputs. The state stores nested inputs as JSON text."""
    value = provider.get(name) or []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = []
    return value if isinstance(value, list) else [value]
