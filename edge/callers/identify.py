"""Identifies the caller of a request by its key, its client certificate, or both; a person by an access token.

A certificate is stronger than a key: its private key is never sent, cert-manager renews it, and no secret is handed
out. Service account tokens are not used: the gateway would need the cluster's keys to verify them, and whoever reads a
token can send it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from starlette.requests import Request

from edge.callers.postgres import PREFIX
from edge.callers.store import CallersUnreadable, KeyStore
from edge.callers.tokens import Verifier, looks_like_token
from edge.config.gateway import GatewayConfig, Workload
from edge.openai_api import Refusal

BY_CERTIFICATE = "certificate"
"""Value to send instead of a key, because OpenAI clients do not start without one."""


@dataclass(frozen=True)
class Caller:
    """The workload, team and identity of a request."""

    workload: str
    team: str
    identity: str
    """`key:` and the key's id, `certificate:` and the name, or `person:` and a pseudonym. It is used in records and is
    no secret."""
    workloads: tuple[str, ...] = ()
    """All workloads of a person, who chooses one by the model's name. Empty: `workload` alone."""
    person: str = ""
    """The name by which reviewers know a person. It never leaves the process."""

    @property
    def is_person(self) -> bool:
        """Whether it is a person with an access token."""
        return bool(self.workloads)

    @property
    def own(self) -> tuple[str, ...]:
        """The workloads that the caller may use."""
        return self.workloads or (self.workload,)


class Identify:
    """Identifies callers of a gateway. Raises Refusal 401 (unknown), 403 (not allowed here) or 503 (key store down)."""

    def __init__(
        self, config: GatewayConfig, keys: KeyStore, pseudonym: Callable[[str], str] | None = None
    ) -> None:
        """`pseudonym`: what records have in place of a person's subject. Needed with `tokens`."""
        self._tokens, self._verifier = config.tokens, Verifier(config.tokens) if config.tokens else None
        self._pseudonym = pseudonym
        self._class, self._keys = config.data_class, keys
        self._workloads = {workload.name: workload for workload in config.workloads}
        self._by_client = {name: workload for workload in config.workloads for name in workload.clients}

    async def caller(self, request: Request) -> Caller:
        """The caller of a request."""
        client_names: frozenset[str] = getattr(request.state, "client_names", frozenset())
        if getattr(request.state, "client_revoked", lambda: False)():
            raise Refusal(401, "revoked_certificate", "This client's certificate was revoked.")
        values = request.headers.getlist("authorization")
        if not values or values == [f"Bearer {BY_CERTIFICATE}"]:
            return self._by_certificate(client_names)
        scheme, credential = _scheme_and_credential(values)
        if self._tokens is not None and scheme == "bearer" and looks_like_token(credential):
            return await self._by_token(credential, client_names)
        return await self._by_key(scheme, credential, client_names)

    async def _by_token(self, token: str, client_names: frozenset[str]) -> Caller:
        """The person of an access token, with the workloads of their groups. A token alone opens no listener."""
        settings, verifier, pseudonym = self._tokens, self._verifier, self._pseudonym
        assert settings is not None, "the caller looked"
        assert verifier is not None, "it comes with the settings"
        assert pseudonym is not None, "the gateway has it with the settings"
        if settings.through and not client_names.intersection(settings.through):
            raise Refusal(403, "wrong_client", "Tokens are not accepted from this client's certificate.")
        person = await verifier.person(token)
        granted = [grant.workload for grant in settings.workloads if person.groups.intersection(grant.groups)]
        workloads = tuple(dict.fromkeys(name for name in granted if self._may_come(name, client_names)))
        if not workloads:
            raise Refusal(
                403,
                "no_workload",
                f"None of your groups may use a workload of this gateway of class {self._class}. "
                "Ask whoever manages the groups.",
            )
        caller = self._of(workloads[0], f"person:{pseudonym(person.subject)}")
        return replace(caller, workloads=workloads, person=person.name)

    def of_workload(self, caller: Caller, name: str) -> Caller:
        """A person as a caller of one of their workloads."""
        return replace(self._of(name, caller.identity), workloads=caller.workloads, person=caller.person)

    def _may_come(self, name: str, client_names: frozenset[str]) -> bool:
        """Whether a workload that is bound to certificates is called from one of them."""
        workload = self._workloads.get(name)
        return workload is None or not workload.clients or bool(client_names.intersection(workload.clients))

    def _by_certificate(self, client_names: frozenset[str]) -> Caller:
        client_by_workload = {
            self._by_client[name].name: name for name in sorted(client_names) if name in self._by_client
        }
        if len(client_by_workload) != 1:
            raise _unknown()
        ((workload, name),) = client_by_workload.items()
        return self._of(workload, f"certificate:{name}")

    async def _by_key(self, scheme: str, key: str, client_names: frozenset[str]) -> Caller:
        try:
            known_key = await self._keys.find(key)
        except CallersUnreadable:
            raise Refusal(
                503, "callers_unreadable", "The gateway cannot tell who may call; ask its operators."
            ) from None
        if scheme != "bearer" or not key or known_key is None:
            if self._tokens is not None and key and not key.startswith(PREFIX):
                raise Refusal(
                    401,
                    "opaque_token",
                    "This is neither a key of this gateway nor a JWT. An opaque token cannot be verified here: request "
                    f"an access token for {self._tokens.audiences[0]!r}.",
                )
            raise _unknown()
        if known_key.revoked:
            raise Refusal(401, "revoked_api_key", f"The key {known_key.id} was revoked; ask for a new one.")
        if known_key.left_s is not None and known_key.left_s <= 0:
            raise Refusal(401, "expired_api_key", f"The key {known_key.id} has expired; ask for a new one.")
        if known_key.data_class != self._class:
            raise Refusal(
                403,
                "wrong_class",
                f"This gateway serves class {self._class}, the key {known_key.id} is of another; use its gateway.",
            )
        if not self._may_come(known_key.workload, client_names):
            raise Refusal(
                403, "wrong_client", f"The key {known_key.id} is not accepted from this client's certificate."
            )
        return self._of(known_key.workload, f"key:{known_key.id}")

    def _of(self, name: str, identity: str) -> Caller:
        workload: Workload | None = self._workloads.get(name)
        return Caller(name, workload.team if workload and workload.team else "", identity)


def _scheme_and_credential(values: list[str]) -> tuple[str, str]:
    """The scheme, in lower case, and the credential of the Authorization header; empty if it is sent twice."""
    scheme, _, credential = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return scheme.lower(), credential.strip()


def _unknown() -> Refusal:
    return Refusal(401, "invalid_api_key", "Send a key of this gateway as Authorization: Bearer <key>.")
