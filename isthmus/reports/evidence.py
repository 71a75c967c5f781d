"""Evidence for an auditor as text, Markdown and a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from isthmus.contracts.reports.evidence import RESULTS, Evidence, Row
from isthmus.contracts.reports.findings import Control
from isthmus.reports.format.escaping import code, visible
from isthmus.reports.format.escaping import row as table_row

SUPPORTS = "A check supports the controls that are listed with it. It does not meet a control by itself."
COLUMNS = (
    *("control", "supports", "check", "severity", "resource", "type", "urn", "result", "found"),
    *("owner", "reason", "until", "as_of", "commit", "looked_at", "digest"),
)
NOT_CHECKED = "not checked here"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet evaluates a cell that begins with one of these."""


def text(evidence: Evidence) -> str:
    """Return text for a terminal: failed checks first. A check that holds is one line with its number of resources."""
    lines = [_summary_line(evidence), _counts_line(evidence.rows), SUPPORTS, ""]
    for result in RESULTS:
        for check, rows in _rows_by_check([row for row in evidence.rows if row.result == result]):
            for row in rows[:1] if result == "holds" else rows:
                subject = _resource_count(rows) if result == "holds" else _resource_suffix(row)
                lines.append(f"{result:>14}  {check}: {row.control}{subject}")
                lines += [f"{'':16}{line}" for line in _statements(row)]
            lines.append(f"{'':16}supports {supports(rows[0].supports)}")
    for control in evidence.not_checked:
        lines += [f"{'not checked':>14}  {control.control}", f"{'':16}{control.why}"]
    return "\n".join(map(visible, lines)) + "\n"


def markdown(evidence: Evidence) -> str:
    """Return Markdown with a table for each control."""
    lines = [
        f"# Evidence: {code(evidence.stack)}",
        "",
        _summary_line(evidence),
        "",
        _counts_line(evidence.rows),
        "",
        SUPPORTS,
    ]
    for check, rows in _rows_by_check(evidence.rows):
        first = rows[0]
        lines += [
            "",
            f"## {visible(first.control)}",
            "",
            f"Check {code(check)}, {first.severity}; supports:",
            "",
        ]
        lines += [f"- {visible(control)}" for control in _controls_by_framework(first.supports)]
        lines += ["", table_row(("resource", "type", "result", "found")), table_row(["---"] * 4)]
        for row in rows:
            statements = [code(line, 400) for line in _statements(row)]
            name = code(row.resource) if row.resource else _stack_name(row)
            type_name = code(row.type) if row.type else ""
            lines.append(table_row((name, type_name, f"**{row.result}**", "<br>".join(statements))))
    lines += [
        "",
        "## Not checked here",
        "",
        table_row(("control", "supports", "why")),
        table_row(["---"] * 3),
    ]
    for unchecked in evidence.not_checked:
        lines.append(table_row((unchecked.control, supports(unchecked.supports), unchecked.why)))
    return "\n".join(lines) + "\n"


def table(evidence: Evidence) -> str:
    """Return comma-separated values, a line for each control and resource. No cell is a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    common = (evidence.as_of.isoformat(), evidence.commit, evidence.of, evidence.digest)
    for row in evidence.rows:
        cells = (
            *(row.control, supports(row.supports), row.check, row.severity, row.resource, row.type),
            *(row.urn, row.result, "; ".join(row.said), row.owner, row.reason),
            row.until.isoformat() if row.until else "",
        )
        writer.writerow(map(_cell, (*cells, *common)))
    for unchecked in evidence.not_checked:
        cells = (
            unchecked.control,
            supports(unchecked.supports),
            "",
            "",
            "",
            "",
            "",
            NOT_CHECKED,
            unchecked.why,
            "",
            "",
            "",
        )
        writer.writerow(map(_cell, (*cells, *common)))
    return buffer.getvalue()


def supports(controls: Iterable[Control]) -> str:
    return "; ".join(_controls_by_framework(controls))


def _controls_by_framework(controls: Iterable[Control]) -> list[str]:
    ids_by_framework: dict[str, list[str]] = {}
    for control in controls:
        ids_by_framework.setdefault(f"{control.framework} {control.version}", []).append(control.id)
    return [f"{name}: {', '.join(ids)}" for name, ids in ids_by_framework.items()]


def _summary_line(evidence: Evidence) -> str:
    source = "its program" if evidence.of == "rendering" else "its state"
    commit = f", files of commit {evidence.commit}" if evidence.commit else ", files without a commit"
    return (
        f"{evidence.stack}, {evidence.as_of.isoformat()}: {evidence.resources} resources of {source}"
        f" ({evidence.digest}){commit}."
    )


def _counts_line(rows: Sequence[Row]) -> str:
    by_result = Counter(row.result for row in rows)
    controls = len({row.check for row in rows})
    results = [f"{by_result[result]} {result}" for result in RESULTS if by_result[result]]
    return f"{controls} controls, {len(rows)} results: {', '.join(results) or 'none'}."


def _rows_by_check(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    rows_by_check: dict[str, list[Row]] = {}
    for row in rows:
        rows_by_check.setdefault(row.check, []).append(row)
    return iter(rows_by_check.items())


def _resource_suffix(row: Row) -> str:
    return f" [{row.resource}]" if row.resource else ""


def _resource_count(rows: Sequence[Row]) -> str:
    with_resource = sum(1 for row in rows if row.resource)
    return (
        f" [{with_resource} resources]"
        if with_resource > 1
        else _resource_suffix(rows[0]) or " [the whole stack]"
    )


def _stack_name(row: Row) -> str:
    return "" if row.result in ("not applicable", "switched off") else "the whole stack"


def _statements(row: Row) -> list[str]:
    until = f" until {row.until.isoformat()}" if row.until else ""
    owner = [f"{row.owner} is responsible{until}: {row.reason}"] if row.owner else []
    return [*row.said, *owner]


def _cell(value: str) -> str:
    shown = visible(value)
    return f"'{shown}" if shown.startswith(_FORMULA_STARTS) else shown
