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
    begun_before: set[str] = field(default_factory=set)
    """Requests with content whose intent is in no seal that was read."""
    prev_of_first: str | None = None
    """What the first seal that was read names as the seal before it."""
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
        _SealCheck(seal, proof, progress, on_record).run()
        _verify_contents(seal, store, proof, progress, now)
        if anchor is not None and seal.number == anchor[0] and seal.hash != anchor[1]:
            proof.findings.append(f"seal {seal.number} is not the one that was there before")
    proof.findings += store.oddities()
    _match_earlier_contents(store, keys, proof, progress)
    _check_end(proof, progress, anchor, now)
    if records is not None:
        _verify_tail(records, proof, progress, on_record)
    if seals is not None:
        _compare_with_volume(seals, keys, proof)
    return proof


class NotProven(Exception):
    """Records in the store were changed, or their gateways or sealer contradict each other. The text is the finding."""


def read_sealed(
    store: Store, keys: dict[str, Any], *, after: tuple[int, str] | None = None, since: int = 1
) -> Iterator[tuple[Seal, list[dict[str, Any]]]]:
    """Yield each seal of the store with its records, in order, as soon as it is verified.

    Args:
        after: number and hash of a seal that was read before. Only later ones are yielded; the store must still hold
            this one, and they must continue it.
        since: without `after`, the first seal that is read; its signature stands for everything before.

    Raises NotProven at the first contradiction, before the seal that has it, and StoreFault. It reads no content, and
    does not object to a sealer that has been silent: `verify` does.
    """
    first = after[0] if after else since
    proof, progress = Proof(first=first), _Progress()
    names = store.names(f"{seal_format.FOLDER}/", seal_format.name(first - 1) if first > 1 else "")
    for seal in _read_seals(store, keys, proof, names):
        records: list[dict[str, Any]] = []
        _SealCheck(seal, proof, progress, _appending_to(records)).run()
        if after is not None and seal.number == after[0] and seal.hash != after[1]:
            proof.findings.append(f"seal {seal.number} is not the one that was there before")
        _require_proven(proof.findings)
        if after is None or seal.number > after[0]:
            yield seal, records
    _require_proven([*proof.findings, *store.oddities()])
    if after is not None and proof.last is None:
        raise NotProven(f"the store has no seal {after[0]}, which was there before")


def _appending_to(records: list[dict[str, Any]]) -> Callable[[dict[str, Any], Seal | None], None]:
    return lambda record, _: records.append(record)


def _require_proven(findings: list[str]) -> None:
    if findings:
        raise NotProven(findings[0])


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


