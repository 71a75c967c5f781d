"""A look for drift for a terminal: what opens a way first, then what was changed, what was asked for last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.reports.drift import Drift, Drifted
from isthmus.reports.drift import wording as words
from isthmus.reports.preview import text as shared
from isthmus.reports.preview import wording as preview_wording
from isthmus.reports.preview.markdown_details import lines_of

if TYPE_CHECKING:
    from rich.console import RenderableType

_STYLES = {
    "FAILED": "bold red",
    "REFUSED": "bold red",
    "DRIFT": "bold yellow",
    "PARTIAL": "bold yellow",
    "NO DRIFT": "bold green",
    "critical": "red",
    "high": "red",
    "medium": "yellow",
}


def text(drifts: Sequence[Drift]) -> str:
    """As plain text, for a file or a pipe."""
    return shared.plain(parts(drifts))


def parts(drifts: Sequence[Drift]) -> Iterator[RenderableType]:
    """What is printed, one after the other."""
    for each in drifts:
        yield from _head(each)
    alike = [words.as_preview(each) for each in drifts]
    yield from _unseen(drifts)
    yield from shared.paths(alike)
    yield from shared.findings(alike)
    for each in drifts:
        yield from _drifts(each, several=len(drifts) > 1)


def _head(drift: Drift) -> Iterator[RenderableType]:
    word = words.verdict(drift)
    yield shared.line(f"{drift.stack}: {word}", _STYLES[word])
    if drift.status == "failed":
        yield shared.line("  what changed could not be found out", _STYLES["FAILED"])
    if drift.status == "partial":
        yield shared.line("  not all of it could be looked at or decided", _STYLES["PARTIAL"])
    told = [words.counts([drift])]
    if drift.policy:
        told.append(preview_wording.findings([words.as_preview(drift)]))
    yield shared.line("  " + ", ".join(told))
    for each in drift.diagnostics:
        style = "red" if each.severity == "error" else "yellow"
        yield shared.line(f"  {each.severity}: {each.message}", style)


def _unseen(drifts: Sequence[Drift]) -> Iterator[RenderableType]:
    if any(each.unseen for each in drifts):
        yield shared.title("Not looked at: there may be drift in it")
    for drift in drifts:
        for each in drift.unseen:
            yield shared.line(f"  {each.what} ({each.where}): {each.why}", "yellow")


def _drifts(drift: Drift, *, several: bool) -> Iterator[RenderableType]:
    whose = f" of {drift.stack}" if several else ""
    for title, found in (
        (f"What is not as it was left{whose}", drift.unasked),
        (f"What the platform asked for{whose}", [each for each in drift.drifts if each.expected]),
    ):
        if found:
            yield shared.title(title)
        for each in found:
            yield from _one(each)


def _one(each: Drifted) -> Iterator[RenderableType]:
    level = "expected" if each.expected else each.severity
    by = f"; {words.who(each)}" if words.who(each) else ""
    why = each.expected or each.why
    yield shared.line(
        f"  {level}: {words.SAID[each.what]} {words.named(each)}: {why}{by}", _STYLES.get(level, "")
    )
    for one in each.properties:
        for told in lines_of(one):
            yield shared.difference(told)
