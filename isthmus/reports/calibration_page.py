"""The page of a calibration: one HTML file with its reliability curve and the tables of the curve.

The page loads nothing: it has no script, font or picture from elsewhere, and its Content-Security-Policy forbids them.
Names are untrusted text, which Jinja2 escapes. The same figures give the same bytes.
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


def calibration_sentences(reliability: Reliability) -> list[str]:
    """Return the results as sentences, for the page and the terminal."""
    error, low, high = reliability.error
    error_text = f"Expected calibration error {error:.3f} ({low:.3f} to {high:.3f}, 95 %)"
    sentences = [f"{error_text}; of the raw measure, used as a probability, {reliability.raw_error:.3f}."]
    if reliability.max_error is None:
        sentences.append("No threshold was requested (--max-error).")
    elif reliability.chosen is None:
        sentences.append(
            f"No threshold keeps wrong answers under {reliability.max_error:.2%} with {reliability.confidence:.0%} "
            "confidence."
        )
    else:
        threshold = reliability.chosen
        sentences.append(
            f"Answers below {threshold.below:g} go to review. Of {reliability.kept_aside:,} test answers, "
            f"{threshold.accepted:,} pass, and {threshold.wrong:,} of these are wrong. With "
            f"{reliability.confidence:.0%} confidence, at most {threshold.error_at_most:.2%} of passing answers are "
            f"wrong; {reliability.max_error:.2%} is allowed."
        )
    return sentences


def page(reliability: Reliability, refusal: str | None = None) -> str:
    """Return the HTML page. `refusal`: why the calibration must not be used."""
    all_sentences = [*calibration_sentences(reliability), *([refusal] if refusal else [])]
    refused_lines = [len(all_sentences) - 1] if refusal else []
    html = _template().render(
        found=reliability, sentences=all_sentences, bad=refused_lines, ticks=_TICKS, x=_x, y=_y
    )
    return "\n".join(visible(line) for line in html.split("\n"))


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
