"""The page of a preview: one HTML file in which a reviewer sees within two minutes what a change would do.

It stands alone: nothing is loaded, and a policy in its head allows the page's own script and style, by their
hashes, and nothing else. No value of a resource gets into either. What it shows, in the order of what can hurt, is
worked out here; `preview_page.html.j2` is the page, `preview_page.css` and `preview_page.js` stand beside it. The
same previews give the same bytes.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reports.findings import SEVERITIES, Finding
from isthmus.contracts.reports.preview import OPS, Change, Preview
from isthmus.reports.format.numbers import bar, number, usd
from isthmus.reports.preview.data_paths import SIGNS, ComparedPath, compare_paths
from isthmus.reports.preview.page.picture import picture
from isthmus.reports.preview.page.totals import Group, capacity_rows, cost_rows, groups, money, tiles
from isthmus.reports.preview.page.values import cut, lines, visible
from isthmus.reports.preview.page.verdict import OP_SIGNS, Verdict, verdict
from isthmus.reports.preview.wording import dangerous_changes, unsilenced_findings

if TYPE_CHECKING:
    from jinja2 import Template

LARGEST = 6_000_000
"""Characters of what grows with a preview, shared by its stacks: what is beyond is said, and stands in the JSON."""
_SHARES = {
    "changes": 0.5,
    "brief": 0.15,
    "findings": 0.12,
    "ways": 0.08,
    "hurts": 0.06,
    "rules": 0.03,
    "rest": 0.03,
}


@dataclass(frozen=True)
class Stack:
    """A preview, ready to be shown."""

    id: str
    preview: Preview
    verdict: Verdict
    hurts: list[Change]
    """Destroys and replacements."""
    paths: list[ComparedPath]
    findings: list[Finding]
    silenced: list[Finding]
    groups: list[Group]
    room: dict[str, int]
    most: int
    """Boxes that the picture may have."""

    @classmethod
    def of(cls, number_of: int, preview: Preview, share: int) -> Stack:
        findings = sorted(
            preview.policy,
            key=lambda finding: (
                SEVERITIES.index(finding.severity),
                finding.policy,
                finding.urn,
                finding.message,
            ),
        )
        return cls(
            id=f"s{number_of}",
            preview=preview,
            verdict=verdict(preview),
            hurts=dangerous_changes(preview),
            paths=compare_paths(preview.data_paths),
            findings=unsilenced_findings(findings),
            silenced=[finding for finding in findings if finding.silenced is not None],
            groups=groups(preview),
            room={name: int(part * share) for name, part in _SHARES.items()},
            most=min(70, max(share // 6_000, 8)),
        )

    @property
    def changed(self) -> dict[str, int]:
        return {group.component: len(group.changes) for group in self.groups if group.component}


@dataclass(frozen=True)
class Fitted:
    """As many rendered items as there is room for, and how many there is none for."""

    items: list[str]
    left: int


def page(previews: Sequence[Preview]) -> str:
    """The page, as HTML, of one stack's preview or of several in the given order."""
    share = LARGEST // max(len(previews), 1)
    style, script = _beside("preview_page.css"), _beside("preview_page.js")
    return (
        _template()
        .render(
            stacks=[Stack.of(index, preview, share) for index, preview in enumerate(previews, 1)],
            style=style,
            script=script,
            hashes={"style": _hash(style), "script": _hash(script)},
            largest=LARGEST,
        )
        .lstrip()
    )


def fit(render: Callable[..., str], items: Sequence[Any], room: int, *more: Any) -> Fitted:
    """Render item after item until there is no room for one; the first is always shown."""
    shown: list[str] = []
    for at, item in enumerate(items):
        # With the first of an id, the item's number.
        text = render(item, *more, at) if more else render(item)
        room -= len(text)
        if room < 0 and shown:
            break
        shown.append(text)
    return Fitted(shown, len(items) - len(shown))


def fit_groups(
    stack: Stack, render_full: Callable[..., str], render_brief: Callable[..., str]
) -> list[tuple[Group, Fitted]]:
    """The changes of each component: the worst ones whole while there is room, then a line each, then a number."""
    ranked = sorted(
        (OPS.index(change.op), at, index)
        for at, group in enumerate(stack.groups)
        for index, change in enumerate(group.changes)
    )
    room, short = stack.room["changes"], stack.room["brief"]
    shown: dict[tuple[int, int], str] = {}
    for number_of, (_, at, index) in enumerate(ranked):
        change, ident = stack.groups[at].changes[index], f"{stack.id}-c{number_of}"
        if room > 0 and len(text := render_full(change, ident)) <= room:
            room -= len(text)
        elif len(text := render_brief(change, ident)) <= short:
            room, short = 0, short - len(text)
        else:
            break
        shown[at, index] = text
    return [
        (
            group,
            Fitted(
                texts := [shown[key] for key in sorted(shown) if key[0] == at],
                len(group.changes) - len(texts),
            ),
        )
        for at, group in enumerate(stack.groups)
    ]


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _shown(value: Any) -> Any:
    """What Jinja2 does to each value before it escapes it."""
    # What a macro made is markup already, of texts that went this way.
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters.update(usd=usd, number=number, cut=cut, money=money)
    environment.globals.update(
        fit=fit,
        fit_groups=fit_groups,
        lines=lines,
        picture=picture,
        tiles=tiles,
        cost_rows=cost_rows,
        capacity_rows=capacity_rows,
        bar=bar,
        SIGNS=SIGNS,
        OP_SIGNS=OP_SIGNS,
        OPS=OPS,
    )
    return environment.from_string(_beside("preview_page.html.j2"))
