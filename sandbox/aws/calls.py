"""Make the table's calls with botocore, on this machine's endpoint only."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jmespath

from isthmus.core.errors import InputError
from sandbox.aws import idempotency
from sandbox.aws.assumed_roles import Role, credentials
from sandbox.aws.aws_errors import CallRefused, Tries, refusal
from sandbox.aws.loopback import require_loopback_url
from sandbox.aws.model import Call, Scope, Type
from sandbox.aws.schema import from_api, to_api

_NOTHING_OF_THE_USER_S = {
    "profile": (None, [], None, None),
    "config_file": (None, [], os.devnull, None),
    "credentials_file": (None, [], os.devnull, None),
}
"""botocore's session variables (config name, environment names, default, conversion), without sources."""
_MADE_UP = "isthmus-sandbox"
"""Access key and secret key: nothing checks them."""


@dataclass
class Settings:
    """The provider's configuration, checked."""

    endpoints: Mapping[str, str]
    """Service to URL; `""` is the URL of every service that has none of its own."""
    region: str
    default_tags: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = 5
    roles: tuple[Role, ...] = ()
    """Assumed one after the other; what is made belongs to the last one's account."""

    def url(self, service: str) -> str:
        """The service's endpoint. Raises `InputError` when it has none or is not on this machine."""
        url = self.endpoints.get(service) or self.endpoints.get("")
        if not url:
            raise InputError(
                f"the sandbox's AWS provider was given no endpoint for `{service}`",
                fix="Set `endpoints` on the provider or AWS_ENDPOINT_URL (`isthmus sandbox env` does)",
            )
        return require_loopback_url(url)


class Api:
    """Clients by service and region, made when first used, shared by threads.

    They carry made-up credentials, or those of a role that these assume, and no proxy: nothing of the
    user's own AWS can be reached.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()
        self._session: Any = None
        self._account: str | None = None
        self.tries = Tries()

    def client(self, service: str, region: str | None = None) -> Any:
        region = region or self.settings.region
        with self._lock:
            known = self._clients.get((service, region))
            if known is not None:
                return known
            if self._session is None:
                self._session = self._signing()
            made = self._made(self._session, service, region)
            made.meta.events.register("needs-retry", self.tries.note)
            self._clients[(service, region)] = made
            return made

    def _signing(self) -> Any:
        """A session that signs as the last of the roles. Raises `CallRefused` where one lets nobody in."""
        import botocore.session

        session = botocore.session.Session(session_vars=_NOTHING_OF_THE_USER_S)
        session.set_credentials(_MADE_UP, _MADE_UP)
        if self.settings.roles:
            region, own = self.settings.region, session

            def sts(keys: dict[str, Any]) -> Any:
                return self._made(own, "sts", region, **keys)

            session = botocore.session.Session(session_vars=_NOTHING_OF_THE_USER_S)
            # botocore's only way to give a session credentials that are made anew.
            session._credentials = credentials(self.settings.roles, sts)
        return session

    def _made(self, session: Any, service: str, region: str, **keys: Any) -> Any:
        import botocore.config

        return session.create_client(
            service,
            region_name=region,
            endpoint_url=self.settings.url(service),
            config=botocore.config.Config(
                retries={"mode": "standard", "total_max_attempts": self.settings.max_attempts},
                connect_timeout=5,
                read_timeout=30,
                max_pool_connections=32,
                proxies={},
                s3={"addressing_style": "path"},
            ),
            **keys,
        )

    def account(self) -> str:
        """The account's number, asked once."""
        if self._account is None:
            asked = self._tried("the provider", "sts", "get_caller_identity", None, {})
            self._account = str(asked["Account"])
        return self._account

    def raw(self, kind: Type, region: str) -> Callable[..., Any]:
        """`call(operation, **params)`, whose refusals say which type and which property."""

        def call(operation: str, **params: Any) -> Any:
            return self._tried(kind.token, kind.service, operation, region, params)

        return call

    def _tried(
        self,
        token: str,
        service: str,
        operation: str,
        region: str | None,
        params: dict[str, Any],
        pages: bool = False,
    ) -> Any:
        """The answer of one call, tried again within bounds; of all its `pages` as one."""
        import botocore.exceptions as refused
        import botocore.parsers as answers

        client = self.client(service, region)
        self.tries.begin()
        try:
            if pages:
                return client.get_paginator(operation).paginate(**params).build_full_result()
            return getattr(client, operation)(**params)
        except (refused.ClientError, refused.BotoCoreError, answers.ResponseParserError) as error:
            raise refusal(token, service, operation, error, self.tries) from None

    def repeatable(self, kind: Type) -> bool:
        """Whether AWS makes it once, however often the request comes: the request has an idempotency token."""
        client = self.client(kind.service)
        operation = client.meta.method_to_api_mapping[kind.create.operation]
        model = client.meta.service_model.operation_model(operation)
        return bool(model.idempotent_members) or any(name in kind.create.params for name in idempotency.NAMES)

    def make(self, kind: Type, call: Call, scope: Scope) -> dict[str, Any] | None:
        """Make one call of the table; the properties in its answer, or None when there is no such thing."""
        params = {name: fill(kind, value, scope) for name, value in call.params.items()}
        params = {name: value for name, value in params.items() if value is not None}
        region = str(scope.get("region") or self.settings.region)
        try:
            answer = self._all(kind, call, params, region)
        except CallRefused as error:
            if error.code in call.absent:
                return None
            raise
        if call.pick:
            answer = jmespath.search(_filled_in(call.pick, scope), answer)
            if answer is None:
                return None
        found = {
            name: path(answer) if callable(path) else jmespath.search(path, answer)
            for name, path in call.result.items()
        }
        return {name: from_api(kind.prop(name), value) for name, value in found.items() if value is not None}

    def _all(self, kind: Type, call: Call, params: dict[str, Any], region: str) -> Any:
        """The answer; where a listing is picked from, all of its pages as one."""
        service = call.service or kind.service
        client = self.client(service, region)
        pages = bool(call.pick) and "[?" in str(call.pick) and client.can_paginate(call.operation)
        return self._tried(kind.token, service, call.operation, region, params, pages)


def fill(kind: Type, template: Any, scope: Scope) -> Any:
    """A call's argument from its template (`Call.params`); None where nothing is known."""
    if callable(template):
        return template(scope)
    if isinstance(template, str) and template.startswith("$"):
        name = template[1:]
        value = scope.get(name)
        if name in kind.inputs and value is None:
            value = kind.inputs[name].default
        made = to_api(kind.prop("tagsAll" if name == "tagsSet" else name), value)
        return None if made in ("", [], {}) else made
    if isinstance(template, dict):
        made = {name: fill(kind, value, scope) for name, value in template.items()}
        return {name: value for name, value in made.items() if value is not None}
    if isinstance(template, list):
        made = [fill(kind, value, scope) for value in template]
        return [value for value in made if value is not None]
    return template


def _filled_in(pick: str, scope: Scope) -> str:
    """`{name}` in a JMESPath literal; a quote in the value cannot end the literal."""

    def value(found: re.Match[str]) -> str:
        return str(scope.get(found.group(1)) or "").replace("\\", "\\\\").replace("'", "\\'")

    return re.sub(r"\{(\w+)\}", value, pick)


def dumps(value: Any) -> str:
    """JSON as AWS writes it: no spaces, keys in their order."""
    return json.dumps(value, separators=(",", ":"))
