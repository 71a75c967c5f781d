"""The manifest: for every file what went in, what came out, what was found. No time, no path of a machine: the same
input under the same rules gives the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge.sanitising.locations import MANIFEST, BadPlace


@dataclass
class Entry:
    """One file's line."""

    path: str
    kind: str = ""
    status: str = "refused"
    """`done`, or `refused`: then `reason`."""
    reason: str = ""
    sha256_in: str = ""
    sha256_out: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    documents: int = 0
    findings: dict[str, int] = field(default_factory=dict)
    """By entity."""
    patterns_only: list[str] = field(default_factory=list)
    """Languages in it whose names no model looked for."""
    allowed_because: str = ""
    """By whose reason such a file was let through."""
    untouched: list[str] = field(default_factory=list)
    """Columns of Parquet that nobody looked at."""
    data_class: str = ""
    rules: str = ""
    settings: str = ""
    """Of all else that decides: a file that was done under others is done again."""

    @property
    def line(self) -> bytes:
        """As it stands in the manifest."""
        said = asdict(self)
        said["class"] = said.pop("data_class")
        return json.dumps(dict(sorted(said.items())), ensure_ascii=False).encode() + b"\n"


def parsed(lines: Iterable[bytes], where: str) -> dict[str, Entry]:
    """The last entry of each path; raises BadPlace where it is no manifest of ours."""
    found = {}
    for number, line in enumerate(lines, 1):
        try:
            said: dict[str, Any] = json.loads(line)
            said["data_class"] = said.pop("class")
            entry = Entry(**said)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadPlace(
                f"line {number} of {MANIFEST} is none that this command wrote", where, "Name another target"
            ) from None
        found[entry.path] = entry
    return found


def summary(entries: Iterable[Entry], manifest: bytes, complete: bool) -> dict[str, Any]:
    """All of them together."""
    every = list(entries)
    done = [each for each in every if each.status == "done"]
    findings: Counter[str] = Counter()
    uncovered: Counter[str] = Counter()
    for each in done:
        findings.update(each.findings)
        uncovered.update(each.patterns_only)
    return {
        "complete": complete,
        "files": len(every),
        "done": len(done),
        "refused": len(every) - len(done),
        "documents": sum(each.documents for each in done),
        "bytes_in": sum(each.bytes_in for each in done),
        "bytes_out": sum(each.bytes_out for each in done),
        "findings": dict(sorted(findings.items())),
        "patterns_only": dict(sorted(uncovered.items())),
        "class": sorted({each.data_class for each in every}),
        "rules": sorted({each.rules for each in every}),
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
    }


def settings_digest(**said: Any) -> str:
    """Names all that decides beside the rules: what was asked for, and this code."""
    made = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        made.update(file.read_bytes())
    made.update(json.dumps(said, sort_keys=True).encode())
    return made.hexdigest()[:16]
