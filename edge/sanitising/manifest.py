"""The manifest: the input, the output and the findings of each file.

It contains no times and no paths of the machine: the same input under the same rules gives the same bytes.
"""

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
    """The manifest line of a file."""

    path: str
    kind: str = ""
    status: str = "refused"
    """`done`, or `refused` with a `reason`."""
    reason: str = ""
    sha256_in: str = ""
    sha256_out: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    documents: int = 0
    findings: dict[str, int] = field(default_factory=dict)
    """Number of findings by entity."""
    patterns_only: list[str] = field(default_factory=list)
    """Languages of the file in which no model looked for names."""
    allowed_because: str = ""
    """The reason that the user gave to accept such a file."""
    untouched: list[str] = field(default_factory=list)
    """Columns of Parquet that were not searched."""
    data_class: str = ""
    rules: str = ""
    settings: str = ""
    """Digest of all other settings. A file that was processed with other settings is processed again."""

    @property
    def line(self) -> bytes:
        """The entry as a line of the manifest."""
        fields = asdict(self)
        fields["class"] = fields.pop("data_class")
        return json.dumps(dict(sorted(fields.items())), ensure_ascii=False).encode() + b"\n"


def parse_entries(lines: Iterable[bytes], where: str) -> dict[str, Entry]:
    """Return the last entry of each path. Raises BadPlace if the file is not a manifest."""
    entry_by_path = {}
    for number, line in enumerate(lines, 1):
        try:
            fields: dict[str, Any] = json.loads(line)
            fields["data_class"] = fields.pop("class")
            entry = Entry(**fields)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadPlace(
                f"line {number} of {MANIFEST} is none that this command wrote", where, "Name another target"
            ) from None
        entry_by_path[entry.path] = entry
    return entry_by_path


def build_summary(entries: Iterable[Entry], manifest: bytes, complete: bool) -> dict[str, Any]:
    """Return the summary of all entries."""
    all_entries = list(entries)
    done = [entry for entry in all_entries if entry.status == "done"]
    findings: Counter[str] = Counter()
    uncovered: Counter[str] = Counter()
    for entry in done:
        findings.update(entry.findings)
        uncovered.update(entry.patterns_only)
    return {
        "complete": complete,
        "files": len(all_entries),
        "done": len(done),
        "refused": len(all_entries) - len(done),
        "documents": sum(entry.documents for entry in done),
        "bytes_in": sum(entry.bytes_in for entry in done),
        "bytes_out": sum(entry.bytes_out for entry in done),
        "findings": dict(sorted(findings.items())),
        "patterns_only": dict(sorted(uncovered.items())),
        "class": sorted({entry.data_class for entry in all_entries}),
        "rules": sorted({entry.rules for entry in all_entries}),
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
    }


def settings_digest(**settings: Any) -> str:
    """Return a digest of the settings and of the code of this package."""
    checksum = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        checksum.update(file.read_bytes())
    checksum.update(json.dumps(settings, sort_keys=True).encode())
    return checksum.hexdigest()[:16]
