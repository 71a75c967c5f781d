"""Proof, from the store alone, that nothing before the last seal was changed, dropped, reordered or inserted.

Every seal is read, in order: its signature, its link to the one before, its records as the next ones of each writer's
chain. What contradicts is a finding; what a crash leaves (an intent without its outcome, half a line) is listed and is
none. What no seal holds yet is read from the gateways' volume where it is at hand.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.audit import seal_format
from edge.audit.chain_files import Tail, writers
from edge.audit.records import Broken, Chain, digest, misshapen, parse
from edge.audit.seal_format import ENDED, LATEST, Seal, SealBroken
from edge.audit.stores import Store

_NAME = re.compile(r"(seals/\d{12}\.seal|content/[a-z0-9.-]+/\d{6}-\d{12}-\d{12}\.jsonl)")
SLACK_S = 120
"""A seal may come so much later than the sealer promised before it is called late."""


@dataclass
class Proof:
    """What was found."""

    seals: int = 0
    first: int = 0
    """Number of the first seal that was read."""
    records: int = 0
    last: Seal | None = None
    findings: list[str] = field(default_factory=list)
    """What contradicts: empty, and everything before the last seal is as it was written."""
    unfinished: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Intents without an outcome, by request: writer, number and time."""
    gaps: list[tuple[str, str]] = field(default_factory=list)
    """Times between which nothing was sealed for longer than was promised."""
    writers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """How far each writer's chain goes, and what became of it."""
    tail: dict[str, int] | None = None
    """Records that no seal holds, by writer; None: not looked at."""
    contents: int = 0
    contents_gone: int = 0
    """Encrypted contents that are there, and that were deleted after their time."""

    @property
    def proven(self) -> bool:
        return not self.findings


@dataclass
class _Looking:
    """What is carried from one seal to the next."""

    chains: dict[str, Chain] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    owed: dict[str, str] = field(default_factory=dict)
    """Digests of encrypted lines that the chains speak of, by request, until the line was seen."""
    seen: dict[str, str] = field(default_factory=dict)
    """Encrypted lines that came before their record."""
    ended: set[str] = field(default_factory=set)
    """Writers that were sealed to their end: they come back in no later seal."""


def verify(
    store: Store,
    keys: dict[str, Any],
    *,
    now: datetime.datetime,
    since: int = 1,
    anchor: tuple[int, str] | None = None,
    records: Path | None = None,
    seals: Path | None = None,
    on_record: Callable[[dict[str, Any], Seal | None], None] | None = None,
) -> Proof:
    """Read the whole store, from the seal `since`. `anchor` is a seal known from an earlier look: it must be there."""
    proof, looking = Proof(first=since), _Looking()
    # Of years of seals only the later ones are listed, where it begins later.
    names = store.names("seals/", seal_format.name(since - 1)) if since > 1 else store.names("")
    for name in names:
        if not _NAME.fullmatch(name):
            proof.findings.append(f"{name}: nothing that the sealer writes has this name")
    for seal in _seals(store, keys, proof, [n for n in names if n.startswith(f"{seal_format.FOLDER}/")]):
        _take(seal, proof, looking, on_record)
        _contents(seal, store, proof, looking, now)
        if anchor is not None and seal.number == anchor[0] and seal.hash != anchor[1]:
            proof.findings.append(f"seal {seal.number} is not the one that was there before")
    proof.findings += store.oddities()
    _ends(proof, looking, anchor, now)
    if records is not None:
        _tail(records, proof, looking, on_record)
    if seals is not None:
        _against_the_volume(seals, keys, proof)
    return proof


def _seals(store: Store, keys: dict[str, Any], proof: Proof, names: list[str]) -> Iterator[Seal]:
    expected, prev, where = proof.first, None, None
    for name in names:
        number = int(name.removeprefix("seals/").removesuffix(".seal")) if _NAME.fullmatch(name) else 0
        if number < proof.first:
            continue
        if number != expected:
            proof.findings.append(f"{_range(expected, number - 1)} missing from the store")
            prev = None
        expected = number + 1
        try:
            seal = seal_format.read(store.get(name) or b"", keys)
        except SealBroken as error:
            proof.findings.append(f"{name}: {error}")
            prev = None
            continue
        place = (seal.body["class"], seal.body["site"])
        if number == 1:
            prev = seal_format.first_link(*place)
        if seal.number != number:
            proof.findings.append(f"{name}: it was sealed as number {seal.number}")
        elif where not in (None, place):
            proof.findings.append(f"{name}: it is of class {place[0]} at {place[1]}")
        elif prev is not None and seal.body["prev"] != prev:
            proof.findings.append(f"{name}: it names another seal before it")
        prev, where = seal.hash, place
        yield seal