@dataclass
class _SealCheck:
    """Continues the chains of the writers with the records of one seal."""

    seal: Seal
    proof: Proof
    progress: _Progress
    on_record: Callable[[dict[str, Any], Seal | None], None] | None
    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: list[dict[str, Any]] = field(default_factory=list)

    def run(self) -> None:
        last = self.proof.last
        if last is not None:
            _check_interval(last, self.seal, self.proof)
        elif self.seal.number == self.proof.first:
            self.progress.prev_of_first = self.seal.body["prev"]
        lines = iter(self.seal.payload.split(b"\n")[:-1])
        for writer, entry in sorted(self.seal.writers.items()):
            if writer in self.progress.ended:
                self._add_finding(f"writer {writer} had ended, and is there again")
            chain = self._follow_chain(writer, entry["new"], lines)
            self._end_chain(writer, entry, chain)
            self._check_state(writer, entry)
        if next(lines, None) is not None:
            self._add_finding("it holds more records than it names")
        if last is not None:
            self._check_missing_writers(last)
        _pair_intents(self.intents, self.outcomes, self.seal, self.proof, self.progress)
        self.proof.seals, self.proof.last = self.proof.seals + 1, self.seal

    def _add_finding(self, text: str) -> None:
        self.proof.findings.append(f"{seal_format.name(self.seal.number)}: {text}")

    def _follow_chain(self, writer: str, count: int, lines: Iterator[bytes]) -> Chain | None:
        """Read the next `count` records of a writer. Returns its chain after them; None if they break it."""
        # A chain that began before the first verified seal is continued from its first record there.
        began_before = self.proof.last is None and self.seal.number > 1
        chain = None if began_before else self.progress.chains.get(writer) or Chain(writer)
        for _ in range(count):
            line = next(lines, b"")
            try:
                if chain is None:
                    record = parse(line)
                    chain = Chain(writer, record["seq"] - 1, record["prev"])
                record = chain.follow(line)
            except (Broken, KeyError, TypeError) as error:
                self._add_finding(f"writer {writer} after record {chain.seq if chain else '?'}: {error}")
                return None
            self._take(writer, record)
        return chain

    def _take(self, writer: str, record: dict[str, Any]) -> None:
        """Count a record, and remember intents and outcomes."""
        self.proof.records += 1
        if (shape_error := find_shape_error(record)) is not None:
            self._add_finding(f"record {record['seq']} of {writer} is no gateway's: {shape_error}")
            return
        if record["kind"] == "intent":
            self.intents.setdefault(record["id"], record)
        elif record["kind"] == "outcome":
            self.outcomes.append(record)
        if self.on_record is not None:
            self.on_record(record, self.seal)

    def _end_chain(self, writer: str, entry: dict[str, Any], chain: Chain | None) -> None:
        """The chain must end as the seal states. The next seal continues from the seal's statement."""
        if chain is None or (chain.seq, chain.head) != (entry["seq"], entry["head"]):
            if chain is not None:
                self._add_finding(
                    f"writer {writer} ends at record {chain.seq}, and was sealed at {entry['seq']}"
                )
            chain = Chain(writer, entry["seq"], entry["head"])
        self.progress.chains[writer], self.progress.states[writer] = chain, entry["state"]
        self.proof.writers[writer] = entry

    def _check_state(self, writer: str, entry: dict[str, Any]) -> None:
        """Report a lost or broken writer once, not with each later seal."""
        last = self.proof.last
        state_before = last.writers.get(writer, {}).get("state") if last else None
        if entry["state"] in ("lost", "broken") and state_before != entry["state"]:
            self._add_finding(f"writer {writer} is {entry['state']}: {entry.get('note', '')}")

    def _check_missing_writers(self, last: Seal) -> None:
        for writer in sorted(set(last.writers) - set(self.seal.writers)):
            if self.progress.states[writer] not in ENDED:
                self._add_finding(f"writer {writer} is missing, and it had not ended")
            self.progress.ended.add(writer)
            self.progress.chains.pop(writer, None)


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
            if intent is None:
                progress.begun_before.add(record["id"])
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


def _match_earlier_contents(store: Store, keys: dict[str, Any], proof: Proof, progress: _Progress) -> None:
    """With `since`: look in earlier seals for content whose record is in a later one. Content is written first.

    It is in no seal before its request's intent, so the search ends there. It also ends at a seal that is gone after
    its retention: then nobody knows whether the content was there.
    """
    number, prev = proof.first - 1, progress.prev_of_first
    pending = progress.begun_before & progress.owed.keys()
    while pending and number >= 1 and prev is not None:
        data = store.get(seal_format.name(number))
        if data is None:
            progress.owed = {request: sha for request, sha in progress.owed.items() if request not in pending}
            return
        try:
            seal = seal_format.read(data, keys)
        except SealBroken:
            return
        if seal.hash != prev:
            return
        for content_object in seal.body["content"]:
            content = store.get(content_object["name"]) or b""
            for line in content.split(b"\n")[:-1]:
                request_id = _id_of(line)
                if request_id in pending and progress.owed[request_id] == digest(line):
                    del progress.owed[request_id]
                    pending.discard(request_id)
        pending -= {_id_of(line) for line in seal.payload.split(b"\n") if b'"intent"' in line}
        number, prev = number - 1, seal.body["prev"]


def _id_of(line: bytes) -> str | None:
    """The request of a line of records or content. None: it has none, or is damaged."""
    try:
        request_id = parse(line).get("id")
    except Broken:
        return None
    return request_id if isinstance(request_id, str) else None


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
