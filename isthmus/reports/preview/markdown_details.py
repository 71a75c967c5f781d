"""The folded part of a preview's comment: every change, by component, old and new; what is noise stands together."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from isthmus.contracts.reports.preview import OPS, Change, Preview, PropertyChange
from isthmus.reports.format.escaping import code, cut, fence, html_code, shown, visible
from isthmus.reports.preview import wording as words

_PROPERTIES = 40
"""Of one resource; the JSON has all."""
_LINES = 40
"""Of a text that changes in some of its lines."""
_LONGEST = 300


@dataclass
class Block:
    """One component's changes: a folded part that can be shortened resource by resource."""

    summary: str
    """HTML, escaped."""
    texts: list[str] = field(default_factory=list)

    @property
    def resources(self) -> int:
        return len(self.texts)

    def fitted(self, room: int) -> tuple[str, int]:
        """As many resources as there is room for, and how many are left out."""
        top, bottom = f"<details><summary>{self.summary}</summary>", "</details>"
        left = room - len(top) - len(bottom) - 6
        kept: list[str] = []
        for text in self.texts:
            if len(text) + 2 > left:
                break
            kept.append(text)
            left -= len(text) + 2
        if not kept:
            return "", len(self.texts)
        return "\n\n".join([top, *kept, bottom]), len(self.texts) - len(kept)


def blocks(previews: Sequence[Preview]) -> Iterator[Block]:
    """By stack, then by component, what can hurt first; resources of which only noise changes come last."""
    several = len(previews) > 1
    for preview in previews:
        stack = f"{html_code(preview.stack)} " if several else ""
        loud = [each for each in preview.changes if not quiet(each)]
        for name, mine in _grouped(loud):
            whose = html_code(name) if name else "resources that stand alone"
            yield Block(f"{stack}{whose}: {_counted(mine)}", [_resource(each) for each in mine])
        soft = [each for each in preview.changes if quiet(each)]
        if soft:
            many = "1 resource changes" if len(soft) == 1 else f"{len(soft):,} resources change"
            texts = [_quiet_line(each) for each in soft]
            yield Block(f"{stack}{many} in tags, checksums and the like only", texts)


def quiet(change: Change) -> bool:
    """Whether nothing but noise changes in it."""
    return change.op == "update" and bool(change.properties) and all(each.noise for each in change.properties)


def _grouped(changes: Sequence[Change]) -> list[tuple[str, list[Change]]]:
    found: dict[str, list[Change]] = {}
    for each in changes:
        found.setdefault(each.component, []).append(each)
    # The changes are in the order of what can hurt, so a component stands where its worst one does.
    return list(found.items())


def _counted(changes: Sequence[Change]) -> str:
    ops = Counter(each.op for each in changes)
    return ", ".join(f"{ops[op]:,} to {op}" for op in OPS if ops[op])


def _resource(change: Change) -> str:
    because = words.because(change)
    word = "because of" if change.replaces_because else "if the provider must, because of"
    why = f", {word} {code(because, 300)}" if because else ""
    holds = (
        ", **holds state**"
        if change.stateful and (change.op in ("delete", "replace") or change.may_replace)
        else ""
    )
    head = f"**{words.effect(change)}** {code(words.kind(change))} {code(change.name)}{why}{holds}"
    loud = [each for each in change.properties if not each.noise]
    lines = [line for each in loud[:_PROPERTIES] for line in lines_of(each)]
    if len(loud) > _PROPERTIES:
        lines.append(
            f"  and {len(loud) - _PROPERTIES:,} more properties: isthmus preview --format json has all"
        )
    parts = [head]
    if lines:
        parts.append(fence(lines, "diff"))
    noise = [each.path for each in change.properties if each.noise]
    if noise:
        parts.append(f"and in tags, checksums and the like: {_listed(noise)}")
    return "\n\n".join(parts)


def _quiet_line(change: Change) -> str:
    return f"- {code(words.kind(change))} {code(change.name)}: {_listed([each.path for each in change.properties])}"


def _listed(paths: Sequence[str], most: int = 6) -> str:
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(code(each) for each in paths[:most]) + more


def lines_of(change: PropertyChange) -> list[str]:
    """Old and new, each on a line; of a text of many lines those that differ."""
    path = cut(visible(change.path), _LONGEST)
    old, new = change.old, change.new
    if change.secret and old == new:
        return [f"! {path}: a secret that changes"]
    if isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        return [f"  {path}:", *_text_lines(old, new)]
    lines = [] if old is None else [f"- {path}: {shown(old, _LONGEST)}"]
    return lines if new is None else [*lines, f"+ {path}: {shown(new, _LONGEST)}"]


def _text_lines(old: str, new: str) -> list[str]:
    found = [
        line[0] + "   " + cut(visible(line[1:]), _LONGEST)
        for line in difflib.unified_diff(old.split("\n"), new.split("\n"), n=1, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]
    if len(found) > _LINES:
        return [*found[:_LINES], f"    and {len(found) - _LINES:,} more lines"]
    return found