def _range(first: int, last: int) -> str:
    return f"seal {first} is" if first == last else f"seals {first} to {last} are"


def _take(
    seal: Seal,
    proof: Proof,
    looking: _Looking,
    on_record: Callable[[dict[str, Any], Seal | None], None] | None,
) -> None:
    """One seal's records onto the chains."""
    where = seal_format.name(seal.number)
    if proof.last is not None:
        _in_time(proof.last, seal, proof)
    first = proof.last is None
    lines = iter(seal.payload.split(b"\n")[:-1])
    intents, outcomes = {}, []
    for writer, said in sorted(seal.writers.items()):
        # One begun before the first seal that is looked at is taken up where it then stands.
        chain = None if first and seal.number > 1 else looking.chains.get(writer) or Chain(writer)
        if writer in looking.ended:
            proof.findings.append(f"{where}: writer {writer} had ended, and is there again")
        for _ in range(said["new"]):
            line = next(lines, b"")
            try:
                if chain is None:
                    record = parse(line)
                    chain = Chain(writer, record["seq"] - 1, record["prev"])
                record = chain.follow(line)
            except (Broken, KeyError, TypeError) as error:
                proof.findings.append(
                    f"{where}: writer {writer} after record {chain.seq if chain else '?'}: {error}"
                )
                chain = None
                break
            proof.records += 1
            if (wrong := misshapen(record)) is not None:
                proof.findings.append(f"{where}: record {record['seq']} of {writer} is no gateway's: {wrong}")
                continue
            if record["kind"] == "intent":
                intents.setdefault(record["id"], record)
            elif record["kind"] == "outcome":
                outcomes.append(record)
            if on_record is not None:
                on_record(record, seal)
        if chain is None or (chain.seq, chain.head) != (said["seq"], said["head"]):
            if chain is not None:
                proof.findings.append(
                    f"{where}: writer {writer} ends at record {chain.seq}, and was sealed at {said['seq']}"
                )
            chain = Chain(writer, said["seq"], said["head"])
        looking.chains[writer], looking.states[writer] = chain, said["state"]
        proof.writers[writer] = said
        before = proof.last.writers.get(writer, {}).get("state") if proof.last else None
        if (
            said["state"] in ("lost", "broken") and before != said["state"]
        ):  # once, and not with each seal after
            proof.findings.append(f"{where}: writer {writer} is {said['state']}: {said.get('note', '')}")
    if next(lines, None) is not None:
        proof.findings.append(f"{where}: it holds more records than it names")
    if proof.last is not None:
        for writer in sorted(set(proof.last.writers) - set(seal.writers)):
            if looking.states[writer] not in ENDED:
                proof.findings.append(f"{where}: writer {writer} is missing, and it had not ended")
            looking.ended.add(writer)
            looking.chains.pop(writer, None)
    _pair(intents, outcomes, seal, proof, looking)
    proof.seals, proof.last = proof.seals + 1, seal


def _pair(
    intents: dict[str, dict[str, Any]],
    outcomes: list[dict[str, Any]],
    seal: Seal,
    proof: Proof,
    looking: _Looking,
) -> None:
    for name, record in intents.items():
        proof.unfinished.setdefault(name, {key: record[key] for key in ("writer", "seq", "time", "who")})
    for record in outcomes:
        known = proof.unfinished.pop(record["id"], None)
        if known is None and record["attempts"] and proof.first == 1:
            proof.findings.append(
                f"{seal_format.name(seal.number)}: record {record['seq']} of {record['writer']} is the outcome of a "
                "request that has no intent, or another outcome"
            )
        if record["content"]:
            _owe(record["id"], record["content"].get("sha256", ""), looking.owed, looking.seen)


def _owe(name: str, sha256: str, mine: dict[str, str], others: dict[str, str]) -> None:
    if others.get(name) == sha256:
        del others[name]
    else:
        mine[name] = sha256


