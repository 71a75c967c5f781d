"""Evaluations in folders, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from isthmus.core import yaml_files
from isthmus.evaluation.cases import digest_of
from isthmus.evaluation.definition import FILE


def case(name: str, **content: Any) -> dict[str, Any]:
    """A case, as a line of a file has it."""
    made = {
        "id": name,
        "class": "restricted",
        "source": "written for a test",
        "consent": "synthetic",
        **content,
    }
    if "messages" not in made:
        made.setdefault(
            "prompt", f"Which capital belongs to the country number {name}? Answer with one word."
        )
    return made | {"sha256": digest_of(made)}


def write_cases(file: Path, cases: list[dict[str, Any]]) -> Path:
    """Write a file of cases."""
    file.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in cases), "utf-8")
    return file


def write_evaluation(
    folder: Path, tasks: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]], **more: Any
) -> Path:
    """Write an evaluation. `tasks`: by name its settings and its cases."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (settings, cases) in tasks.items():
        write_cases(folder / f"{name}.jsonl", cases)
        written.append({"name": name, "cases": [f"{name}.jsonl"], **settings})
    (folder / FILE).write_text(yaml_files.dumps({"min_score": 0.5, "tasks": written, **more}), "utf-8")
    return folder
