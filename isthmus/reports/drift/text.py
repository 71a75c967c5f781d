"""Drift as text for a terminal: new data paths first, then unexpected changes, then expected ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.reports.drift import Drift, Drifted
from isthmus.reports.drift import wording as words
from isthmus.reports.preview import text as shared
from isthmus.reports.preview import wording as preview_wording
from isthmus.reports.preview.markdown_details import difference_lines

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
    """Return plain text, for a file or a pipe."""
    return shared.render_plain(renderables(drifts))


def renderables(drifts: Sequence[Drift]) -> Iterator[RenderableType]:
    """Yield the parts to print."""
    for drift in drifts:
        yield from _verdict_lines(drift)
    previews = [words.as_preview(drift) for drift in drifts]
    yield from _unseen_lines(drifts)
    yield from shared.paths_lines(previews)
    yield from shared.findings_lines(previews)
    for drift in drifts:
        yield from _drift_lines(drift, several=len(drifts) > 1)


def _verdict_lines(drift: Drift) -> Iterator[RenderableType]:
    verdict = words.verdict(drift)
    yield shared.line(f"{drift.stack}: {verdict}", _STYLES[verdict])
    if drift.status == "failed":
        yield shared.line("  the drift could not be determined", _STYLES["FAILED"])
    if drift.status == "partial":
        yield shared.line("  some of it could not be checked or decided", _STYLES["PARTIAL"])
    counts = [words.counts([drift])]
    if drift.policy:
        counts.append(preview_wording.findings_line([words.as_preview(drift)]))
    yield shared.line("  " + ", ".join(counts))
    for diagnostic in drift.diagnostics:
        style = "red" if diagnostic.severity == "error" else "yellow"
        yield shared.line(f"  {diagnostic.severity}: {diagnostic.message}", style)


def _unseen_lines(drifts: Sequence[Drift]) -> Iterator[RenderableType]:
    if any(drift.unseen for drift in drifts):
        yield shared.title("Not checked, so drift is possible")
    for drift in drifts:
        for unseen in drift.unseen:
            yield shared.line(f"  {unseen.what} ({unseen.where}): {unseen.why}", "yellow")


def _drift_lines(drift: Drift, *, several: bool) -> Iterator[RenderableType]:
    owner = f" of {drift.stack}" if several else ""
    for title, listed in (
        (f"Drifted resources{owner}", drift.unasked),
        (
            f"Changes expected by the platform{owner}",
            [drifted for drifted in drift.drifts if drifted.expected],
        ),
    ):
        if listed:
            yield shared.title(title)
        for drifted in listed:
            yield from _drifted_lines(drifted)


def _drifted_lines(drifted: Drifted) -> Iterator[RenderableType]:
    level = "expected" if drifted.expected else drifted.severity
    author = f"; {words.describe_author(drifted)}" if words.describe_author(drifted) else ""
    reason = drifted.expected or drifted.why
    yield shared.line(
        f"  {level}: {words.LABELS[drifted.what]} {words.describe_resource(drifted)}: {reason}{author}",
        _STYLES.get(level, ""),
    )
    for property_change in drifted.properties:
        for line in difference_lines(property_change):
            yield shared.difference(line)
