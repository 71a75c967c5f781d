"""The sealer: reads the writers' chains and puts new records into the store with a signed seal.

It has no state of its own: at start it reads the last seal from the store. It only reads the gateways' files. If a
chain contradicts the seals, the next seal says so, for the verification.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.audit import seal_format
from edge.audit.chain_files import (
    ChainTruncated,
    Tail,
    content_files,
    is_alive,
    list_writers,
    now,
    open_plain,
)
from edge.audit.records import Broken, Chain, digest
from edge.audit.seal_format import ENDED, LATEST, Seal, Signer
from edge.audit.stores import Store, StoreFault

MOST_BYTES = 64 * 1024 * 1024
"""Approximate maximum of records in one seal. More records go into the next seal."""


@dataclass
class _WriterState:
    """The state of a writer in the last seal, and the reader of its files."""

    chain: Chain
    state: str = "open"
    note: str = ""
    content: list[int] = field(default_factory=lambda: [0, 0])
    """Content that is in the store: number of the last content file, and bytes of it."""
    tail: Tail | None = None

    def entry(self, new: int) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "seq": self.chain.seq,
            "head": self.chain.head,
            "state": self.state,
            "new": new,
        }
        return {**fields, "content": self.content, **({"note": self.note} if self.note else {})}


@dataclass(frozen=True)
class SealerSettings:
    """What a sealer seals, and how long the store retains it."""

    records: Path
    """Folder of the writers' files."""
    seals: Path
    """Folder where the gateways read the last seal."""
    data_class: str
    site: str
    every_s: int
    """Seconds between two seals while there are records."""
    idle_s: int
    """Seconds after which an empty seal is written."""
    keep_days: int
    """Days for which the store keeps a seal."""
    content_days: int
    """Days for which the store keeps encrypted content."""


