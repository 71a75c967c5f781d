"""Evidence for an auditor, as text, Markdown and a table for a spreadsheet: from the contract and nothing else."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from isthmus.contracts.reports.evidence import RESULTS, Evidence, Row
from isthmus.contracts.reports.findings import Control
from isthmus.reports.format.escaping import code, visible
from isthmus.reports.format.escaping import row as table_row

SUPPORTS = "Each check supports what is named beside it, and meets none of it by itself."
COLUMNS = (
    *("control", "supports", "check", "severity", "resource", "type", "urn", "result", "found"),
    *("owner", "reason", "until", "as_of", "commit", "looked_at", "digest"),
)
NOT_CHECKED = "not checked here"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With which a cell begins that a spreadsheet would work out."""


def text(evidence: Evidence) -> str:
    """For a terminal: what does not hold first; of what holds, the control and how many resources it was asked of."""
    lines = [_head(evidence), _counts(evidence.rows), SUPPORTS, ""]
    for result in RESULTS:
        for check, rows in _grouped([row for row in evidence.rows if row.result == result]):
            for each in rows[:1] if result == "holds" else rows:
                about = _many(rows) if result == "holds" else _about(each)
                lines.append(f"{result:>14}  {check}: {each.control}{about}")
                lines += [f"{'':16}{line}" for line in _told(each)]
            lines.append(f"{'':16}supports {supports(rows[0].supports)}")
    for each in evidence.not_checked:
        lines += [f"{'not checked':>14}  {each.control}", f"{'':16}{each.why}"]
    return "\n".join(map(visible, lines)) + "\n"


def markdown(evidence: Evidence) -> str:
    """A table for each control, what was found under it."""
    parts = [
        f"# Evidence: {code(evidence.stack)}",
        "",
        _head(evidence),
        "",
        _counts(evidence.rows),
        "",
        SUPPORTS,
    ]
    for check, rows in _grouped(evidence.rows):
        one = rows[0]
        parts += ["", f"## {visible(one.control)}", "", f"Check {code(check)}, {one.severity}; supports:", ""]
        parts += [f"- {visible(each)}" for each in _by_framework(one.supports)]
        parts += ["", table_row(("resource", "type", "result", "found")), table_row(["---"] * 4)]
        for each in rows:
            found = [code(line, 400) for line in _told(each)]
            name = code(each.resource) if each.resource else _nobody(each)
            kind = code(each.type) if each.type else ""
            parts.append(table_row((name, kind, f"**{each.result}**", "<br>".join(found))))
    parts += [
        "",
        "## Not checked here",
        "",
        table_row(("control", "supports", "why")),
        table_row(["---"] * 3),
    ]
    for each in evidence.not_checked:
        parts.append(table_row((each.control, supports(each.supports), each.why)))
    return "\n".join(parts) + "\n"


def table(evidence: Evidence) -> str:
    """Comma-separated, a line for each control and resource; no cell is a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    same = (evidence.as_of.isoformat(), evidence.commit, evidence.of, evidence.digest)
    for each in evidence.rows:
        cells = (
            *(each.control, supports(each.supports), each.check, each.severity, each.resource, each.type),
            *(each.urn, each.result, "; ".join(each.said), each.owner, each.reason),
            each.until.isoformat() if each.until else "",
        )
        writer.writerow(map(_cell, (*cells, *same)))
    for one in evidence.not_checked:
        cells = (one.control, supports(one.supports), "", "", "", "", "", NOT_CHECKED, one.why, "", "", "")
        writer.writerow(map(_cell, (*cells, *same)))
    return out.getvalue()


def supports(controls: Iterable[Control]) -> str:
    return "; ".join(_by_framework(controls))


def _by_framework(controls: Iterable[Control]) -> list[str]:
    found: dict[str, list[str]] = {}
    for each in controls:
        found.setdefault(f"{each.framework} {each.version}", []).append(each.id)
    return [f"{name}: {', '.join(ids)}" for name, ids in found.items()]


def _head(evidence: Evidence) -> str:
    what = "what its program asks for" if evidence.of == "rendering" else "what its state says that stands"
    commit = f", files of commit {evidence.commit}" if evidence.commit else ", files of no commit"
    return (
        f"{evidence.stack}, {evidence.as_of.isoformat()}: {what}, {evidence.resources} resources"
        f" ({evidence.digest}){commit}."
    )


def _counts(rows: Sequence[Row]) -> str:
    found = Counter(each.result for each in rows)
    controls = len({each.check for each in rows})
    told = [f"{found[result]} {result}" for result in RESULTS if found[result]]
    return f"{controls} controls, {len(rows)} answers: {', '.join(told) or 'none'}."


def _grouped(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    found: dict[str, list[Row]] = {}
    for each in rows:
        found.setdefault(each.check, []).append(each)
    return iter(found.items())


def _about(row: Row) -> str:
    return f" [{row.resource}]" if row.resource else ""


def _many(rows: Sequence[Row]) -> str:
    named = sum(1 for each in rows if each.resource)
    return f" [{named} resources]" if named > 1 else _about(rows[0]) or " [the stack as a whole]"


def _nobody(row: Row) -> str:
    return "" if row.result in ("not applicable", "switched off") else "the stack as a whole"


def _told(row: Row) -> list[str]:
    until = f" until {row.until.isoformat()}" if row.until else ""
    owner = [f"{row.owner} answers for it{until}: {row.reason}"] if row.owner else []
    return [*row.said, *owner]


def _cell(value: str) -> str:
    shown = visible(value)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
