"""A real gateway and the real loader, killed again and again: the ledger equals the sealed records."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from edge.audit.seal_format import Signer
from edge.audit.verify import read_sealed
from edge.usage.ledger import Place
from edge.usage.loading import Source, read_all
from tests.edge.audit.audited import CHAT, settings
from tests.edge.audit.harness import AuditSite
from tests.edge.conftest import KEYS, WORKLOAD, Site, bearer, chat, gateway_config
from tests.edge.processes import ROOT, Edge
from tests.edge.usage.conftest import LedgerDatabase

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]


@dataclass
class Running:
    """A class with a gateway and a loader that are killed, and a sealer that is not."""

    site: Site
    audit_site: AuditSite
    ledger: LedgerDatabase
    answered: set[str] = field(default_factory=set)
    """Requests whose whole answer arrived."""
    ending: threading.Event = field(default_factory=threading.Event)
    processes: list[Any] = field(default_factory=list)

    def seal(self) -> None:
        sealer = self.audit_site.sealer()
        while not self.ending.wait(0.2):
            sealer.seal(allow_empty=True)

    @contextlib.contextmanager
    def sealing(self) -> Iterator[None]:
        thread = threading.Thread(target=self.seal)
        thread.start()
        try:
            yield
        finally:
            self.ending.set()
            thread.join(10)

    @contextlib.contextmanager
    def ending_all(self) -> Iterator[None]:
        try:
            yield
        finally:
            for process in self.processes:
                if process.poll() is None:
                    process.kill()
                    process.wait(10)

    def start_gateway(self, number: int) -> Edge:
        config = gateway_config(self.site.folder, self.site.sidecar.port)
        for route in config["routes"]:
            route.update(target="onprem-vllm", gpus=1, usd_per_gpu_hour=3.6)
        config["audit"] = settings(self.audit_site.root, self.audit_site)
        gateway = Edge(self.audit_site.root / f"gateway-{number}", config)
        self.processes.append(gateway.process)
        gateway.wait_until_up().wait_until_well()
        return gateway

    def ask(self, gateway: Edge, times: int) -> None:
        """Send requests side by side until they are answered or the gateway is gone."""
        verify = self.site.authority.client("app")
        with (
            httpx.Client(base_url=gateway.url, verify=verify, trust_env=False, timeout=20) as client,
            ThreadPoolExecutor(6) as pool,
        ):

            def ask_once(number: int) -> None:
                key = KEYS[WORKLOAD] if number % 7 else "wrong"
                with contextlib.suppress(httpx.HTTPError):
                    answer = client.post(CHAT, json=chat(stream=number % 2 == 0), headers=bearer(key))
                    if answer.status_code == 200 and (number % 2 or "[DONE]" in answer.text):
                        self.answered.add(answer.headers["x-request-id"])

            list(pool.map(ask_once, range(times)))

    def start_loader(self, *more: str) -> subprocess.Popen[bytes]:
        """`isthmus usage load` as a process of its own."""
        root = self.audit_site.root
        with (root / "ledger.yaml").open("w") as stream:
            YAML().dump(self.ledger.settings(), stream)
        (root / "sealer.pub").write_bytes(self.audit_site.public)
        record = {"store": str(root / "store"), "public_key": str(root / "sealer.pub")}
        gateway = {"class": "restricted", "site": "fra1", "url": "https://g", "workload": "w", "key": "k"}
        (root / "gateways.yaml").write_text(json.dumps({"gateways": [{**gateway, "record": record}]}))
        command = [sys.executable, "-m", "isthmus", "usage", "load", "bank-dev"]
        files = ["--ledger", str(root / "ledger.yaml"), "--gateways", str(root / "gateways.yaml")]
        process = subprocess.Popen([*command, *files, *more], cwd=ROOT, stdout=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def loaded_seal(self) -> int:
        loaded = self.ledger.with_ledger(lambda ledger: ledger.loaded())
        return loaded[0].seal if loaded else 0

    def wait_for_seal_after(self, number: int) -> None:
        end = time.monotonic() + 60
        while self.loaded_seal() <= number:
            assert time.monotonic() < end, "the loader loads nothing"
            time.sleep(0.05)


def run(running: Running, kills: int, requests: int) -> None:
    """Kill the gateway and the loader `kills` times each, and let both end in order."""
    chance = random.Random(28)
    for number in range(kills):
        before = running.loaded_seal()
        loader = running.start_loader("--every", "0.1")
        gateway = running.start_gateway(number)
        asking = threading.Thread(target=running.ask, args=(gateway, requests))
        asking.start()
        running.wait_for_seal_after(before)
        time.sleep(chance.uniform(0, 0.6))
        for process in chance.sample([gateway.process, loader], 2):
            process.kill()
            process.wait(10)
        asking.join(60)
    gateway = running.start_gateway(kills)
    running.ask(gateway, requests)
    gateway.stop()


def equal(running: Running) -> tuple[Counter[str], int]:
    """Assert that ledger and sealed records agree. Returns the rows by outcome, and the number of requests."""
    source = Source(
        Place("restricted", "fra1"),
        running.audit_site.store,
        Signer(running.audit_site.private).public,
        lambda _: False,
    )
    assert running.ledger.with_ledger(lambda ledger: ledger.days()) == read_all(source).days()
    rows = running.ledger.postgres.ask("SELECT id, outcome FROM isthmus.usage_requests", running.ledger.name)
    by_kind: dict[str, dict[str, Any]] = {"intent": {}, "outcome": {}}
    for _, records in read_sealed(source.store, source.keys):
        for record in records:
            if record["kind"] in by_kind:
                by_kind[record["kind"]][record["id"]] = record
    intents, outcomes = by_kind["intent"], by_kind["outcome"]
    assert {row["id"] for row in rows} == {*intents, *outcomes}
    assert {row["id"] for row in rows if row["outcome"] == "unfinished"} == set(intents) - set(outcomes)
    answered = {row["id"] for row in rows if row["outcome"] == "answered"}
    assert answered == {key for key, record in outcomes.items() if record["ended_well"]}
    assert running.answered <= answered, "a caller has an answer that is not counted"
    return Counter(row["outcome"] for row in rows), len(rows)


@pytest.mark.parametrize(
    ("kills", "requests"), [(3, 60), pytest.param(20, 200, marks=pytest.mark.soak)], ids=["3", "20"]
)
def test_the_ledger_equals_the_sealed_records_through_kills_of_gateway_and_loader(
    site: Site, tmp_path: Path, ledger: LedgerDatabase, kills: int, requests: int
):
    site.model.reset("slow")
    running = Running(site, AuditSite.at(tmp_path / "site"), ledger)
    with running.ending_all():
        with running.sealing():
            run(running, kills, requests)
            time.sleep(1)
        running.audit_site.sealer().seal(allow_empty=True)
        assert running.start_loader().wait(120) == 0
    outcomes, count = equal(running)
    print(f"{kills} kills: {count} requests, {dict(outcomes)}")
    assert outcomes["answered"] >= requests // 2
    assert outcomes["refused"] > 0
    assert outcomes["open"] == 0
    assert count == sum(outcomes.values())
