"""Writes the table of alerts in `docs/monitoring.md`: `python -m tests.components.alerts_table`.

The alerts are those of a platform that has all of them. What each means is the first sentence of its runbook.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.observability.rules import RUNBOOKS
from tests.components import watched

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "docs" / "monitoring.md"
BEGIN = "<!-- made by `python -m tests.components.alerts_table` -->"
END = "<!-- end of what is made -->"
_SECTION = re.compile(r"^### (\w+)\n\n\*\*Means\.\*\* (.+?\.)(?=\s)", re.MULTILINE | re.DOTALL)
_SEVERITIES = ("page", "ticket", "heartbeat")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def table() -> str:
    """A row for each alert, in the order of the runbooks."""
    alerts: dict[str, list[Mapping[str, Any]]] = {}
    for alert in watched.alerts():
        alerts.setdefault(alert["alert"], []).append(alert)
    lines = [
        f"{len(alerts)} alerts. Each name leads to its runbook.\n",
        "| alert | severity | condition | `for` | `owner` |\n|---|---|---|---|---|",
    ]
    for name, means in meanings().items():
        rules = alerts[name]
        cells = [
            f"[{name}](runbooks.md#{name.lower()})",
            " or ".join(s for s in _SEVERITIES if any(rule["labels"]["severity"] == s for rule in rules)),
            means,
            _hold({rule["for"] for rule in rules}),
            _owner(rules),
        ]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return lines[0] + "\n" + "\n".join(lines[1:])


def meanings() -> dict[str, str]:
    """What each alert means in a sentence, by its name, in the order of the runbooks."""
    text = (ROOT / RUNBOOKS).read_text("utf-8")
    return {name: " ".join(sentence.split()) for name, sentence in _SECTION.findall(text)}


def _hold(holds: Iterable[str]) -> str:
    """The time for which the condition must hold. It may follow from the plan: then the range of the example."""
    by_length = sorted(holds, key=lambda hold: int(hold[:-1]) * _SECONDS[hold[-1]])
    words = [re.sub(r"(?<=\d)m", " min", hold).replace("h", " h").replace("s", " s") for hold in by_length]
    if by_length == ["0m"]:
        return "at once"
    return words[0] if len(words) == 1 else f"{words[0]} or more"


def _owner(rules: Iterable[Mapping[str, Any]]) -> str:
    labels = [rule["labels"] for rule in rules]
    if any("team" in each for each in labels):
        return "the team"
    return "the workload's team" if any("workload" in each for each in labels) else "tag `owner`"


def fill_document(text: str) -> str:
    """The text of the document with a new table."""
    before, _, remainder = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{remainder.partition(END)[2]}"


def main() -> None:
    draft = DOC.with_suffix(".part")
    draft.write_text(fill_document(DOC.read_text("utf-8")), "utf-8")
    draft.replace(DOC)


if __name__ == "__main__":
    main()
