"""The page of a calibration: its reliability curve as a picture, and the tables that it is drawn from. One HTML file.

It stands alone: no script, no font and no picture from elsewhere, and a policy in its head that forbids them. Names in
it are untrusted text, which Jinja2 escapes. The same figures give the same bytes.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from isthmus.reports.format.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Template

    from isthmus.contracts.reports.calibration import Reliability

_LEFT, _TOP, _SIDE = 44, 12, 484


def sentences(found: Reliability) -> list[str]:
    """What was found, in words: the same on the page and on a terminal."""
    error, low, high = found.error
    words = f"Expected calibration error {error:.3f} ({low:.3f} to {high:.3f}, 95 %)"
    told = [f"{words}; of the raw measure, taken for a probability, {found.raw_error:.3f}."]
    if found.max_error is None:
        told.append("No threshold was asked for (--max-error).")
    elif found.chosen is None:
        told.append(
            f"No threshold keeps wrong answers under {found.max_error:.2%} with {found.confidence:.0%} confidence."
        )
    else:
        each = found.chosen
        told.append(
            f"Reviewed below {each.below:g}: of {found.kept_aside:,} answers kept aside {each.accepted:,} are let "
            f"through, {each.wrong:,} of them wrong; with {found.confidence:.0%} confidence at most "
            f"{each.error_at_most:.2%} are, and {found.max_error:.2%} is allowed."
        )
    return told


def page(found: Reliability, refusal: str | None = None) -> str:
    """The page, as HTML; `refusal` says why the calibration must not be used."""
    said = [*sentences(found), *([refusal] if refusal else [])]
    bad = [len(said) - 1] if refusal else []
    shown = _template().render(found=found, sentences=said, bad=bad, ticks=_TICKS, x=_x, y=_y)
    return "\n".join(visible(line) for line in shown.split("\n"))


_TICKS: Sequence[float] = (0, 0.2, 0.4, 0.6, 0.8, 1)


def _x(share: float) -> float:
    return round(_LEFT + _SIDE * share, 1)


def _y(share: float) -> float:
    return round(_TOP + _SIDE * (1 - share), 1)


@functools.cache
def _template() -> Template:
    from pathlib import Path

    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["two"] = lambda value: f"{value:.2f}"
    return environment.from_string(
        Path(__file__).with_name("reliability_page.html.j2").read_text("utf-8").lstrip()
    )
