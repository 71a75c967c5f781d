"""Reads, writes and compares the sample files: `samples/NAME.json`, sorted, a line an entry."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).parent / "samples"
MOST_LINES = 40
"""Of differences in the message of a failed test."""


def read(name: str, folder: Path = FOLDER) -> dict[str, str]:
    """The sample of an interface; empty where none is written."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def write(name: str, table: dict[str, str], folder: Path = FOLDER) -> None:
    """Replace the sample of an interface."""
    folder.mkdir(exist_ok=True)
    text = json.dumps(table, indent=0, sort_keys=True, ensure_ascii=False)
    (folder / f"{name}.json").write_text(f"{text}\n", "utf-8")


def differences(sample: dict[str, str], product: dict[str, str]) -> list[str]:
    """Which entries were removed, added or changed, a line an entry (two of a changed value), sorted by entry."""
    lines: list[str] = []
    for entry in sorted(sample.keys() | product.keys()):
        if entry not in product:
            lines.append(f"removed  {entry}: {sample[entry]}")
        elif entry not in sample:
            lines.append(f"added    {entry}: {product[entry]}")
        elif sample[entry] != product[entry]:
            lines += [f"changed  {entry}: {sample[entry]}", f"     to  {entry}: {product[entry]}"]
    return lines


def shortened(lines: list[str]) -> list[str]:
    """The first lines, and how many more there are."""
    hidden = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([f"… and {hidden} more lines"] if hidden > 0 else [])]


def complaint(name: str, lines: list[str]) -> str:
    """The message of a failed test: the differences, and what to do."""
    fix = (
        "Fix: change the product back. If you want the change, run `python -m tests.fixed_interfaces --write` and"
        f" commit samples/{name}.json; describe it in docs/migrations.md where users see it."
    )
    if name.startswith("rendered"):
        fix += " To see how files differ: `python -m tests.fixed_interfaces --against DIR`, DIR a checkout of before."
    return "\n".join([f"The fixed interface `{name}` is not as its sample says:", *shortened(lines), fix])
