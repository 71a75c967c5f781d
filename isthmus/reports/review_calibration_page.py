"""The page of `isthmus calibrate --from-reviews`: one HTML file with the same rows as the text.

The page loads nothing and runs no script. The template is `review_calibration_page.html.j2`.
"""

from __future__ import annotations

from isthmus.contracts.reports.review_calibration import ReviewCalibration
from isthmus.reports.format import pages
from isthmus.reports.format.escaping import visible
from isthmus.reports.review_calibration_text import drift_reasons, heading, sections


def page(report: ReviewCalibration) -> str:
    """Return the page. The same report gives the same bytes."""
    html = (
        pages.environment()
        .get_template("review_calibration_page.html.j2")
        .render(
            heading=heading(report),
            decision=_decision(report),
            reasons=drift_reasons(report.drift),
            sections=sections(report),
        )
    )
    return "\n".join(visible(line) for line in html.strip().split("\n")) + "\n"


def _decision(report: ReviewCalibration) -> str:
    if report.drift.significant is None:
        return "Whether the calibration in use still holds is not known."
    if report.drift.significant:
        return "The calibration in use no longer holds."
    return "Nothing shows that the calibration in use no longer holds."
