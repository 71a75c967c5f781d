"""Identifies the caller of a request by its key, its client certificate, or both; a person by an access token.

A certificate is stronger than a key: its private key is never sent, cert-manager renews it, and no secret is handed
out. Service account tokens are not used: the gateway would need the cluster's keys to verify them, and whoever reads a
token can send it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from starlette.requests import Request

from edge.callers.caller import Caller, StoredIdentity
from edge.callers.postgres import PREFIX
from edge.callers.store import CallersUnreadable, Key, KeyStore
from edge.callers.tokens import Verifier, looks_like_token
from edge.config.gateway import Allowance, GatewayConfig, Workload
from edge.openai_api import Refusal

BY_CERTIFICATE = "certificate"
"""Value to send instead of a key, because OpenAI clients do not start without one."""

API_KEY = "x-api-key"
"""Header in which Anthropic's clients send the key. It counts only without an Authorization header."""


class Identify:
    """Identifies callers of a gateway. Raises Refusal 401 (unknown), 403 (not allowed here) or 503 (key store down)."""

    def __init__(
        self,
        config: GatewayConfig,
        keys: KeyStore,
        pseudonym: Callable[[str], str] | None = None,
        is_revoked: Callable[[bytes | None], bool] = lambda certificate: False,
    ) -> None:
        """`pseudonym`: what records have in place of a person's subject. Needed with `tokens`. `is_revoked`: whether
        a certificate (DER) is revoked.
        """
        self._is_revoked = is_revoked
        self._tokens, self._verifier = config.tokens, Verifier(config.tokens) if config.tokens else None
        self._pseudonym = pseudonym
        self._class, self._keys = config.data_class, keys
        self._workloads = {workload.name: workload for workload in config.workloads}
        self._by_client = {name: workload for workload in config.workloads for name in workload.clients}

    async def caller(self, request: Request) -> Caller:
        """The caller of a request."""
        stored: StoredIdentity | None = getattr(request.state, "stored_identity", None)
        if stored is not None:  # a line of a batch, sent by this process
            return await self.stored(stored)
        client_names: frozenset[str] = getattr(request.state, "client_names", frozenset())
        if getattr(request.state, "client_revoked", lambda: False)():
            raise Refusal(401, "revoked_certificate", "This client's certificate was revoked.")
        values = request.headers.getlist("authorization") or [
            f"Bearer {key}" for key in request.headers.getlist(API_KEY)
        ]
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
        caller = self._of_person(workloads[0], f"person:{pseudonym(person.subject)}")
        owned = {grant.workload for grant in settings.owners if person.groups.intersection(grant.groups)}
        return replace(
            caller,
            workloads=workloads,
            owned=owned.intersection(workloads),
            person=person.name,
            until=person.until,
        )

    async def stored(self, identity: StoredIdentity) -> Caller:
        """The caller of work that was handed in earlier, with their rights of this moment."""
        if self._is_revoked(identity.certificate):
            raise Refusal(401, "revoked_certificate", "This client's certificate was revoked.")
        kind, _, name = identity.identity.partition(":")
        if kind == "certificate":
            return self._by_certificate(identity.clients)
        if kind == "key":
            return self._of_key(await self._known(self._keys.find_id(name)), identity.clients)
        if (identity.until or 0) <= time.time():
            raise Refusal(401, "expired_token", "The person's token has expired.")
        workloads = tuple(name for name in identity.workloads if self._may_come(name, identity.clients))
        if not workloads:
            raise Refusal(403, "no_workload", "The person may use no workload of this gateway any more.")
        caller = self._of_person(workloads[0], identity.identity)
        return replace(caller, workloads=workloads, person=identity.person, until=identity.until)

    def of_workload(self, caller: Caller, name: str) -> Caller:
        """A person as a caller of one of their workloads."""
        return replace(
            self._of_person(name, caller.identity),
            workloads=caller.workloads,
            person=caller.person,
            until=caller.until,
        )

    def _of_person(self, name: str, identity: str) -> Caller:
        caller, workload = self._of(name, identity), self._workloads.get(name)
        if workload is None or workload.people == Allowance():
            return caller
        counted_as = f"person/{name}/{identity.removeprefix('person:')}"
        return replace(caller, allowance=workload.people, counted_as=counted_as)

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

    async def _known(self, finding: Awaitable[Key | None]) -> Key | None:
        try:
            return await finding
        except CallersUnreadable:
            raise Refusal(
                503, "callers_unreadable", "The gateway cannot tell who may call; ask its operators."
            ) from None

    async def _by_key(self, scheme: str, key: str, client_names: frozenset[str]) -> Caller:
        known_key = await self._known(self._keys.find(key))
        if scheme != "bearer" or not key or known_key is None:
            if self._tokens is not None and key and not key.startswith(PREFIX):
                raise Refusal(
                    401,
                    "opaque_token",
                    "This is neither a key of this gateway nor a JWT. An opaque token cannot be verified here: request "
                    f"an access token for {self._tokens.audiences[0]!r}.",
                )
            raise _unknown()
        return self._of_key(known_key, client_names)

    def _of_key(self, known_key: Key | None, client_names: frozenset[str]) -> Caller:
        if known_key is None:
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
        return replace(
            self._of(known_key.workload, f"key:{known_key.id}"),
            models=known_key.models,
            allowance=known_key.allowance,
            counted_as=f"key/{known_key.counted_as or known_key.id}",
            evaluates=known_key.evaluates,
        )

    def _of(self, name: str, identity: str) -> Caller:
        workload: Workload | None = self._workloads.get(name)
        return Caller(name, workload.team if workload and workload.team else "", identity)


def _scheme_and_credential(values: list[str]) -> tuple[str, str]:
    """The scheme, in lower case, and the credential of the Authorization header; empty if it is sent twice."""
    scheme, _, credential = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return scheme.lower(), credential.strip()


def _unknown() -> Refusal:
    how = "Send a key of this gateway as Authorization: Bearer <key>, or as x-api-key."
    return Refusal(401, "invalid_api_key", how)
