"""Drift as Markdown for a comment or an issue: the most severe first, differences folded, cut if too long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isthmus.contracts.reports.drift import Drift, Drifted
from isthmus.reports.drift import wording as words
from isthmus.reports.format.escaping import code, fence, html_code, row
from isthmus.reports.preview import wording as preview_wording
from isthmus.reports.preview.markdown import LIMIT, failures, fit_comment, too_long
from isthmus.reports.preview.markdown_details import Block, difference_lines
from isthmus.reports.preview.markdown_sections import Section, paths_section, policy_section, table

_SIGNS = {
    "FAILED": "⛔ FAILED",
    "REFUSED": "⛔ REFUSED",
    "DRIFT": "🔶 DRIFT",
    "PARTIAL": "⚠️ PARTIAL",
    "NO DRIFT": "✅ NO DRIFT",
}


def comment(drifts: Sequence[Drift], full_report: str = "", limit: int = LIMIT) -> str:
    """Return the comment. `full_report`: name of the file with the full report, mentioned if the comment is cut."""
    previews = [words.as_preview(drift) for drift in drifts]
    head = "\n\n".join([_verdict(drifts), *failures(previews, limit // 4)])
    sections = [
        _unseen_section(drifts),
        paths_section(previews),
        policy_section(previews),
        _drifts_section(drifts),
    ]
    return fit_comment(head, sections, _blocks(drifts), full_report, limit, "that have drifted")


def needs_rest(drifts: Sequence[Drift]) -> bool:
    """Whether the comment leaves something out."""
    return too_long(full_comment(drifts))


def full_comment(drifts: Sequence[Drift]) -> str:
    """Return the full report, however long."""
    return comment(drifts, limit=1_000_000_000)


def _verdict(drifts: Sequence[Drift]) -> str:
    names = ", ".join(code(drift.stack) for drift in drifts)
    sentences = [words.counts(drifts)]
    if any(drift.status == "partial" for drift in drifts):
        sentences.insert(0, "some of it could not be checked or decided")
    failed = ", ".join(code(drift.stack) for drift in drifts if drift.status == "failed")
    if failed:
        sentences.insert(0, f"the drift of {failed} could not be determined")
    if any(drift.policy for drift in drifts):
        sentences.append(preview_wording.findings_line([words.as_preview(drift) for drift in drifts]))
    line = f"**{_SIGNS[words.worst(drifts)]}** {names}: {' · '.join(sentences)}"
    if len(drifts) == 1:
        return line
    rows = ["| stack | verdict | drift |", "|---|---|---|"]
    rows += [
        row([code(drift.stack), _SIGNS[words.verdict(drift)], words.counts([drift])]) for drift in drifts
    ]
    return f"{line}\n\n" + "\n".join(rows)


def _unseen_section(drifts: Sequence[Drift]) -> Section:
    rows = [
        [code(unseen.what), code(unseen.where), code(unseen.why, 300)]
        for drift in drifts
        for unseen in drift.unseen
    ]
    return table("Not checked, so drift is possible", 10, ["what", "where", "why"], rows)


def _drifts_section(drifts: Sequence[Drift]) -> Section:
    rows = []
    for drift in drifts:
        for drifted in drift.drifts:
            severity = (
                f"**{drifted.severity}**" if drifted.severity in ("critical", "high") else drifted.severity
            )
            level = "expected" if drifted.expected else severity
            managers = ", ".join(code(manager) for manager in drifted.by) or "-"
            resource = f"{code(preview_wording.resource_type(drifted))} {code(drifted.name)}"
            cells = [
                level,
                words.LABELS[drifted.what],
                resource,
                code(drifted.where) if drifted.where else "-",
                managers,
            ]
            cells += [
                code(drifted.since) if drifted.since else "-",
                code(drifted.expected or drifted.why, 300),
            ]
            rows.append([code(drift.stack), *cells] if len(drifts) > 1 else cells)
    columns = ["", "what", "resource", "where", "by", "since", "why"]
    return table("Drifted resources", 30, ["stack", *columns] if len(drifts) > 1 else columns, rows)


def _blocks(drifts: Sequence[Drift]) -> Iterator[Block]:
    for drift in drifts:
        stack = f"{html_code(drift.stack)} " if len(drifts) > 1 else ""
        differing = [drifted for drifted in drift.drifts if drifted.properties]
        if differing:
            yield Block(
                f"{stack}{len(differing):,} differences, old and new",
                [_resource_difference(drifted) for drifted in differing],
            )


def _resource_difference(drifted: Drifted) -> str:
    head = f"**{words.LABELS[drifted.what]}** {code(preview_wording.resource_type(drifted))} {code(drifted.name)}"
    lines = [line for property_change in drifted.properties for line in difference_lines(property_change)]
    return f"{head}\n\n{fence(lines, 'diff')}"