class Sealer:
    """The sealer of one class at one site. The store's write-once names prevent two of them at a time."""

    def __init__(
        self, store: Store, signer: Signer, settings: SealerSettings, clock: Callable[[], str] = now
    ) -> None:
        self._store, self._signer, self._clock = store, signer, clock
        self._records, self._seals = settings.records, settings.seals
        self._fixed: dict[str, Any] = {
            "class": settings.data_class,
            "site": settings.site,
            "every_s": settings.every_s,
            "idle_s": settings.idle_s,
            "content_days": settings.content_days,
        }
        self._keep_days, self._content_days = settings.keep_days, settings.content_days
        self._number, self._prev = 0, ""
        self._known: dict[str, _WriterState] = {}
        self._stillborn: set[str] = set()
        """Folders of processes that ended before their first record. No writer waits there for a seal."""

    def restore(self) -> int:
        """Continue from the store's last seal and return its number. Raises StoreFault, also if a seal is lost."""
        self._number, self._prev = 0, seal_format.first_link(self._fixed["class"], self._fixed["site"])
        self._known = {}
        hint = self._hint()
        prefix = f"{seal_format.FOLDER}/"
        # List from the known seal on: listing the seals of years would take long.
        names = self._store.names(prefix, seal_format.name(hint - 1) if hint > 1 else "")
        if hint > 0 and seal_format.name(hint) not in names:
            raise StoreFault(f"{seal_format.name(hint)} was sealed, and the store has it no more")
        if names:
            self._go_on_from(self._read(names[-1]))
            self._leave_for_gateways(self._read(names[-1]).head)
        return self._number

    def _hint(self) -> int:
        try:
            head = (self._seals / LATEST).read_bytes().rstrip(b"\n")
        except FileNotFoundError:
            return 0
        try:
            return seal_format.check_head(head, self._signer.public)["seal"]
        except seal_format.SealBroken:
            return 0

    def _read(self, name: str) -> Seal:
        data = self._store.get(name)
        try:
            seal = seal_format.read(data or b"", self._signer.public)
        except seal_format.SealBroken as error:
            raise StoreFault(f"{name}: {error}") from None
        if seal_format.name(seal.number) != name or any(
            seal.body[key] != self._fixed[key] for key in ("class", "site")
        ):
            raise StoreFault(f"{name}: it is the seal of another place")
        return seal

    def _go_on_from(self, seal: Seal) -> None:
        self._number, self._prev = seal.number, seal.hash
        self._known = {
            writer: _WriterState(
                Chain(writer, entry["seq"], entry["head"], entry["state"] == "closed"),
                entry["state"],
                entry.get("note", ""),
                entry["content"],
            )
            for writer, entry in seal.writers.items()
        }

    def newcomers(self) -> bool:
        """Whether a new writer waits for its first seal."""
        return any(
            writer not in self._known.keys() | self._stillborn for writer in list_writers(self._records)
        )

    def seal(self, allow_empty: bool = False) -> Seal | None:
        """Seal new records. Returns the seal, or None without news. Call `restore` after StoreFault or OSError."""
        lines: list[bytes] = []
        content: list[dict[str, Any]] = []
        size, changed = 0, False
        entries: dict[str, dict[str, Any]] = {}
        present = set(list_writers(self._records))
        for writer in sorted(present | set(self._known)):
            writer_state = self._known.get(writer) or _WriterState(Chain(writer))
            state_before = writer_state.state
            new_lines = (
                self._look_at(writer_state, MOST_BYTES - size)
                if writer in present
                else self._miss(writer_state)
            )
            if writer_state.chain.seq < 0 and writer_state.state in ("open", "crashed"):
                if writer_state.state == "crashed":
                    self._stillborn.add(writer)
                continue  # it has no record yet, or never will
            shipped = []
            if writer in present and writer_state.state != "broken":
                try:
                    shipped = self._ship_content(writer_state)
                except Broken as error:
                    writer_state.state, writer_state.note = "broken", str(error)
            lines, content = lines + new_lines, content + shipped
            size += sum(len(line) + 1 for line in new_lines)
            changed = (
                changed
                or bool(new_lines or shipped)
                or writer_state.state != state_before
                or writer not in self._known
            )
            if writer_state.state in ENDED and writer not in present:
                self._known.pop(writer, None)  # sealed to its end, and its files were deleted
                changed = True
                continue
            self._known[writer] = writer_state
            entries[writer] = writer_state.entry(len(new_lines))
        if not changed and not allow_empty:
            return None
        return self._put(entries, lines, content)

    @staticmethod
    def _miss(writer_state: _WriterState) -> list[bytes]:
        if writer_state.state == "open":
            writer_state.state, writer_state.note = "lost", "its files are gone, and it had not ended"
        return []

    def _look_at(self, writer_state: _WriterState, max_bytes: int) -> list[bytes]:
        """New lines of a writer. Updates its state."""
        if writer_state.state in ("broken", "lost") or max_bytes <= 0:
            return []
        folder = self._records / writer_state.chain.writer
        tail = writer_state.tail = writer_state.tail or Tail(folder, writer_state.chain)
        chain_before = Chain(writer_state.chain.writer, writer_state.chain.seq, writer_state.chain.head)
        process_is_alive = True
        try:
            # Checked before reading: after the end of a process no more lines come.
            process_is_alive = is_alive(folder)
            lines = tail.read(max_bytes)
        except ChainTruncated as error:
            if process_is_alive:
                writer_state.state, writer_state.note = "broken", str(error)
            elif writer_state.state == "open":
                # The machine failed before its disk had the records that the store has.
                writer_state.state, writer_state.note = "crashed", str(error)
            return []
        except Broken as error:
            writer_state.state, writer_state.note = "broken", str(error)
            return []
        if lines and writer_state.state in ENDED:
            writer_state.state, writer_state.note, writer_state.chain = (
                "broken",
                f"it went on after it had {writer_state.state}",
                chain_before,
            )
            return []
        if writer_state.chain.ended:
            writer_state.state = "closed"
        elif not process_is_alive and sum(map(len, lines)) < max_bytes and writer_state.state == "open":
            writer_state.state = "crashed"
            writer_state.note = f"{tail.torn} bytes of a record that was not finished" if tail.torn else ""
        return lines

    def _ship_content(self, writer_state: _WriterState) -> list[dict[str, Any]]:
        """Put new content into the store. Returns the entries for the seal."""
        shipped = []
        number, at = writer_state.content
        for file_number, path in content_files(self._records / writer_state.chain.writer):
            if file_number < number:
                continue
            at = at if file_number == number else 0
            with open_plain(path) as stream:
                stream.seek(at)
                data = stream.read(MOST_BYTES)
                is_read_to_end = not stream.read(1)
            data = data[: data.rfind(b"\n") + 1]
            if data:
                name = (
                    f"content/{writer_state.chain.writer}/{file_number:06d}-{at:012d}-{len(data):012d}.jsonl"
                )
                self._store.put(name, data, self._content_days)
                shipped.append({"name": name, "sha256": digest(data), "bytes": len(data)})
            number, at = file_number, at + len(data)
            if not is_read_to_end:
                break
        writer_state.content = [number, at]
        return shipped

    def _put(
        self, entries: dict[str, dict[str, Any]], lines: list[bytes], content: list[dict[str, Any]]
    ) -> Seal:
        payload = b"".join(line + b"\n" for line in lines)
        body = {
            **self._fixed,
            "v": seal_format.VERSION,
            "seal": self._number + 1,
            "prev": self._prev,
            "time": self._clock(),
            "key": self._signer.id,
            "writers": entries,
            "content": content,
            "payload": {
                "sha256": hashlib.sha256(payload).hexdigest(),
                "bytes": len(payload),
                "lines": len(lines),
            },
        }
        head = self._signer.head(body)
        self._store.put(seal_format.name(self._number + 1), head + b"\n" + payload, self._keep_days)
        self._number, self._prev = self._number + 1, digest(head)
        self._leave_for_gateways(head)
        return Seal(body, head, payload)

    def _leave_for_gateways(self, head: bytes) -> None:
        fresh = self._seals / f".{LATEST}"
        fresh.write_bytes(head + b"\n")
        with fresh.open("rb") as stream:
            os.fsync(stream.fileno())
        fresh.rename(self._seals / LATEST)
