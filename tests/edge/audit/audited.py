"""A running gateway that keeps records, and how to look at them while it runs."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from edge.audit.chain_files import files
from tests.edge.audit.harness import Place
from tests.edge.conftest import KEYS, WORKLOAD, bearer, chat
from tests.edge.processes import Edge

CHAT = "/v1/chat/completions"
SITE_KEY, WRAPPING_KEY = "ab" * 32, "cd" * 32
SECRET = "IBAN DE02 1203"
"""What `chat()` asks."""


@dataclass
class Audited:
    """A gateway with an audit record, and a sealer that is called by hand."""

    gateway: Edge
    place: Place
    client: httpx.Client
    seen_at: Path
    """The records, as this process sees them."""

    def ask(self, key: str | None = KEYS[WORKLOAD], **fields: Any) -> httpx.Response:
        return self.client.post(CHAT, json=chat(**fields), headers=bearer(key))

    def records(self) -> list[dict[str, Any]]:
        found = []
        for folder in sorted(self.seen_at.iterdir(), key=lambda path: path.stat().st_mtime):
            for _, path in files(folder):
                found += [json.loads(line) for line in path.read_bytes().splitlines() if line.endswith(b"}")]
        return found

    def of(self, name: str) -> list[dict[str, Any]]:
        return [record for record in self.records() if record.get("id") == name]

    def last(self, kind: str) -> dict[str, Any]:
        return [record for record in self.records() if record["kind"] == kind][-1]

    def seal(self) -> None:
        sealer = self.place.sealer(records=self.seen_at)
        sealer.seal(even_if_nothing=True)

    def wait_until(self, healthy: str = "ok") -> None:
        end = time.monotonic() + 10
        while (said := self.gateway.health().text) != f"{healthy}\n":
            assert time.monotonic() < end, said
            time.sleep(0.05)
