"""What decisions of reviewers say of a calibration, as metrics for Prometheus (textfile collector of node exporter)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from isthmus.contracts.reports.review_calibration import ReviewCalibration

_HELP = {
    "isthmus_calibration_drift": "1 if the calibration in use no longer holds. Absent: not known.",
    "isthmus_calibration_judged": "Judged answers of the random sample.",
    "isthmus_calibration_acceptance_ratio": "Share of right answers in the random sample. Absent: not known.",
    "isthmus_calibration_passing_error_ratio": "Share of wrong answers among those that pass the threshold in use.",
    "isthmus_calibration_checked_timestamp_seconds": "End of the period of these answers.",
}


def metrics(report: ReviewCalibration) -> str:
    """The report in Prometheus' text format. What is not known has no sample."""
    names = {"workload": report.workload, "model": report.model, "kind": report.kind}
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in names.items())
    return "".join(
        f"# HELP {name} {_HELP[name]}\n# TYPE {name} gauge\n{name}{{{labels}}} {value!r}\n"
        for name, value in _values(report)
    )


def _values(report: ReviewCalibration) -> Iterator[tuple[str, float]]:
    if report.drift.significant is not None:
        yield "isthmus_calibration_drift", float(report.drift.significant)
    yield "isthmus_calibration_judged", report.judgements.judged
    if report.acceptance is not None:
        yield "isthmus_calibration_acceptance_ratio", report.acceptance.value
    if report.drift.error is not None:
        yield "isthmus_calibration_passing_error_ratio", report.drift.error.value
    checked = datetime.fromisoformat(report.end).timestamp()
    yield "isthmus_calibration_checked_timestamp_seconds", checked


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
