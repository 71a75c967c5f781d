"""The folded part of a preview's comment: all changes by component, with old and new values. Noise is grouped."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from isthmus.contracts.reports.preview import OPS, Change, Preview, PropertyChange
from isthmus.reports.format.escaping import code, cut, fence, html_code, shown, visible
from isthmus.reports.preview import wording as words

_PROPERTIES = 40
"""Maximum properties of a resource. The JSON lists all."""
_LINES = 40
"""Maximum lines of the difference of a text."""
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
        """Return the resources that fit, and how many are left out."""
        top, bottom = f"<details><summary>{self.summary}</summary>", "</details>"
        left = room - len(top) - len(bottom) - 6
        shown: list[str] = []
        for text in self.texts:
            if len(text) + 2 > left:
                break
            shown.append(text)
            left -= len(text) + 2
        if not shown:
            return "", len(self.texts)
        return "\n\n".join([top, *shown, bottom]), len(self.texts) - len(shown)


def blocks(previews: Sequence[Preview]) -> Iterator[Block]:
    """Yield blocks by stack and component, the most dangerous first, those with only noise last."""
    several = len(previews) > 1
    for preview in previews:
        stack = f"{html_code(preview.stack)} " if several else ""
        notable = [change for change in preview.changes if not is_noise_only(change)]
        for name, changes in _changes_by_component(notable):
            component = html_code(name) if name else "resources without a component"
            yield Block(
                f"{stack}{component}: {_operation_counts(changes)}",
                [_resource_text(change) for change in changes],
            )
        only_noise = [change for change in preview.changes if is_noise_only(change)]
        if only_noise:
            many = "1 resource changes" if len(only_noise) == 1 else f"{len(only_noise):,} resources change"
            texts = [_quiet_line(change) for change in only_noise]
            yield Block(f"{stack}{many} in tags, checksums and the like only", texts)


def is_noise_only(change: Change) -> bool:
    """Whether the change is only noise: tags, checksums and the like."""
    return (
        change.op == "update"
        and bool(change.properties)
        and all(property_change.noise for property_change in change.properties)
    )


def _changes_by_component(changes: Sequence[Change]) -> list[tuple[str, list[Change]]]:
    by_component: dict[str, list[Change]] = {}
    for change in changes:
        by_component.setdefault(change.component, []).append(change)
    # Changes are sorted by danger, so a component appears where its most dangerous change does.
    return list(by_component.items())


def _operation_counts(changes: Sequence[Change]) -> str:
    ops = Counter(change.op for change in changes)
    return ", ".join(f"{ops[op]:,} to {op}" for op in OPS if ops[op])


def _resource_text(change: Change) -> str:
    because = words.replacement_reasons(change)
    connective = "because of" if change.replaces_because else "if the provider requires it, because of"
    why = f", {connective} {code(because, 300)}" if because else ""
    holds = (
        ", **holds state**"
        if change.stateful and (change.op in ("delete", "replace") or change.may_replace)
        else ""
    )
    head = (
        f"**{words.effect_word(change)}** {code(words.resource_type(change))} {code(change.name)}{why}{holds}"
    )
    notable = [property_change for property_change in change.properties if not property_change.noise]
    lines = [line for property_change in notable[:_PROPERTIES] for line in difference_lines(property_change)]
    if len(notable) > _PROPERTIES:
        lines.append(
            f"  and {len(notable) - _PROPERTIES:,} more properties: see isthmus preview --format json"
        )
    texts = [head]
    if lines:
        texts.append(fence(lines, "diff"))
    noise = [property_change.path for property_change in change.properties if property_change.noise]
    if noise:
        texts.append(f"and in tags, checksums and the like: {_path_list(noise)}")
    return "\n\n".join(texts)


def _quiet_line(change: Change) -> str:
    paths = _path_list([property_change.path for property_change in change.properties])
    return f"- {code(words.resource_type(change))} {code(change.name)}: {paths}"


def _path_list(paths: Sequence[str], most: int = 6) -> str:
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(code(path) for path in paths[:most]) + more


def difference_lines(change: PropertyChange) -> list[str]:
    """Return old and new values, one line each; for texts of many lines, only the lines that differ."""
    path = cut(visible(change.path), _LONGEST)
    old, new = change.old, change.new
    if change.secret and old == new:
        return [f"! {path}: a secret that changes"]
    if isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        return [f"  {path}:", *_text_lines(old, new)]
    lines = [] if old is None else [f"- {path}: {shown(old, _LONGEST)}"]
    return lines if new is None else [*lines, f"+ {path}: {shown(new, _LONGEST)}"]


def _text_lines(old: str, new: str) -> list[str]:
    difference = [
        line[0] + "   " + cut(visible(line[1:]), _LONGEST)
        for line in difflib.unified_diff(old.split("\n"), new.split("\n"), n=1, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]
    if len(difference) > _LINES:
        return [*difference[:_LINES], f"    and {len(difference) - _LINES:,} more lines"]
    return difference
