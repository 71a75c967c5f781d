"""One AWS account and region, asked as a stack's provider asks it."""

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

_PURPOSE = "what an earlier run has made"
_ABSENT = re.compile(r"NotFound|NoSuch|NonExist|DoesNotExist|^404$")
_DENIED = re.compile(r"AccessDenied|UnauthorizedOperation|NotAuthorized")


class Denied(EnvironmentFault):
    """AWS answers, and does not let us see this."""


@dataclass
class Aws:
    """One account and region, asked as the stack's provider asks it, for one stack."""

    provider: Mapping[str, Any]
    """The provider's inputs as the state holds them."""
    stack: str
    """`PROJECT/STACK`."""
    known: frozenset[tuple[str, str]] = frozenset()
    """Type and id of what the state has."""
    _clients: dict[str, Any] = field(default_factory=dict)

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
            why=_PURPOSE,
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
        """The whole answer, all pages; `{}` where AWS says that there is no such thing.

        Raises `EnvironmentFault` where AWS does not answer or refuses, `Denied` where we may not ask.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        fault = EnvironmentFault
        try:
            client = self.client(service)
            if client.can_paginate(call):
                return client.get_paginator(call).paginate(**params).build_full_result()
            return getattr(client, call)(**params)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            reason = f"{code}: {error.response.get('Error', {}).get('Message', '')}"
            # SageMaker has no code of its own for what is not there.
            if _ABSENT.search(code) or reason.startswith("ValidationException: Could not find "):
                return {}
            fault = Denied if _DENIED.search(code) else fault
        except BotoCoreError as error:
            reason = str(error)
        raise fault(
            f"AWS cannot be asked {_PURPOSE} ({service} {call.replace('_', '-')}: {reason})",
            fix="Check credentials, region and endpoint (sandbox: `isthmus sandbox status`), then run the same"
            " command again",
        )

    def line(self, service: str, call: str, **params: Any) -> str:
        """The same question for the AWS command line."""
        words = [f"aws {'s3api' if service == 's3' else service} {call.replace('_', '-')}"]
        for name, value in params.items():
            option = "--" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
            shown = " ".join(map(_shorthand, value)) if isinstance(value, list) else str(value)
            words.append(f"{option} {shown}")
        return " ".join([*words, f"--region {self.region}"])


def _shorthand(value: Any) -> str:
    """A list's member in the command line's shorthand: `Name=tag:x,Values=y`."""
    if not isinstance(value, dict):
        return str(value)
    return ",".join(
        f"{name}={','.join(member) if isinstance(member, list) else member}" for name, member in value.items()
    )


def _assumed_roles(provider: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The roles that a provider assumes, in their order."""
    for role in _list_input(provider, "assumeRoles") or _list_input(provider, "assumeRole"):
        if isinstance(role, Mapping) and isinstance(role.get("roleArn"), str):
            yield role


def _list_input(provider: Mapping[str, Any], name: str) -> list[Any]:
    """A list among a provider's inputs; the state holds nested inputs as JSON."""
    value = provider.get(name) or []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = []
    return value if isinstance(value, list) else [value]
