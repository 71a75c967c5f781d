"""Writes recipes and data sets of fine-tunes, in the forms of `isthmus sanitise` and `isthmus audit corrections`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edge.sanitising.manifest import Entry, build_summary

DIGEST = "sha256:" + "0" * 64
LINES = [{"prompt": f"number {n}", "completion": f"the answer to {n} is {n + 1}"} for n in range(20)]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def json_lines(lines: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def write_sanitised(
    folder: Path, lines: Iterable[Mapping[str, Any]] = LINES, data_class: str = "internal", **entry: Any
) -> dict[str, Any]:
    """Write a folder as `isthmus sanitise` does. Returns the data set of a recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    content = json_lines(lines)
    (folder / "a.jsonl").write_bytes(content)
    fields = {"path": "a.jsonl", "kind": "jsonl", "status": "done", "rules": "r1", **entry}
    written = Entry(**{"sha256_out": sha256(content), **fields}, data_class=data_class)
    (folder / "manifest.jsonl").write_bytes(written.line)
    summary = build_summary([written], written.line, complete=True)
    (folder / "summary.json").write_text(json.dumps(summary))
    return {
        "sanitised": folder.name,
        "sha256": f"sha256:{sha256(written.line)}",
        "source": "claims of 2026",
        "consent": "synthetic",
        "licence": "internal use",
    }


def correction(**fields: Any) -> dict[str, Any]:
    """A line of `isthmus audit corrections`."""
    return {
        "id": "h1",
        "subject": "s1",
        "class": "confidential",
        "site": "fra1",
        "workload": "kyc-extraction",
        "model": "m",
        "model_digest": None,
        "request": {"messages": [{"role": "user", "content": "Who?"}]},
        "answer": ["Nobody."],
        "correction": ["Somebody.", "Somebody else."],
        "reason": "wrong-name",
        "corrected_at": "2026-12-01T09:00:00.000+00:00",
        "decided_at": "2026-12-01T09:10:00.000+00:00",
        "lineage": {},
        "terms": {"licence": "only for training", "keep_until": "2026-12-31"},
        **fields,
    }


def write_corrections(file: Path, *lines: Mapping[str, Any]) -> dict[str, Any]:
    """Write a file of corrected answers. Returns the data set of a recipe."""
    content = json_lines(lines)
    file.write_bytes(content)
    return {"corrections": file.name, "sha256": f"sha256:{sha256(content)}", "consent": "works agreement"}


def recipe(*data: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A recipe, with other values for some of its keys."""
    return {
        "name": "kyc-fields",
        "class": "confidential",
        "base": {"model": "tiny", "digest": DIGEST, "licence": "apache-2.0"},
        "data": list(data),
        "training": {"seed": 7, "precision": "float32"},
        **changes,
    }


def write_recipe(file: Path, content: Mapping[str, Any]) -> Path:
    """Write a recipe. JSON is YAML."""
    file.write_text(json.dumps(content, indent=1))
    return file
