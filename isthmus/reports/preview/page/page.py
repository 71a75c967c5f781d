"""The page of a preview: one HTML file that shows a reviewer within two minutes what a change would do.

The page loads nothing. Its Content-Security-Policy allows only its own script and style, by their hashes, and no value
of a resource gets into them. This module computes the content, the most dangerous changes first. The template is
`preview_page.html.j2`, with `preview_page.css` and `preview_page.js` in the same folder. The same previews give the
same bytes.
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
"""Maximum characters of all lists, shared by the stacks. The page says where entries are left out."""
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
    """The content of a stack's section."""

    id: str
    preview: Preview
    verdict: Verdict
    hurts: list[Change]
    """Deletions and replacements."""
    paths: list[ComparedPath]
    findings: list[Finding]
    silenced: list[Finding]
    groups: list[Group]
    room: dict[str, int]
    most: int
    """Maximum number of boxes in the diagram."""

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
    """The rendered entries that fit, and the number of entries that do not."""

    items: list[str]
    left: int


def page(previews: Sequence[Preview]) -> str:
    """Return the HTML page of the previews, in the given order."""
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
    """Render the items until `room` (in characters) is used up. The first item is always shown."""
    shown: list[str] = []
    for at, item in enumerate(items):
        # Items with an id also get their number.
        text = render(item, *more, at) if more else render(item)
        room -= len(text)
        if room < 0 and shown:
            break
        shown.append(text)
    return Fitted(shown, len(items) - len(shown))


def fit_groups(
    stack: Stack, render_full: Callable[..., str], render_brief: Callable[..., str]
) -> list[tuple[Group, Fitted]]:
    """Return the rendered changes of each component.

    The most dangerous changes are shown in full while there is room, then one line for each, then only their number.
    """
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
    """Jinja2 calls this for each value before it escapes the value."""
    # The result of a macro is markup; its texts have passed through here already.
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
