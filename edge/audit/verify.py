"""Proves from the store alone that no record before the last seal was changed, dropped, reordered or inserted.

Every seal is read in order: its signature, its link to the seal before, and its records as the continuation of each
writer's chain. A contradiction is a finding. What a crash leaves (an intent without outcome, half a line) is listed
but is no finding. Records that no seal holds yet are read from the gateways' volume, if it is given.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.audit import seal_format
from edge.audit.chain_files import Tail, list_writers
from edge.audit.records import Broken, Chain, digest, find_shape_error, parse
from edge.audit.seal_format import ENDED, LATEST, Seal, SealBroken
from edge.audit.stores import Store

_NAME = re.compile(r"(seals/\d{12}\.seal|content/[a-z0-9.-]+/\d{6}-\d{12}-\d{12}\.jsonl)")
SLACK_S = 120
"""Seconds by which a seal may exceed the sealer's interval before it counts as late."""


@dataclass
class Proof:
    """The result of a verification."""

    seals: int = 0
    first: int = 0
    """Number of the first seal that was read."""
    records: int = 0
    last: Seal | None = None
    findings: list[str] = field(default_factory=list)
    """Contradictions. If empty, every record before the last seal is as it was written."""
    unfinished: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Intents without an outcome, by request: writer, number and time."""
    gaps: list[tuple[str, str]] = field(default_factory=list)
    """Begin and end of times without a seal that exceed the sealer's interval."""
    writers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Last entry of each writer in the seals."""
    tail: dict[str, int] | None = None
    """Number of unsealed records by writer. None: the volume was not given."""
    contents: int = 0
    contents_gone: int = 0
    """Number of encrypted content lines that exist, and of content objects that were deleted after their retention."""

    @property
    def proven(self) -> bool:
        return not self.findings


@dataclass
class _Progress:
    """State that is carried from one seal to the next."""

    chains: dict[str, Chain] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    owed: dict[str, str] = field(default_factory=dict)
    """Digests of content lines that records refer to, by request, until the line is found."""
    seen: dict[str, str] = field(default_factory=dict)
    """Digests of content lines that came before their record, by request."""
    ended: set[str] = field(default_factory=set)
    """Writers that were sealed to their end. They must not appear in a later seal."""


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
    """Verify the store from seal `since` on. `anchor` is a seal from an earlier verification that must exist."""
    proof, progress = Proof(first=since), _Progress()
    # With `since`, only later seals are listed: listing the seals of years takes long.
    names = store.names("seals/", seal_format.name(since - 1)) if since > 1 else store.names("")
    for name in names:
        if not _NAME.fullmatch(name):
            proof.findings.append(f"{name}: nothing that the sealer writes has this name")
    for seal in _read_seals(store, keys, proof, [n for n in names if n.startswith(f"{seal_format.FOLDER}/")]):
        _verify_seal(seal, proof, progress, on_record)
        _verify_contents(seal, store, proof, progress, now)
        if anchor is not None and seal.number == anchor[0] and seal.hash != anchor[1]:
            proof.findings.append(f"seal {seal.number} is not the one that was there before")
    proof.findings += store.oddities()
    _check_end(proof, progress, anchor, now)
    if records is not None:
        _verify_tail(records, proof, progress, on_record)
    if seals is not None:
        _compare_with_volume(seals, keys, proof)
    return proof


def _read_seals(store: Store, keys: dict[str, Any], proof: Proof, names: list[str]) -> Iterator[Seal]:
    expected, prev, expected_place = proof.first, None, None
    for name in names:
        number = int(name.removeprefix("seals/").removesuffix(".seal")) if _NAME.fullmatch(name) else 0
        if number < proof.first:
            continue
        if number != expected:
            proof.findings.append(f"{_format_range(expected, number - 1)} missing from the store")
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
        elif expected_place not in (None, place):
            proof.findings.append(f"{name}: it is of class {place[0]} at {place[1]}")
        elif prev is not None and seal.body["prev"] != prev:
            proof.findings.append(f"{name}: it names another seal before it")
        prev, expected_place = seal.hash, place
        yield seal


def _format_range(first: int, last: int) -> str:
    return f"seal {first} is" if first == last else f"seals {first} to {last} are"


def _verify_seal(
    seal: Seal,
    proof: Proof,
    progress: _Progress,
    on_record: Callable[[dict[str, Any], Seal | None], None] | None,
) -> None:
    """Continue the chains with the records of one seal."""
    seal_name = seal_format.name(seal.number)
    if proof.last is not None:
        _check_interval(proof.last, seal, proof)
    is_first = proof.last is None
    lines = iter(seal.payload.split(b"\n")[:-1])
    intents, outcomes = {}, []
    for writer, entry in sorted(seal.writers.items()):
        # A chain that began before the first verified seal is continued from its first record there.
        chain = None if is_first and seal.number > 1 else progress.chains.get(writer) or Chain(writer)
        if writer in progress.ended:
            proof.findings.append(f"{seal_name}: writer {writer} had ended, and is there again")
        for _ in range(entry["new"]):
            line = next(lines, b"")
            try:
                if chain is None:
                    record = parse(line)
                    chain = Chain(writer, record["seq"] - 1, record["prev"])
                record = chain.follow(line)
            except (Broken, KeyError, TypeError) as error:
                proof.findings.append(
                    f"{seal_name}: writer {writer} after record {chain.seq if chain else '?'}: {error}"
                )
                chain = None
                break
            proof.records += 1
            if (shape_error := find_shape_error(record)) is not None:
                proof.findings.append(
                    f"{seal_name}: record {record['seq']} of {writer} is no gateway's: {shape_error}"
                )
                continue
            if record["kind"] == "intent":
                intents.setdefault(record["id"], record)
            elif record["kind"] == "outcome":
                outcomes.append(record)
            if on_record is not None:
                on_record(record, seal)
        if chain is None or (chain.seq, chain.head) != (entry["seq"], entry["head"]):
            if chain is not None:
                proof.findings.append(
                    f"{seal_name}: writer {writer} ends at record {chain.seq}, and was sealed at {entry['seq']}"
                )
            chain = Chain(writer, entry["seq"], entry["head"])
        progress.chains[writer], progress.states[writer] = chain, entry["state"]
        proof.writers[writer] = entry
        state_before = proof.last.writers.get(writer, {}).get("state") if proof.last else None
        if (
            entry["state"] in ("lost", "broken") and state_before != entry["state"]
        ):  # once, and not with each seal after
            proof.findings.append(
                f"{seal_name}: writer {writer} is {entry['state']}: {entry.get('note', '')}"
            )
    if next(lines, None) is not None:
        proof.findings.append(f"{seal_name}: it holds more records than it names")
    if proof.last is not None:
        for writer in sorted(set(proof.last.writers) - set(seal.writers)):
            if progress.states[writer] not in ENDED:
                proof.findings.append(f"{seal_name}: writer {writer} is missing, and it had not ended")
            progress.ended.add(writer)
            progress.chains.pop(writer, None)
    _pair_intents(intents, outcomes, seal, proof, progress)
    proof.seals, proof.last = proof.seals + 1, seal


def _pair_intents(
    intents: dict[str, dict[str, Any]],
    outcomes: list[dict[str, Any]],
    seal: Seal,
    proof: Proof,
    progress: _Progress,
) -> None:
    for request_id, record in intents.items():
        proof.unfinished.setdefault(
            request_id, {key: record[key] for key in ("writer", "seq", "time", "who")}
        )
    for record in outcomes:
        intent = proof.unfinished.pop(record["id"], None)
        if intent is None and record["attempts"] and proof.first == 1:
            proof.findings.append(
                f"{seal_format.name(seal.number)}: record {record['seq']} of {record['writer']} is the outcome of a "
                "request that has no intent, or another outcome"
            )
        if record["content"]:
            _match_content(record["id"], record["content"].get("sha256", ""), progress.owed, progress.seen)


def _match_content(
    request_id: str, sha256: str, unmatched: dict[str, str], counterparts: dict[str, str]
) -> None:
    if counterparts.get(request_id) == sha256:
        del counterparts[request_id]
    else:
        unmatched[request_id] = sha256


def _verify_contents(
    seal: Seal, store: Store, proof: Proof, progress: _Progress, now: datetime.datetime
) -> None:
    for content_object in seal.body["content"]:
        data = store.get(content_object["name"])
        if data is None:
            proof.contents_gone += 1
            if now < _time(seal) + datetime.timedelta(days=seal.body["content_days"]):
                proof.findings.append(f"{content_object['name']}: it is gone before its time")
            continue
        if digest(data) != content_object["sha256"]:
            proof.findings.append(f"{content_object['name']}: it is not what was sealed")
            continue
        for line in data.split(b"\n")[:-1]:
            proof.contents += 1
            try:
                request_id = parse(line)["id"]
            except (Broken, KeyError):
                proof.findings.append(f"{content_object['name']}: a line is none that a gateway writes")
                continue
            _match_content(request_id, digest(line), progress.seen, progress.owed)


def _check_interval(last: Seal, seal: Seal, proof: Proof) -> None:
    passed_s = (_time(seal) - _time(last)).total_seconds()
    if passed_s < 0:
        proof.findings.append(f"{seal_format.name(seal.number)}: it is older than the seal before it")
    elif passed_s > last.body["idle_s"] + SLACK_S:
        proof.gaps.append((last.body["time"], seal.body["time"]))


def _time(seal: Seal) -> datetime.datetime:
    return datetime.datetime.fromisoformat(seal.body["time"])


def _check_end(
    proof: Proof, progress: _Progress, anchor: tuple[int, str] | None, now: datetime.datetime
) -> None:
    last = proof.last
    if last is None:
        proof.findings.append("the store holds no seal")
        return
    if anchor is not None and last.number < anchor[0]:
        proof.findings.append(f"the store ends at seal {last.number}, and {anchor[0]} was there before")
    silent_s = (now - _time(last)).total_seconds()
    if silent_s > last.body["idle_s"] + SLACK_S:
        proof.findings.append(
            f"the last seal is of {last.body['time']}, and the sealer promised one every {last.body['idle_s']} s: it "
            "is down, or later seals are gone (of a copy say `--as-of`)"
        )
    # A content line is stored before or with the record that refers to it.
    for request_id, sha256 in sorted(progress.owed.items()):
        if proof.contents_gone == 0:
            proof.findings.append(f"request {request_id}: its content {sha256[:12]} is not in the store")


def _verify_tail(
    root: Path,
    proof: Proof,
    progress: _Progress,
    on_record: Callable[[dict[str, Any], Seal | None], None] | None,
) -> None:
    """Verify the unsealed records on the gateways' volume."""
    proof.tail = {}
    for writer in list_writers(root):
        folder = root / writer
        if writer in progress.ended:
            continue
        sealed_chain = progress.chains.get(writer, Chain(writer))
        tail = Tail(folder, Chain(writer, sealed_chain.seq, sealed_chain.head, sealed_chain.ended))
        try:
            while lines := tail.read(1 << 26):
                for line in lines:
                    record = parse(line)
                    proof.tail[writer] = proof.tail.get(writer, 0) + 1
                    if (shape_error := find_shape_error(record)) is not None:
                        finding = f"record {record['seq']} of {writer} is no gateway's: {shape_error}"
                        proof.findings.append(f"volume: {finding}")
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
            if progress.states.get(writer) not in ENDED:
                proof.findings.append(f"volume, writer {writer}: {error}")


def _compare_with_volume(folder: Path, keys: dict[str, Any], proof: Proof) -> None:
    """Add a finding if the gateways have a newer seal than the store."""
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
