"""Histories of requests as audit records in seals, and the sums that they must have, computed another way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from edge.audit.seal_format import Seal
from edge.usage.ledger import MemoryLedger
from edge.usage.rows import Sums

BEGIN = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
"""A minute before the turn of a month."""
PLACE = {"class": "confidential", "site": "fra1", "gateway": "gw-0"}
SERVERS = ("confidential-llama.isthmus-confidential.svc", "confidential-qwen.isthmus-confidential.svc")


def place(server: str) -> dict[str, Any]:
    return {
        "target": "onprem-vllm",
        "server": server,
        "url": f"https://{server}",
        "model": "m",
        "digest": None,
    }


def intent(name: str, at: datetime, *, attempt: int = 1, writer: str = "w1", **more: Any) -> dict[str, Any]:
    record = {"attempt": attempt, "to": place(SERVERS[attempt % 2]), "prompt": "", "stream": False}
    return {**_common(name, at, writer, 2 * attempt), "kind": "intent", **record, **more}


def outcome(name: str, at: datetime, *, writer: str = "w1", **more: Any) -> dict[str, Any]:
    record: dict[str, Any] = {
        "attempts": 1,
        "ran": place(SERVERS[1]),
        "status": 200,
        "code": "ok",
        "ended_well": True,
        "tokens": {"prompt": 100, "cached": 64, "completion": 10},
        "gpu_seconds": 0.5,
        "price": {"usd_per_gpu_hour": 3.6},
        "usd": 0.0005,
    }
    return {**_common(name, at, writer, 99), "kind": "outcome", **record, **more}


def _common(name: str, at: datetime, writer: str, seq: int) -> dict[str, Any]:
    who = {"workload": "claims", "team": "motor", "identity": "key:k1"}
    time = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"id": name, "who": who, "model": "claims", "time": time, "writer": writer, "seq": seq, **PLACE}


def seal(
    number: int, at: datetime = BEGIN, *, ended: Sequence[str] = (), writers: Sequence[str] = ("w1",)
) -> Seal:
    """A seal. It is not signed: rows are made of seals that were verified before."""
    entries = {name: {"state": "crashed" if name in ended else "open"} for name in writers}
    body = {
        "seal": number,
        "time": at.isoformat(),
        "writers": entries,
        "class": "confidential",
        "site": "fra1",
    }
    return Seal(body, str(number).encode(), b"")


@dataclass(frozen=True)
class History:
    """Records in seals, in order. All gateways have ended in the last seal."""

    seals: list[tuple[Seal, list[dict[str, Any]]]]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [record for _, records in self.seals for record in records]


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Requests with up to three tries, with or without an outcome, spread over seals."""
    records: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 12))):
        name, at = f"r{number}", BEGIN + timedelta(seconds=draw(st.integers(0, 300)))
        writer = draw(st.sampled_from(["w1", "w2"]))
        team, identity = draw(
            st.sampled_from([("motor", "key:k1"), ("motor", "person:ab"), ("life", "person:cd")])
        )
        who: dict[str, Any] = {"workload": "claims", "team": team, "identity": identity}
        who |= draw(st.sampled_from([{}, {"purpose": "evaluation"}]))
        more: dict[str, Any] = {"writer": writer, "who": who}
        tries = draw(st.integers(0, 3))
        for attempt in range(1, tries + 1):
            records.append(intent(name, at + timedelta(seconds=attempt), attempt=attempt, **more))
        if tries == 0 or draw(st.booleans()):
            end = at + timedelta(seconds=tries + draw(st.integers(1, 60)))
            records.append(outcome(name, end, **draw(_results(tries)), **more))
    order = draw(st.permutations(records))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=4)))
    pieces = [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    both = ("w1", "w2")
    seals = [(seal(number, writers=both), piece) for number, piece in enumerate(pieces, 1)]
    return History([*seals, (seal(len(seals) + 1, ended=both, writers=both), [])])


@st.composite
def _results(draw: st.DrawFn, tries: int) -> dict[str, Any]:
    status = draw(st.sampled_from([200, 403, 502]))
    counts = st.none() | st.integers(0, 5000)
    return {
        "ran": place(draw(st.sampled_from(SERVERS))) if tries else None,
        "status": status,
        "ended_well": status == 200,
        "tokens": {key: draw(counts) for key in ("prompt", "cached", "completion")},
        "gpu_seconds": draw(st.none() | st.floats(0, 1e4)),
        "usd": draw(st.none() | st.floats(0, 1e3)),
    }


def load(history: History) -> MemoryLedger:
    ledger = MemoryLedger(lambda _: True)
    for each, records in history.seals:
        ledger.take(each, records)
    return ledger


def expected(records: Sequence[Mapping[str, Any]]) -> Sums:
    """Totals of all requests, from their records at once."""
    by_request: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        by_request[record["id"]].append(record)
    outcomes = [next((r for r in rs if r["kind"] == "outcome"), None) for rs in by_request.values()]
    ended = [record for record in outcomes if record is not None]
    prompts = [record["tokens"]["prompt"] or 0 for record in ended]
    cached = [record["tokens"]["cached"] or 0 for record in ended]
    return Sums(
        requests=len(outcomes),
        failed=sum(not record["ended_well"] for record in ended),
        unfinished=outcomes.count(None),
        prompt_tokens=sum(prompts),
        cached_tokens=sum(map(min, prompts, cached)),
        completion_tokens=sum(record["tokens"]["completion"] or 0 for record in ended),
        unpriced=sum(record["ended_well"] and record["usd"] is None for record in ended),
    )
