"""A running gateway that keeps records, and functions that inspect them while it runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from edge.audit.chain_files import record_files
from tests.edge.audit.harness import AuditSite
from tests.edge.conftest import KEYS, WORKLOAD, bearer, chat
from tests.edge.processes import Edge

CHAT = "/v1/chat/completions"
SITE_KEY, WRAPPING_KEY = "ab" * 32, "cd" * 32
SECRET = "IBAN DE02 1203"
"""Text in the prompt of `chat()`."""


def settings(folder: Path, audit_site: AuditSite, **more: Any) -> dict[str, Any]:
    """Section `audit` of the configuration, with its keys in this folder."""
    (folder / "site.key").write_text(SITE_KEY)
    (folder / "seal.pem").write_bytes(audit_site.public)
    return {
        "records": str(audit_site.records),
        "seals": str(audit_site.seals),
        "seal_key": str(folder / "seal.pem"),
        "site_key": str(folder / "site.key"),
        "policy": "p7",
        "name": "gw-0",
        **more,
    }


def mounts() -> bool:
    """Whether this process may mount file systems in a namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode == 0


UNSHARE = ("unshare", "--map-root-user", "--user", "--mount")


def on_a_small_disk(audit_site: AuditSite, size: str = "256k") -> list[str]:
    """Command that starts a process with its records on a file system of this size."""
    return [
        *UNSHARE,
        "sh",
        "-c",
        f'mount -t tmpfs -o size={size} none {audit_site.records} && exec "$@"',
        "sh",
    ]


def seen_at(audit_site: AuditSite, gateway: Edge) -> Path:
    """Path of those records for this process."""
    return Path(f"/proc/{gateway.process.pid}/root{audit_site.records}")


def full(path: Path) -> None:
    """Fill the file system completely."""
    with path.open("wb", buffering=0) as stream:
        size = 65536
        while size:
            try:
                stream.write(b"x" * size)
            except OSError:
                size //= 2


@dataclass
class Audited:
    """A gateway with audit records, and a sealer that the test calls."""

    gateway: Edge
    audit_site: AuditSite
    client: httpx.Client
    seen_at: Path
    """Path of the records for this process."""

    def ask(self, key: str | None = KEYS[WORKLOAD], **fields: Any) -> httpx.Response:
        return self.client.post(CHAT, json=chat(**fields), headers=bearer(key))

    def records(self) -> list[dict[str, Any]]:
        records = []
        for folder in sorted(self.seen_at.iterdir(), key=lambda path: path.stat().st_mtime):
            for _, path in record_files(folder):
                records += [
                    json.loads(line) for line in path.read_bytes().splitlines() if line.endswith(b"}")
                ]
        return records

    def of(self, name: str) -> list[dict[str, Any]]:
        return [record for record in self.records() if record.get("id") == name]

    def last(self, kind: str) -> dict[str, Any]:
        return [record for record in self.records() if record["kind"] == kind][-1]

    def seal(self) -> None:
        sealer = self.audit_site.sealer(records=self.seen_at)
        sealer.seal(allow_empty=True)

    def seal_newcomer(self) -> None:
        """Seal until the new writer is sealed and the gateway serves."""
        self.wait_until("audit unregistered")
        self.seal()
        self.wait_until()

    def wait_until(self, healthy: str = "ok") -> None:
        end = time.monotonic() + 10
        while (state := self.gateway.health().text) != f"{healthy}\n":
            assert time.monotonic() < end, state
            time.sleep(0.05)
