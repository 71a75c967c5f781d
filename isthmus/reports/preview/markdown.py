"""Previews as one comment of a pull request: what can hurt comes first, all changes are folded below.

A comment is cut at the end of a row or a resource, and names the file that has the rest. Values are in code spans,
fenced blocks and `<code>` only, where no link, mention or tag is read.
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
"""Kept for the line that says what was cut."""


def comment(previews: Sequence[Preview], whole: str = "", limit: int = LIMIT) -> str:
    """The comment. `whole`: the name of the file that has all of it, where this has not."""
    head = "\n\n".join([_verdict(previews), *failures(previews, limit // 4)])
    return fitted(head, sections(previews), details(previews), whole, limit, "that change")


def fitted(
    head: str, sections: Iterable[Section], blocks: Iterable[Block], whole: str, limit: int, which: str
) -> str:
    """A comment of at most `limit` characters. `which`: what is so of the resources that there is no room for."""
    parts = [head]
    left = limit - len(head) - _ROOM
    where = f"the rest is in {code(whole)}" if whole else "the rest is left out"
    for section in sections:
        # No section takes the room of those behind it, however long it is.
        text = section.text(min(section.share * limit // 100, left - 2), where)
        if text:
            parts.append(text)
            left -= len(text) + 2
    body, missing = _fitted(blocks, left)
    parts += body
    if missing:
        noun = "resource" if missing == 1 else "resources"
        parts.append(f"**{missing:,} more {noun}** {which}: {where}.")
    return "\n\n".join(parts) + "\n"


def needs_rest(previews: Sequence[Preview], limit: int = LIMIT) -> bool:
    """Whether a comment leaves something out."""
    return too_long(whole(previews), limit)


def too_long(text: str, limit: int = LIMIT) -> bool:
    """Whether the whole of a comment is more than a comment takes."""
    return len(text) > limit - _ROOM


def whole(previews: Sequence[Preview]) -> str:
    """All of it, however long."""
    return comment(previews, limit=1_000_000_000)


def _verdict(previews: Sequence[Preview]) -> str:
    worst = words.worst(previews)
    names = ", ".join(code(each.stack) for each in previews)
    told = [words.counts(previews), words.ways(previews), words.cost(previews), words.findings(previews)]
    told.append(words.commit(previews, code))
    lost = [each for each in previews if each.status == "failed"]
    if lost:
        which = ", ".join(code(each.stack) for each in lost)
        told.insert(0, f"what would change in {which} could not be found out")
    if any(each.status == "partial" for each in previews):
        told.insert(0, "not all of it could be found out or decided")
    line = f"**{_SIGNS[worst]}** {names}: {' · '.join(each for each in told if each)}"
    if len(previews) == 1:
        return line
    rows = ["| stack | verdict | changes | cost | findings |", "|---|---|---|---|---|"]
    for each in previews:
        one = [each]
        cells = [code(each.stack), _SIGNS[words.verdict(each)], words.counts(one), words.cost(one)]
        rows.append(row([*cells, words.findings(one)]))
    return f"{line}\n\n" + "\n".join(rows)


def failures(previews: Sequence[Preview], room: int) -> Iterable[str]:
    """What went wrong, at once below the verdict."""
    rows = []
    for preview in previews:
        whose = f"{code(preview.stack)}: " if len(previews) > 1 else ""
        for each in preview.diagnostics:
            rows.append(f"- {whose}**{each.severity}** {code(each.message, 600)}")
    kept: list[str] = []
    while rows and room - len(rows[0]) > 0:
        room -= len(rows[0]) + 1
        kept.append(rows.pop(0))
    if rows:
        kept.append(f"- and {len(rows):,} more")
    if kept:
        yield "\n".join(kept)


def _fitted(blocks: Iterable[Block], room: int) -> tuple[list[str], int]:
    """The folded changes that there is room for, and how many resources are left out."""
    kept: list[str] = []
    missing = 0
    for block in blocks:
        text, left_out = block.fitted(room) if not missing else ("", block.resources)
        missing += left_out
        if text:
            kept.append(text)
            room -= len(text) + 2
    return kept, missing
