"""Identifies the caller of a request by its key, its client certificate, or both.

A certificate is stronger than a key: its private key is never sent, cert-manager renews it, and no secret is handed
out. Service account tokens are not used: the gateway would need the cluster's keys to verify them, and whoever reads a
token can send it.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from edge.callers.store import CallersUnreadable, KeyStore
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
    """`key:` and the key's id, or `certificate:` and the name. It is used in records and is no secret."""


class Identify:
    """Identifies callers of a gateway. Raises Refusal 401 (unknown), 403 (not allowed here) or 503 (key store down)."""

    def __init__(self, config: GatewayConfig, keys: KeyStore) -> None:
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
        return await self._by_key(values, client_names)

    def _by_certificate(self, client_names: frozenset[str]) -> Caller:
        client_by_workload = {
            self._by_client[name].name: name for name in sorted(client_names) if name in self._by_client
        }
        if len(client_by_workload) != 1:
            raise _unknown()
        ((workload, name),) = client_by_workload.items()
        return self._of(workload, f"certificate:{name}")

    async def _by_key(self, values: list[str], client_names: frozenset[str]) -> Caller:
        scheme, _, key = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        try:
            known_key = await self._keys.find(key.strip())
        except CallersUnreadable:
            raise Refusal(
                503, "callers_unreadable", "The gateway cannot tell who may call; ask its operators."
            ) from None
        if scheme.lower() != "bearer" or not key.strip() or known_key is None:
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
        workload = self._workloads.get(known_key.workload)
        if workload is not None and workload.clients and not client_names.intersection(workload.clients):
            raise Refusal(
                403, "wrong_client", f"The key {known_key.id} is not accepted from this client's certificate."
            )
        return self._of(known_key.workload, f"key:{known_key.id}")

    def _of(self, name: str, identity: str) -> Caller:
        workload: Workload | None = self._workloads.get(name)
        return Caller(name, workload.team if workload and workload.team else "", identity)


def _unknown() -> Refusal:
    return Refusal(401, "invalid_api_key", "Send a key of this gateway as Authorization: Bearer <key>.")
