"""The caller of a request, and what is stored of a caller for work that is done later."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from starlette.requests import Request

from edge.config.gateway import Allowance
from edge.openai_api import Refusal


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
    owned: frozenset[str] = frozenset()
    """Those of a person's workloads that their groups own."""
    person: str = ""
    """The name by which reviewers know a person. It never leaves the process."""
    until: float | None = None
    """When a person's token ends, in seconds since 1970."""
    models: frozenset[str] | None = None
    """Names of the models that a key may use. None: all of the workload."""
    allowance: Allowance | None = None
    """Limits of this key or person, beside those of the workload. None: none."""
    counted_as: str = ""
    """By which these limits are counted: `key/` and an id, or `person/`, the workload and a pseudonym."""
    evaluates: bool = False
    """Whether it evaluates models: its requests are recorded, and neither held for people nor counted as usage."""

    @property
    def is_person(self) -> bool:
        """Whether it is a person with an access token."""
        return bool(self.workloads)

    @property
    def own(self) -> tuple[str, ...]:
        """The workloads that the caller may use."""
        return self.workloads or (self.workload,)


def require_person(caller: Caller) -> None:
    """Raises Refusal 403 for a caller without an access token."""
    if not caller.is_person:
        raise Refusal(403, "people_only", "Send the access token of the person who asked.")


@dataclass(frozen=True)
class StoredIdentity:
    """What identified a caller, so that later work has their rights of that moment. It holds no credential."""

    identity: str
    """As `Caller.identity`."""
    clients: frozenset[str] = frozenset()
    """Names in the client certificate."""
    certificate: bytes | None = None
    """The client certificate (DER), which may be revoked meanwhile."""
    workloads: tuple[str, ...] = ()
    """Workloads of a person, by the newest token of theirs."""
    person: str = ""
    until: float | None = None
    """When that token ends, in seconds since 1970. None: no person."""

    @classmethod
    def of(cls, request: Request, caller: Caller) -> StoredIdentity:
        """The identity of a request that the gateway has identified."""
        return cls(
            caller.identity,
            getattr(request.state, "client_names", frozenset()),
            getattr(request.state, "client_certificate", None),
            caller.workloads,
            caller.person,
            caller.until,
        )

    def dump(self) -> bytes:
        """As JSON, to be encrypted."""
        certificate = None if self.certificate is None else base64.b64encode(self.certificate).decode()
        fields = [self.identity, sorted(self.clients), certificate, self.workloads, self.person, self.until]
        return json.dumps(fields).encode()

    @classmethod
    def load(cls, text: bytes) -> StoredIdentity:
        """The identity of `dump`."""
        identity, clients, certificate, workloads, person, until = json.loads(text)
        der = None if certificate is None else base64.b64decode(certificate)
        return cls(identity, frozenset(clients), der, tuple(workloads), person, until)
