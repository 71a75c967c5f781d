"""Finds values that are split over adjacent texts, such as two content parts of one message.

The detector looks at each text by itself. A chat template puts adjacent texts together again, so the model reads the
whole value. The text around each boundary is therefore checked once more, joined with a space and without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from edge.redaction import Detection, Finding
from edge.redaction.findings import merge_overlapping

_REACH = 256
"""Characters on each side of a boundary. The longest number and its context words are shorter."""
_SEPARATORS = (" ", "")


@dataclass(frozen=True)
class Seam:
    """The text around one or more boundaries, and where each of its characters comes from."""

    text: str
    pieces: tuple[tuple[int, int, int, int], ...]
    """Of each source: its begin and end in `text`, its position among the texts, and where it begins in that text."""

    def findings(self, detection: Detection) -> Iterator[tuple[int, Finding]]:
        """The findings that cross a boundary: for each source its position and the part of the finding in it."""
        for finding in detection.findings:
            touched = [piece for piece in self.pieces if finding.start < piece[1] and finding.end > piece[0]]
            if len(touched) < 2:
                continue
            for begin, end, position, offset in touched:
                start, stop = max(finding.start, begin), min(finding.end, end)
                yield (
                    position,
                    replace(finding, start=start - begin + offset, end=stop - begin + offset),
                )


def build_seams(texts: Sequence[str], runs: Sequence[Sequence[int]]) -> list[Seam]:
    """The seams of each run of positions in `texts`, once for each separator."""
    return [
        _build_seam(group, texts, separator)
        for run in runs
        for group in _groups([position for position in run if texts[position]], texts)
        if len(group) > 1
        for separator in _SEPARATORS
    ]


def add_findings(
    detections: Sequence[Detection], seams: Sequence[Seam], seam_detections: Sequence[Detection]
) -> list[Detection]:
    """The detections of the texts, with what was found across their boundaries."""
    findings_by_text: dict[int, list[Finding]] = {}
    for seam, detection in zip(seams, seam_detections, strict=True):
        for position, finding in seam.findings(detection):
            findings_by_text.setdefault(position, []).append(finding)
    return [
        replace(detection, findings=merge_overlapping([*detection.findings, *findings_by_text[at]]))
        if at in findings_by_text
        else detection
        for at, detection in enumerate(detections)
    ]


def _groups(run: Sequence[int], texts: Sequence[str]) -> Iterator[list[tuple[int, int, int]]]:
    """Groups of sources (position, begin, end) to check together. A text longer than two reaches ends a group."""
    group: list[tuple[int, int, int]] = []
    for position in run:
        length = len(texts[position])
        if length <= 2 * _REACH:
            group.append((position, 0, length))
            continue
        yield [*group, (position, 0, _REACH)]
        group = [(position, length - _REACH, length)]
    yield group


def _build_seam(group: Sequence[tuple[int, int, int]], texts: Sequence[str], separator: str) -> Seam:
    fragments: list[str] = []
    pieces: list[tuple[int, int, int, int]] = []
    at = 0
    for position, begin, end in group:
        if fragments:
            fragments.append(separator)
            at += len(separator)
        fragments.append(texts[position][begin:end])
        pieces.append((at, at + end - begin, position, begin))
        at += end - begin
    return Seam("".join(fragments), tuple(pieces))