def _contents(seal: Seal, store: Store, proof: Proof, looking: _Looking, now: datetime.datetime) -> None:
    for said in seal.body["content"]:
        data = store.get(said["name"])
        if data is None:
            proof.contents_gone += 1
            if now < _time(seal) + datetime.timedelta(days=seal.body["content_days"]):
                proof.findings.append(f"{said['name']}: it is gone before its time")
            continue
        if digest(data) != said["sha256"]:
            proof.findings.append(f"{said['name']}: it is not what was sealed")
            continue
        for line in data.split(b"\n")[:-1]:
            proof.contents += 1
            try:
                name = parse(line)["id"]
            except (Broken, KeyError):
                proof.findings.append(f"{said['name']}: a line is none that a gateway writes")
                continue
            _owe(name, digest(line), looking.seen, looking.owed)


def _in_time(last: Seal, seal: Seal, proof: Proof) -> None:
    passed = (_time(seal) - _time(last)).total_seconds()
    if passed < 0:
        proof.findings.append(f"{seal_format.name(seal.number)}: it is older than the seal before it")
    elif passed > last.body["idle_s"] + SLACK_S:
        proof.gaps.append((last.body["time"], seal.body["time"]))


def _time(seal: Seal) -> datetime.datetime:
    return datetime.datetime.fromisoformat(seal.body["time"])


def _ends(proof: Proof, looking: _Looking, anchor: tuple[int, str] | None, now: datetime.datetime) -> None:
    last = proof.last
    if last is None:
        proof.findings.append("the store holds no seal")
        return
    if anchor is not None and last.number < anchor[0]:
        proof.findings.append(f"the store ends at seal {last.number}, and {anchor[0]} was there before")
    silent = (now - _time(last)).total_seconds()
    if silent > last.body["idle_s"] + SLACK_S:
        proof.findings.append(
            f"the last seal is of {last.body['time']}, and the sealer promised one every {last.body['idle_s']} s: it "
            "is down, or later seals are gone (of a copy say `--as-of`)"
        )
    # An encrypted line is shipped before or with the record that speaks of it.
    for name, sha256 in sorted(looking.owed.items()):
        if proof.contents_gone == 0:
            proof.findings.append(f"request {name}: its content {sha256[:12]} is not in the store")


def _tail(
    root: Path,
    proof: Proof,
    looking: _Looking,
    on_record: Callable[[dict[str, Any], Seal | None], None] | None,
) -> None:
    """What no seal holds, from the gateways' volume."""
    proof.tail = {}
    for writer in writers(root):
        folder = root / writer
        if writer in looking.ended:
            continue
        known = looking.chains.get(writer, Chain(writer))
        tail = Tail(folder, Chain(writer, known.seq, known.head, known.ended))
        try:
            while lines := tail.read(1 << 26):
                for line in lines:
                    record = parse(line)
                    proof.tail[writer] = proof.tail.get(writer, 0) + 1
                    if (wrong := misshapen(record)) is not None:
                        said = f"record {record['seq']} of {writer} is no gateway's: {wrong}"
                        proof.findings.append(f"volume: {said}")
                        continue
                    if record["kind"] == "intent":
                        proof.unfinished.setdefault(
                            record["id"], {key: record[key] for key in ("writer", "seq", "time", "who")}
                        )
                    elif record["kind"] == "outcome":
                        proof.unfinished.pop(record["id"], None)
                    if on_record is not None:
                        on_record(record, None)
        except Broken as error:
            if looking.states.get(writer) not in ENDED:
                proof.findings.append(f"volume, writer {writer}: {error}")


def _against_the_volume(folder: Path, keys: dict[str, Any], proof: Proof) -> None:
    """The seal that the sealer left for the gateways is as new as the store's last one, or older."""
    try:
        body = seal_format.check_head((folder / LATEST).read_bytes().rstrip(b"\n"), keys)
    except FileNotFoundError:
        return
    except SealBroken as error:
        proof.findings.append(f"{folder / LATEST}: {error}")
        return
    if proof.last is None or body["seal"] > proof.last.number:
        last = proof.last.number if proof.last else 0
        proof.findings.append(f"the gateways have seen seal {body['seal']}, and the store ends at {last}")
