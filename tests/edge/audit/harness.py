"""Writers, a sealer and a store in a folder, and verification of what is in it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.audit.chain_files import Writer, new_name, now
from edge.audit.seal_format import Signer
from edge.audit.sealer import Sealer, SealerSettings
from edge.audit.stores import FolderStore, Store
from edge.audit.verify import Proof, verify

OPENING = {"class": "restricted", "site": "fra1", "gateway": "gw-0", "policy": "p1"}


def new_key() -> tuple[bytes, bytes]:
    """A signing key and its public key, PEM."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


def intent(name: str, **more: Any) -> dict[str, Any]:
    where = {
        "target": "onprem-vllm",
        "server": "m.svc",
        "url": "https://m.svc:8443",
        "model": "m",
        "digest": None,
    }
    return {**common(name), "attempt": 1, "to": where, "prompt": "0" * 64, "stream": False, **more}


def outcome(name: str, **more: Any) -> dict[str, Any]:
    fields = {
        "attempts": 1,
        "ran": intent(name)["to"],
        "status": 200,
        "code": "ok",
        "ended_well": True,
        "ms": 3,
        "usd": None,
        "verdicts": [],
    }
    return {**common(name), **fields, "tokens": {"prompt": 7, "completion": 5}, "content": None, **more}


def common(name: str) -> dict[str, Any]:
    caller = {"workload": "claims", "team": "", "identity": "k1"}
    return {"id": name, "who": caller, "model": "claims", "path": "/v1/chat/completions", **OPENING}


@dataclass
class AuditSite:
    """One class at one site in a folder."""

    root: Path
    private: bytes
    public: bytes

    @classmethod
    def at(cls, root: Path) -> AuditSite:
        audit_site = cls(root, *new_key())
        audit_site.records.mkdir(parents=True)
        audit_site.seals.mkdir()
        return audit_site

    @property
    def records(self) -> Path:
        return self.root / "records"

    @property
    def seals(self) -> Path:
        return self.root / "seals"

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.root / "store")

    def writer(self, name: str = "gw-0", rotate_bytes: int = 1 << 26) -> Writer:
        return Writer(self.records, new_name(name), OPENING, rotate_bytes)

    def sealer(self, store: Store | None = None, records: Path | None = None, **more: Any) -> Sealer:
        clock = more.pop("clock", now)
        settings = SealerSettings(
            **{
                "records": records or self.records,
                "seals": self.seals,
                "data_class": "restricted",
                "site": "fra1",
                "every_s": 30,
                "idle_s": 3600,
                "keep_days": 30,
                "content_days": 30,
                **more,
            },
        )
        sealer = Sealer(store or self.store, Signer(self.private), settings, clock)
        sealer.restore()
        return sealer

    def verify(self, store: Store | None = None, **more: Any) -> Proof:
        keys = Signer(self.private).public
        return verify(store or self.store, keys, **{"now": datetime.datetime.now(datetime.UTC), **more})


def write(writer: Writer, *records: tuple[str, dict[str, Any]]) -> None:
    """Write records in one commit."""
    writer.commit([writer.chain.write(kind, now(), fields) for kind, fields in records])


def exchange(writer: Writer, name: str) -> None:
    """Write the records of a request that was forwarded and answered."""
    write(writer, ("intent", intent(name)))
    write(writer, ("outcome", outcome(name)))


def close(writer: Writer) -> None:
    """End the chain in order."""
    write(writer, ("close", {}))
    writer.give_up()
