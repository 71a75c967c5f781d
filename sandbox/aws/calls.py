"""Makes the calls of the table with botocore, to an endpoint on this machine only."""

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
from sandbox.aws.assumed_roles import Role, refreshing_credentials
from sandbox.aws.aws_errors import CallRefused, Tries, refusal
from sandbox.aws.loopback import require_loopback_url
from sandbox.aws.model import Call, Scope, Type
from sandbox.aws.schema import from_api, to_api

_NO_USER_SETTINGS = {
    "profile": (None, [], None, None),
    "config_file": (None, [], os.devnull, None),
    "credentials_file": (None, [], os.devnull, None),
}
"""botocore's session variables (config name, environment names, default, conversion), without any source."""
_DUMMY_KEY = "isthmus-sandbox"
"""Access key and secret key. Nothing checks them."""


@dataclass
class Settings:
    """The provider's configuration, checked."""

    endpoints: Mapping[str, str]
    """URL by service. The key `""` is the default."""
    region: str
    default_tags: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = 5
    roles: tuple[Role, ...] = ()
    """Roles to assume one after the other. Resources belong to the account of the last one."""

    def url(self, service: str) -> str:
        """Return the service's endpoint. Raises `InputError` if there is none, or if it is not on this machine."""
        url = self.endpoints.get(service) or self.endpoints.get("")
        if not url:
            raise InputError(
                f"the sandbox's AWS provider has no endpoint for `{service}`",
                fix="Set `endpoints` on the provider, or AWS_ENDPOINT_URL (`isthmus sandbox env` prints it)",
            )
        return require_loopback_url(url)


class Api:
    """Creates botocore clients by service and region, and shares them between threads.

    The clients use dummy credentials, or those of an assumed role, and no proxy. They cannot reach the user's AWS.
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
            client = self._clients.get((service, region))
            if client is not None:
                return client
            if self._session is None:
                self._session = self._create_session()
            client = self._create_client(self._session, service, region)
            client.meta.events.register("needs-retry", self.tries.note)
            self._clients[(service, region)] = client
            return client

    def _create_session(self) -> Any:
        """Return a session that signs as the last role. Raises `CallRefused` if a role cannot be assumed."""
        import botocore.session

        session = botocore.session.Session(session_vars=_NO_USER_SETTINGS)
        session.set_credentials(_DUMMY_KEY, _DUMMY_KEY)
        if self.settings.roles:
            region, base_session = self.settings.region, session

            def sts(keys: dict[str, Any]) -> Any:
                return self._create_client(base_session, "sts", region, **keys)

            session = botocore.session.Session(session_vars=_NO_USER_SETTINGS)
            # botocore has no public way to give a session refreshable credentials.
            session._credentials = refreshing_credentials(self.settings.roles, sts)
        return session

    def _create_client(self, session: Any, service: str, region: str, **keys: Any) -> Any:
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
        """Return the account's number. STS is asked once."""
        if self._account is None:
            identity = self._call_aws("the provider", "sts", "get_caller_identity", None, {})
            self._account = str(identity["Account"])
        return self._account

    def raw_call(self, kind: Type, region: str) -> Callable[..., Any]:
        """Return `call(operation, **params)`. Its refusals name the resource type."""

        def call(operation: str, **params: Any) -> Any:
            return self._call_aws(kind.token, kind.service, operation, region, params)

        return call

    def _call_aws(
        self,
        token: str,
        service: str,
        operation: str,
        region: str | None,
        params: dict[str, Any],
        pages: bool = False,
    ) -> Any:
        """Make one call, with botocore's retries, and return its answer. With `pages`, all pages as one answer."""
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

    def has_idempotency_token(self, kind: Type) -> bool:
        """Return True if the creating call has an idempotency token: AWS then creates one resource only."""
        client = self.client(kind.service)
        operation = client.meta.method_to_api_mapping[kind.create.operation]
        model = client.meta.service_model.operation_model(operation)
        return bool(model.idempotent_members) or any(name in kind.create.params for name in idempotency.NAMES)

    def call(self, kind: Type, call: Call, scope: Scope) -> dict[str, Any] | None:
        """Make one call of the table and return the properties in its answer. None: the resource does not exist."""
        params = {name: fill_template(kind, value, scope) for name, value in call.params.items()}
        params = {name: value for name, value in params.items() if value is not None}
        region = str(scope.get("region") or self.settings.region)
        try:
            answer = self._call_all_pages(kind, call, params, region)
        except CallRefused as error:
            if error.code in call.absent:
                return None
            raise
        if call.pick:
            answer = jmespath.search(_fill_pick(call.pick, scope), answer)
            if answer is None:
                return None
        properties = {
            name: path(answer) if callable(path) else jmespath.search(path, answer)
            for name, path in call.result.items()
        }
        return {
            name: from_api(kind.prop(name), value) for name, value in properties.items() if value is not None
        }

    def _call_all_pages(self, kind: Type, call: Call, params: dict[str, Any], region: str) -> Any:
        """Return the answer. If `pick` searches a listing, all of its pages are read."""
        service = call.service or kind.service
        client = self.client(service, region)
        pages = bool(call.pick) and "[?" in str(call.pick) and client.can_paginate(call.operation)
        return self._call_aws(kind.token, service, call.operation, region, params, pages)


def fill_template(kind: Type, template: Any, scope: Scope) -> Any:
    """Return an argument of a call from its template in `Call.params`. None: the call omits it."""
    if callable(template):
        return template(scope)
    if isinstance(template, str) and template.startswith("$"):
        name = template[1:]
        value = scope.get(name)
        if name in kind.inputs and value is None:
            value = kind.inputs[name].default
        api_value = to_api(kind.prop("tagsAll" if name == "tagsSet" else name), value)
        return None if api_value in ("", [], {}) else api_value
    if isinstance(template, dict):
        api_value = {name: fill_template(kind, value, scope) for name, value in template.items()}
        return {name: value for name, value in api_value.items() if value is not None}
    if isinstance(template, list):
        api_value = [fill_template(kind, value, scope) for value in template]
        return [value for value in api_value if value is not None]
    return template


def _fill_pick(pick: str, scope: Scope) -> str:
    """Replace `{name}` in a JMESPath literal. A quote in the value is escaped, so it cannot end the literal."""

    def value(match: re.Match[str]) -> str:
        return str(scope.get(match.group(1)) or "").replace("\\", "\\\\").replace("'", "\\'")

    return re.sub(r"\{(\w+)\}", value, pick)


def dumps(value: Any) -> str:
    """Return JSON as AWS writes it: without spaces, keys in their order."""
    return json.dumps(value, separators=(",", ":"))
