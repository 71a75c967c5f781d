"""Fixtures: a folder to sanitise with patterns only, in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from edge.redaction import Rules
from edge.sanitising import Cleaner, FolderSource, FolderTarget, Options, Outcome, Refused, sanitise
from edge.sanitising.kinds import kind_of, open_form

IBAN, CARD, MAIL = "DE89370400440532013000", "4111111111111111", "ann@example.com"
PUBLIC = Options("public", names_demanded=False, keep_going=True)


class Quiet:
    """A watcher that records its calls."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []
        self.characters = 0

    def began(self, files: int, size: int) -> None:
        self.files, self.size = files, size

    def passed(self, characters: int) -> None:
        self.characters += characters

    def ended(self, entry: Any, kept: bool, size: int) -> None:
        self.told.append((entry.path, kept))


@dataclass
class Workspace:
    """Source and target of a test."""

    root: Path
    asked: Options = PUBLIC
    rules: Rules = field(default_factory=Rules)

    def lay(self, name: str, data: str | bytes) -> None:
        path = self.root / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)

    def run(self, into: str = "out", **options: Any) -> Outcome:
        self.quiet = Quiet()
        source, target = FolderSource(self.root / "in"), FolderTarget(self.root / into)
        return sanitise(source, target, self.rules, replace(self.asked, **options), self.quiet)

    def made(self, name: str, into: str = "out") -> bytes | None:
        path = self.root / into / name
        return path.read_bytes() if path.exists() else None

    def all(self, into: str = "out") -> dict[str, bytes]:
        root = self.root / into
        return {
            path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
        }

    def entries(self) -> dict[str, Any]:
        lines = (self.root / "out" / "manifest.jsonl").read_text().splitlines()
        return {entry["path"]: entry for entry in map(json.loads, lines)}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "in").mkdir()
    return Workspace(tmp_path)


@pytest.fixture(scope="session")
def cleaner() -> Cleaner:
    return Cleaner(Rules())


def cleaned(cleaner: Cleaner, name: str, data: bytes, fields: frozenset[str] = frozenset()) -> bytes:
    """The redacted bytes of a file. Raises Refused."""
    form = open_form(kind_of(name), data, fields, 1 << 20)
    outputs = []
    for document in form.documents():
        clean = cleaner.clean(document)
        if clean.telling:
            raise Refused("a field's name tells")
        outputs.append(form.back(clean.texts))
    return b"".join([*outputs, form.end()])
