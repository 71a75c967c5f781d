"""A look for drift as a comment or an issue: the gravest first, every difference folded below, cut where it is long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isthmus.contracts.reports.drift import Drift, Drifted
from isthmus.reports.drift import wording as words
from isthmus.reports.format.escaping import code, fence, html_code, row
from isthmus.reports.preview import wording as preview_wording
from isthmus.reports.preview.markdown import LIMIT, failures, fitted, too_long
from isthmus.reports.preview.markdown_details import Block, lines_of
from isthmus.reports.preview.markdown_sections import Section, paths, policy, table

_SIGNS = {
    "FAILED": "⛔ FAILED",
    "REFUSED": "⛔ REFUSED",
    "DRIFT": "🔶 DRIFT",
    "PARTIAL": "⚠️ PARTIAL",
    "NO DRIFT": "✅ NO DRIFT",
}


def comment(drifts: Sequence[Drift], whole: str = "", limit: int = LIMIT) -> str:
    """The comment. `whole`: the name of the file that has all of it, where this has not."""
    alike = [words.as_preview(each) for each in drifts]
    head = "\n\n".join([_verdict(drifts), *failures(alike, limit // 4)])
    sections = [_unseen(drifts), paths(alike), policy(alike), _listed(drifts)]
    return fitted(head, sections, _blocks(drifts), whole, limit, "that are not as they were left")


def needs_rest(drifts: Sequence[Drift]) -> bool:
    """Whether a comment leaves something out."""
    return too_long(whole(drifts))


def whole(drifts: Sequence[Drift]) -> str:
    """All of it, however long."""
    return comment(drifts, limit=1_000_000_000)


def _verdict(drifts: Sequence[Drift]) -> str:
    names = ", ".join(code(each.stack) for each in drifts)
    told = [words.counts(drifts)]
    if any(each.status == "partial" for each in drifts):
        told.insert(0, "not all of it could be looked at or decided")
    lost = ", ".join(code(each.stack) for each in drifts if each.status == "failed")
    if lost:
        told.insert(0, f"what changed in {lost} could not be found out")
    if any(each.policy for each in drifts):
        told.append(preview_wording.findings([words.as_preview(each) for each in drifts]))
    line = f"**{_SIGNS[words.worst(drifts)]}** {names}: {' · '.join(told)}"
    if len(drifts) == 1:
        return line
    rows = ["| stack | verdict | drift |", "|---|---|---|"]
    rows += [row([code(each.stack), _SIGNS[words.verdict(each)], words.counts([each])]) for each in drifts]
    return f"{line}\n\n" + "\n".join(rows)


def _unseen(drifts: Sequence[Drift]) -> Section:
    rows = [[code(one.what), code(one.where), code(one.why, 300)] for each in drifts for one in each.unseen]
    return table("Not looked at: there may be drift in it", 10, ["what", "where", "why"], rows)


def _listed(drifts: Sequence[Drift]) -> Section:
    rows = []
    for drift in drifts:
        for each in drift.drifts:
            loud = f"**{each.severity}**" if each.severity in ("critical", "high") else each.severity
            level = "expected" if each.expected else loud
            by = ", ".join(code(one) for one in each.by) or "-"
            what = f"{code(preview_wording.kind(each))} {code(each.name)}"
            cells = [level, words.SAID[each.what], what, code(each.where) if each.where else "-", by]
            cells += [code(each.since) if each.since else "-", code(each.expected or each.why, 300)]
            rows.append([code(drift.stack), *cells] if len(drifts) > 1 else cells)
    columns = ["", "what", "resource", "where", "by", "since", "why"]
    return table("What is not as it was left", 30, ["stack", *columns] if len(drifts) > 1 else columns, rows)


def _blocks(drifts: Sequence[Drift]) -> Iterator[Block]:
    for drift in drifts:
        stack = f"{html_code(drift.stack)} " if len(drifts) > 1 else ""
        found = [each for each in drift.drifts if each.properties]
        if found:
            yield Block(
                f"{stack}{len(found):,} differences, old and new", [_resource(each) for each in found]
            )


def _resource(each: Drifted) -> str:
    head = f"**{words.SAID[each.what]}** {code(preview_wording.kind(each))} {code(each.name)}"
    lines = [line for one in each.properties for line in lines_of(one)]
    return f"{head}\n\n{fence(lines, 'diff')}"
