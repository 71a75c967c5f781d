"""Previews as one pull request comment: the most dangerous first, all changes folded below.

A comment is cut at the end of a row or a resource, and names the file with the rest. Values appear only in code spans,
fenced blocks and `<code>`, where no link, mention or tag is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isthmus.contracts.reports.preview import Preview
from isthmus.reports.format.escaping import code, row
from isthmus.reports.preview import wording as words
from isthmus.reports.preview.markdown_details import Block
from isthmus.reports.preview.markdown_details import blocks as details
from isthmus.reports.preview.markdown_sections import Section, sections

LIMIT = 60_000
"""Characters; GitHub takes 65,536."""
_SIGNS = {
    "FAILED": "⛔ FAILED",
    "PARTIAL": "⚠️ PARTIAL",
    "REFUSED": "⛔ REFUSED",
    "CHANGES": "🔶 CHANGES",
    "UNCHANGED": "✅ UNCHANGED",
}
_ROOM = 400
"""Reserved for the line about what was cut."""


def comment(previews: Sequence[Preview], full_report: str = "", limit: int = LIMIT) -> str:
    """Return the comment. `full_report`: name of the file with the full report, mentioned if the comment is cut."""
    head = "\n\n".join([_verdict(previews), *failures(previews, limit // 4)])
    return fit_comment(head, sections(previews), details(previews), full_report, limit, "that change")


def fit_comment(
    head: str,
    sections: Iterable[Section],
    blocks: Iterable[Block],
    full_report: str,
    limit: int,
    description: str,
) -> str:
    """Return a comment of at most `limit` characters. `description`: what the left-out resources have in common."""
    texts = [head]
    left = limit - len(head) - _ROOM
    where = f"the rest is in {code(full_report)}" if full_report else "the rest is left out"
    for section in sections:
        # A long section does not take the room of later ones.
        text = section.text(min(section.share * limit // 100, left - 2), where)
        if text:
            texts.append(text)
            left -= len(text) + 2
    body, missing = _fit_blocks(blocks, left)
    texts += body
    if missing:
        noun = "resource" if missing == 1 else "resources"
        texts.append(f"**{missing:,} more {noun}** {description}: {where}.")
    return "\n\n".join(texts) + "\n"


def needs_rest(previews: Sequence[Preview], limit: int = LIMIT) -> bool:
    """Whether the comment leaves something out."""
    return too_long(full_comment(previews), limit)


def too_long(text: str, limit: int = LIMIT) -> bool:
    """Whether the full text is longer than a comment may be."""
    return len(text) > limit - _ROOM


def full_comment(previews: Sequence[Preview]) -> str:
    """Return the full report, however long."""
    return comment(previews, limit=1_000_000_000)


def _verdict(previews: Sequence[Preview]) -> str:
    worst = words.worst(previews)
    names = ", ".join(code(preview.stack) for preview in previews)
    clauses = [
        words.changes_line(previews),
        words.data_paths_line(previews),
        words.cost_line(previews),
        words.findings_line(previews),
    ]
    clauses.append(words.commit_line(previews, code))
    failed = [preview for preview in previews if preview.status == "failed"]
    if failed:
        failed_stacks = ", ".join(code(preview.stack) for preview in failed)
        clauses.insert(0, f"the changes of {failed_stacks} could not be determined")
    if any(preview.status == "partial" for preview in previews):
        clauses.insert(0, "some of it could not be determined or decided")
    line = f"**{_SIGNS[worst]}** {names}: {' · '.join(clause for clause in clauses if clause)}"
    if len(previews) == 1:
        return line
    rows = ["| stack | verdict | changes | cost | findings |", "|---|---|---|---|---|"]
    for preview in previews:
        single = [preview]
        cells = [
            code(preview.stack),
            _SIGNS[words.verdict(preview)],
            words.changes_line(single),
            words.cost_line(single),
        ]
        rows.append(row([*cells, words.findings_line(single)]))
    return f"{line}\n\n" + "\n".join(rows)


def failures(previews: Sequence[Preview], room: int) -> Iterable[str]:
    """Yield the diagnostics, directly below the verdict."""
    rows = []
    for preview in previews:
        prefix = f"{code(preview.stack)}: " if len(previews) > 1 else ""
        for diagnostic in preview.diagnostics:
            rows.append(f"- {prefix}**{diagnostic.severity}** {code(diagnostic.message, 600)}")
    shown: list[str] = []
    while rows and room - len(rows[0]) > 0:
        room -= len(rows[0]) + 1
        shown.append(rows.pop(0))
    if rows:
        shown.append(f"- and {len(rows):,} more")
    if shown:
        yield "\n".join(shown)


def _fit_blocks(blocks: Iterable[Block], room: int) -> tuple[list[str], int]:
    """Return the folded changes that fit, and how many resources are left out."""
    texts: list[str] = []
    missing = 0
    for block in blocks:
        text, left_out = block.fitted(room) if not missing else ("", block.resources)
        missing += left_out
        if text:
            texts.append(text)
            room -= len(text) + 2
    return texts, missing
