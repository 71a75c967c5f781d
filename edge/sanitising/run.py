"""A run: reads every file of a source, redacts it and writes it, in the order of the names.

Reading is some batches ahead of writing, so that several processes work on several files. The output and its order do
not depend on the number of processes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge.redaction import Rules
from edge.sanitising.document import Cleaned, Cleaner, Document
from edge.sanitising.kinds import Form, kind_of, open_form
from edge.sanitising.locations import BadPlace, Item, Output, Source, Target, is_reserved, join_lines
from edge.sanitising.manifest import Entry, build_summary, parse_entries, settings_digest
from edge.sanitising.refusal import Refused
from edge.sanitising.workers import InProcess, Processes, Result

_BATCH_DOCUMENTS, _BATCH_CHARACTERS = 64, 32 * 1024
_LITTLE = 512 * 1024
"""Bytes that one process redacts faster than further processes start."""


class Broken(Exception):
    """A redaction process ended unexpectedly."""


@dataclass(frozen=True)
class Options:
    """Settings of a run, in addition to the rules."""

    data_class: str
    names_demanded: bool
    """Whether the class requires that names are redacted, so that patterns alone are not enough."""
    languages: tuple[str, ...] = ()
    fields: frozenset[str] = frozenset()
    allowed_because: str = ""
    """Reason to accept texts in a language without a model for names."""
    keep_going: bool = False
    prune: bool = False
    most_bytes: int = 256 << 20
    processes: int = 1

    @property
    def digest(self) -> str:
        """Digest of the settings that change the output."""
        return settings_digest(
            data_class=self.data_class,
            names_demanded=self.names_demanded,
            languages=self.languages,
            fields=sorted(self.fields),
            allowed_because=self.allowed_because,
        )


@dataclass
class Outcome:
    """The result of a run."""

    summary: dict[str, Any]
    refused: list[Entry]
    kept: int = 0
    """Number of files that an earlier run had processed."""
    pruned: list[str] = field(default_factory=list)


@dataclass
class _File:
    """A file that is being processed."""

    item: Item
    entry: Entry
    form: Form | None = None
    kept: bool = False
    fault: Refused | None = None
    """A refusal while the file was read. It is reported when the file's turn comes."""
    output: Output | None = None
    made: Any = field(default_factory=hashlib.sha256)
    found: Counter[str] = field(default_factory=Counter)
    uncovered: set[str] = field(default_factory=set)
    names: deque[tuple[str, ...]] = field(default_factory=deque)


class Watcher(Protocol):
    """Receives the progress of a run."""

    def began(self, files: int, size: int) -> None:
        """The run begins with this number of files and bytes."""
        ...

    def passed(self, characters: int) -> None:
        """This number of bytes of the current file is redacted."""
        ...

    def ended(self, entry: Entry, kept: bool, size: int) -> None:
        """A file is finished. `kept`: an earlier run had processed it."""
        ...


def sanitise(source: Source, target: Target, rules: Rules, options: Options, watch: Watcher) -> Outcome:
    """Redact all files of the source into the target.

    Files that are finished stay finished after an error. Raises BadPlace, PlaceFault, NoModel, Broken and OSError.
    """
    cleaner = Cleaner(rules, options.languages)
    items = source.items()
    if not items:
        raise BadPlace("there is no file in it", "the source", "Check the path")
    total = sum(item.size for item in items)
    watch.began(len(items), total)
    try:
        entry_by_path = parse_entries(target.begin(), "the target")
        pruned = _prune(target, entry_by_path, {item.name for item in items}, options.prune)
        several = options.processes > 1 and total > _LITTLE
        team = Processes(rules, options.languages, options.processes) if several else InProcess(cleaner)
        try:
            run = _Run(source, target, options, cleaner.version, entry_by_path, team, watch)
            complete = run.run(items)
        except BrokenProcessPool:
            raise Broken from None
        finally:
            team.close()
        # After a run that stopped, the manifest keeps the entries of later files from earlier runs.
        entries = [entry_by_path[name] for name in sorted(entry_by_path)]
        manifest = join_lines(entry.line.rstrip(b"\n") for entry in entries)
        summary = build_summary(entries, manifest, complete)
        target.end(manifest, _json(summary))
        refused = [entry for entry in entries if entry.status == "refused"]
        return Outcome(summary, refused, run.kept, pruned)
    finally:
        target.close()


