"""A month of two million requests: loading it from sealed records, and reading it within two seconds."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from edge.audit.chain_files import new_name
from edge.audit.records import Chain, digest
from edge.audit.seal_format import Signer, first_link, name
from edge.audit.stores import FolderStore
from edge.usage.ledger import Place
from edge.usage.loading import Source, load_new
from isthmus.usage.days import usage_days
from isthmus.usage.periods import Period, Read, report
from tests.edge.audit.harness import intent, new_key, outcome
from tests.edge.processes import ROOT
from tests.edge.usage.conftest import LedgerDatabase

pytestmark = [pytest.mark.service, pytest.mark.soak, pytest.mark.timeout(3 * 3600)]

REQUESTS, SEALS = 2_000_000, 1_000
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
LOAD_S, READ_S = 600.0, 2.0
"""Most seconds of the loader's own CPU for loading the month, and of time for reading its sums. On two free cores
PostgreSQL writes on the other one meanwhile, so that the month is loaded within this time."""


def month(store: FolderStore, signer: Signer, requests: int, seals: int) -> None:
    """Seals of a month: 40 workloads in 10 teams, half of them with 500 people. One request in 200 has no outcome."""
    chance, writer = random.Random(1), new_name("gw-0")
    chain, link = Chain(writer), first_link("internal", "fra1")
    place = {"class": "internal", "site": "fra1"}
    step = timedelta(days=30) / requests
    for number in range(1, seals + 1):
        lines = (
            [chain.write("open", BEGIN.isoformat(), {**place, "gateway": "g", "policy": "p"})]
            if number == 1
            else []
        )
        first = (number - 1) * requests // seals
        for at in range(first, number * requests // seals):
            stamp = (BEGIN + at * step).isoformat(timespec="milliseconds")
            person = chance.randrange(500)
            workload = (person * 7 + at % 2) % 40
            identity = f"person:{person}" if workload % 2 else f"key:{workload}"
            who = {"workload": f"workload-{workload}", "team": f"team-{workload % 10}", "identity": identity}
            names = {**place, "who": who, "model": f"workload-{workload}"}
            lines.append(chain.write("intent", stamp, {**intent(f"r{at}"), **names}))
            if at % 200:
                ran = {
                    "target": "onprem-vllm",
                    "server": f"internal-{workload % 3}.svc",
                    "url": "",
                    "model": "m",
                }
                used = {"usd": 0.001, "gpu_seconds": 0.7, "ran": ran}
                tokens = {"prompt": 800, "cached": 200, "completion": 90}
                lines.append(
                    chain.write("outcome", stamp, {**outcome(f"r{at}"), **names, **used, "tokens": tokens})
                )
        payload = b"".join(line + b"\n" for line in lines)
        last = number == seals
        entry = {"seq": chain.seq, "head": chain.head, "new": len(lines), "content": [0, 0]}
        body = {
            **place,
            "v": 1,
            "seal": number,
            "prev": link,
            "key": signer.id,
            "time": (BEGIN + number * requests // seals * step).isoformat(timespec="milliseconds"),
            "every_s": 30,
            "idle_s": 3600,
            "content": [],
            "content_days": 30,
            "writers": {writer: {**entry, "state": "crashed" if last else "open"}},
            "payload": {"bytes": len(payload), "lines": len(lines), "sha256": digest(payload)},
        }
        head = signer.head(body)
        store.put(name(number), head + b"\n" + payload, 30)
        link = digest(head)


def run_command(ledger: LedgerDatabase, folder: Path) -> tuple[float, str]:
    """Seconds of `isthmus usage STACK` as a process of its own, and what it prints."""
    with (folder / "ledger.yaml").open("w") as stream:
        YAML().dump(ledger.settings("usage_readers"), stream)
    command = [
        sys.executable,
        "-m",
        "isthmus",
        "usage",
        "bank-dev",
        "--from",
        "2026-11-01",
        "--to",
        "2026-11-30",
    ]
    began = time.monotonic()
    ended = subprocess.run(
        [*command, "--ledger", str(folder / "ledger.yaml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return time.monotonic() - began, ended.stdout


def test_a_month_of_two_million_requests_is_loaded_exactly_and_read_within_two_seconds(
    ledger: LedgerDatabase, tmp_path: Path
):
    private, _ = new_key()
    signer, store = Signer(private), FolderStore(tmp_path / "store")
    month(store, signer, REQUESTS, SEALS)
    source = Source(Place("internal", "fra1"), store, signer.public, lambda _: True)
    began, cpu_began = time.monotonic(), time.process_time()
    assert ledger.with_ledger(lambda each: load_new(each, source)) == SEALS
    loading_s, loading_cpu_s = time.monotonic() - began, time.process_time() - cpu_began
    began = time.monotonic()
    days = ledger.with_ledger(lambda each: each.days(BEGIN.date(), by_person=False))
    reading_s = time.monotonic() - began
    period = Period(BEGIN.date(), date(2026, 11, 30))
    usage = report("dev", Read(usage_days(days, []), [], []), period, ["team", "workload"], date(2026, 12, 1))
    reporting_s = time.monotonic() - began
    loaded = f"loaded in {loading_s:.0f} s (CPU of the loader: {loading_cpu_s:.0f} s)"
    figures = f"{loaded}, {len(days):,} sums read in {reading_s:.2f} s"
    command_s, printed = run_command(ledger, tmp_path)
    print(
        f"{REQUESTS:,} requests {figures}, reported in {reporting_s:.2f} s, by the command in {command_s:.2f} s"
    )
    assert usage.totals.requests == REQUESTS
    assert usage.totals.unfinished == REQUESTS // 200
    assert usage.totals.prompt_tokens == 800 * (REQUESTS - REQUESTS // 200)
    assert f"{REQUESTS:,} requests" in printed
    assert loading_cpu_s < LOAD_S
    assert reporting_s < READ_S