def _prune(
    target: Target, entry_by_path: dict[str, Entry], source_names: set[str], allowed: bool
) -> list[str]:
    stale = sorted(set(entry_by_path) - source_names)
    if stale and not allowed:
        more = f" and {len(stale) - 3} more" if len(stale) > 3 else ""
        raise BadPlace(
            f"{', '.join(stale[:3])}{more} in it came of no file that is still there",
            "the target",
            "Say --prune to have them deleted, or name another target",
        )
    for name in stale:
        target.remove(name)
        del entry_by_path[name]
    return stale


def _json(summary: dict[str, Any]) -> bytes:
    return json.dumps(summary, indent=2, ensure_ascii=False).encode() + b"\n"


class _Run:
    """The state of one call of `sanitise`."""

    def __init__(
        self,
        source: Source,
        target: Target,
        options: Options,
        version: str,
        entry_by_path: dict[str, Entry],
        team: InProcess | Processes,
        watch: Watcher,
    ) -> None:
        self._source, self._target, self._asked = source, target, options
        self._version, self._settings, self._known = version, options.digest, entry_by_path
        self._team, self._watch = team, watch
        self.kept = 0

    def run(self, items: list[Item]) -> bool:
        """Process the files. Returns whether every file was processed."""
        ahead: deque[tuple[_File, Result | None]] = deque()
        for file, batch in self._read(items):
            ahead.append((file, self._team.begin(batch) if batch else None))
            while len(ahead) > self._team.width * 4:
                if not self._take(*ahead.popleft()):
                    return False
        while ahead:
            if not self._take(*ahead.popleft()):
                return False
        return True

    def _read(self, items: list[Item]) -> Iterator[tuple[_File, list[Document] | None]]:
        """Yield batches of documents, file by file. None marks the end of a file."""
        for item in items:
            file = _File(item, Entry(item.name, data_class=self._asked.data_class, rules=self._version))
            file.entry.settings = self._settings
            try:
                yield from ((file, batch) for batch in self._batches(file))
            except Refused as error:
                file.fault = error
            yield file, None

    def _batches(self, file: _File) -> Iterator[list[Document]]:
        item, entry = file.item, file.entry
        if item.unreadable:
            raise Refused(item.unreadable, fix="Give the file itself")
        if is_reserved(item.name):
            raise Refused("the manifest has this name", fix="Rename it")
        entry.kind, entry.bytes_in = kind_of(item.name), item.size
        if item.size > self._asked.most_bytes:
            raise Refused(
                f"it has {item.size >> 20} MiB, and {self._asked.most_bytes >> 20} are read at once",
                fix="Split it, or raise --max-mib",
            )
        try:
            data = self._source.read(item.name)
        except (PermissionError, FileNotFoundError) as error:
            raise Refused(f"it cannot be read: {error.strerror}", fix="Check its rights") from None
        entry.bytes_in, entry.sha256_in = len(data), hashlib.sha256(data).hexdigest()
        if self._done_before(entry):
            file.kept = True
            return
        file.form = open_form(entry.kind, data, self._asked.fields, self._asked.most_bytes)
        batch: list[Document] = [Document((), (item.name,))]
        file.names.append(batch[0].names)
        size = 0
        for document in file.form.documents():
            batch.append(document)
            file.names.append(document.names)
            size += sum(len(text) for _, text in document.texts)
            if len(batch) >= _BATCH_DOCUMENTS or size >= _BATCH_CHARACTERS:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _done_before(self, entry: Entry) -> bool:
        """Whether an earlier run processed the same file with the same settings, and its output still exists."""
        before = self._known.get(entry.path)
        return (
            before is not None
            and before.status == "done"
            and (before.sha256_in, before.rules, before.settings)
            == (entry.sha256_in, entry.rules, entry.settings)
            and self._target.sha256(entry.path) == before.sha256_out
        )

    def _take(self, file: _File, result: Result | None) -> bool:
        """Write the next batch of a file, or end the file. Returns whether to continue."""
        try:
            if result is not None:
                if not file.entry.reason:
                    self._write(file, result.result())
                return True
            if file.fault is not None and not file.entry.reason:
                raise file.fault
            return self._end(file)
        except Refused as error:
            self._refuse(file, error)
            return True if result is not None else self._end(file)
        except BaseException:
            if file.output is not None:
                file.output.drop()
            raise

    def _write(self, file: _File, batch: list[Cleaned]) -> None:
        assert file.form is not None
        for cleaned in batch:
            names = file.names.popleft()
            if cleaned.telling is not None:
                at, entity = cleaned.telling
                raise self._named(file, names, at, entity)
            file.uncovered |= cleaned.patterns_only
            if file.uncovered and self._asked.names_demanded and not self._asked.allowed_because:
                raise Refused(
                    f"no model looks for names in {', '.join(sorted(file.uncovered))}, and class "
                    f"{self._asked.data_class} has them taken out",
                    fix="Give the rules a model of the language, or say --allow-patterns-only with the reason",
                )
            if names == (file.item.name,) and file.output is None:
                file.output = self._target.output(file.item.name)
                continue
            file.entry.documents += bool(cleaned.texts)
            file.found.update(cleaned.found)
            self._put(file, file.form.back(cleaned.texts))
        self._watch.passed(sum(len(text) for cleaned in batch for text in cleaned.texts))

    def _named(self, file: _File, names: tuple[str, ...], at: int, entity: str) -> Refused:
        if file.output is None:
            return Refused(f"its name holds {entity}, and names stay as they are", fix="Rename it")
        return Refused(
            f"the name of a field holds {entity}, and names of fields stay as they are (the {at + 1}. of its document)",
            fix="Rename it; a table's first line must name its columns",
        )

    def _put(self, file: _File, data: bytes) -> None:
        assert file.output is not None
        if data:
            file.output.write(data)
            file.made.update(data)
            file.entry.bytes_out += len(data)

    def _refuse(self, file: _File, error: Refused) -> None:
        place = f"{file.item.name}:{error.line}" if error.line else file.item.name
        file.entry.reason = f"{place}: {error.what}.{f' {error.fix}.' if error.fix else ''}"

    def _end(self, file: _File) -> bool:
        entry = file.entry
        if file.kept:
            self.kept += 1
            self._watch.ended(self._known[entry.path], True, file.item.size)
            return True
        entry.findings = dict(sorted(file.found.items()))
        entry.patterns_only = sorted(file.uncovered)
        if entry.reason:
            if file.output is not None:
                file.output.drop()
            entry.documents = entry.bytes_out = 0
            self._target.remove(entry.path)
        else:
            self._finish(file)
        self._known[entry.path] = entry
        self._target.note(entry.line)
        self._watch.ended(entry, False, file.item.size)
        return not entry.reason or self._asked.keep_going

    def _finish(self, file: _File) -> None:
        assert file.form is not None
        assert file.output is not None
        entry = file.entry
        self._put(file, file.form.end())
        entry.untouched = list(file.form.untouched)
        entry.allowed_because = self._asked.allowed_because if file.uncovered else ""
        try:
            file.output.keep()
        except (NotADirectoryError, IsADirectoryError, FileExistsError):
            self._refuse(file, Refused("a folder and a file would have the same name", fix="Rename one"))
            entry.bytes_out = 0
            file.output.drop()
            return
        entry.status, entry.sha256_out = "done", file.made.hexdigest()
