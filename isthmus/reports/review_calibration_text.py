"""What decisions of reviewers say of a calibration, and what another threshold would change, as text.

`sections` has the rows of both formats, so that the page and the terminal say the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.contracts.reports.calibration import Reliability
from isthmus.contracts.reports.review_calibration import (
    LEAST_JUDGED,
    Drift,
    Estimate,
    ReviewCalibration,
    ReviewerTime,
    ThresholdCount,
    ThresholdEffect,
)
from isthmus.reports.format.escaping import visible

NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Section:
    """Rows of one subject: a label and its value."""

    title: str
    rows: list[tuple[str, str]]


def heading(report: ReviewCalibration) -> str:
    """What the report is about."""
    return f"{report.model} in {report.domain}: decisions on answers of {report.workload}"


def lines(report: ReviewCalibration) -> list[str]:
    """The report for a terminal."""
    sections_of_report = sections(report)
    width = max(len(label) for section in sections_of_report for label, _ in section.rows)
    text = [heading(report)]
    for section in sections_of_report:
        text += ["", section.title]
        text += [f"  {label.ljust(width)}  {value}" for label, value in section.rows]
    return [visible(line) for line in text]


def sections(report: ReviewCalibration) -> list[Section]:
    """The report by subject."""
    all_sections = [
        Section("Judgements", _judgements(report)),
        Section("Calibration in use", _in_use(report)),
        Section("New calibration", _new(report)),
    ]
    if report.reliability is not None:
        all_sections += _tables(report.reliability)
    if report.effect is not None:
        all_sections.append(Section("Effect of the new threshold", _effect(report.effect)))
    return all_sections


def drift_reasons(drift: Drift) -> list[str]:
    """Why the calibration in use no longer holds. Empty: it holds, or that is not known."""
    reasons = []
    if drift.error is not None and drift.max_error is not None and drift.error.low > drift.max_error:
        reasons.append(
            f"{_share(drift.error)} of the answers that pass are wrong, and the calibration promised at most "
            f"{drift.max_error:.2%}"
        )
    error = drift.calibration_error
    if (
        error is not None
        and drift.calibration_error_at_most is not None
        and error.low > drift.calibration_error_at_most
    ):
        reasons.append(
            f"the scores miss the share of right answers by {error.value:.3f} ({error.low:.3f} to {error.high:.3f}), "
            f"and by at most {drift.calibration_error_at_most:.3f} when they were calibrated"
        )
    return reasons


def _judgements(report: ReviewCalibration) -> list[tuple[str, str]]:
    judgements, acceptance = report.judgements, report.acceptance
    accepted = (
        f"{_share(acceptance)}, {acceptance.judged:,} judgements"
        if acceptance is not None
        else f"{NOT_KNOWN}: {judgements.judged:,} judgements of the random sample, and {LEAST_JUDGED} are needed"
    )
    rows = [
        ("period", f"{report.begin} to {report.end}"),
        ("random sample", f"{judgements.judged:,} judged of {judgements.drawn:,} drawn"),
        ("right in the random sample", accepted),
    ]
    if judgements.without_measure:
        rows.append(
            ("without a raw measure", f"{judgements.without_measure:,} of the judged: they fit no curve")
        )
    rows += [
        (f"judged, seen for {reasons}", f"{count:,}: a selection, which counts in no figure")
        for reasons, count in judgements.others.items()
    ]
    if judgements.thumbs_up or judgements.thumbs_down:
        thumbs = f"{judgements.thumbs_up:,} up, {judgements.thumbs_down:,} down"
        rows.append(("feedback of callers", f"{thumbs}: they choose to give it, so it counts in no figure"))
    return rows


def _in_use(report: ReviewCalibration) -> list[tuple[str, str]]:
    drift, in_use = report.drift, report.in_use
    rows = [
        ("file", f"{in_use.calibration} of {in_use.as_of}"),
        ("threshold", "none" if in_use.below is None else f"{in_use.below:g}"),
    ]
    if drift.significant is None:
        rows.append(
            ("drift", f"{NOT_KNOWN}: {drift.judged:,} newer judgements, and {LEAST_JUDGED} are needed")
        )
        return rows
    rows.append(("newer half of the sample", f"{drift.judged:,} judgements of answers since {drift.since}"))
    if drift.error is not None:
        promised = "" if drift.max_error is None else f"; promised: at most {drift.max_error:.2%}"
        rows.append(
            (
                "wrong among those that pass",
                f"{_share(drift.error)}, {drift.error.judged:,} judgements{promised}",
            )
        )
    if (error := drift.calibration_error) is not None:
        at_most = f"; when it was made, at most {drift.calibration_error_at_most:.3f}"
        rows.append(
            ("calibration error", f"{error.value:.3f} ({error.low:.3f} to {error.high:.3f}){at_most}")
        )
    verdict = "SIGNIFICANT" if drift.significant else "none is shown"
    rows.append(("drift", f"{verdict}; without any, at most {drift.false_alarms:.0%} of runs show one"))
    return rows


def _new(report: ReviewCalibration) -> list[tuple[str, str]]:
    rows = []
    if report.not_renewed is not None:
        rows.append(("none", report.not_renewed))
    elif report.reliability is None:
        rows.append(("curve", "as it is: a decision on a whole answer does not judge each field"))
    if report.reliability is not None:
        error, low, high = report.reliability.error
        rows.append(
            (
                "calibration error",
                f"{error:.3f} ({low:.3f} to {high:.3f}), {report.reliability.judgements:,} judgements",
            )
        )
    if (threshold := report.threshold) is not None:
        rows.append(("threshold", f"{threshold.below:g}"))
        passing = f"{threshold.accepted:,} pass, {threshold.wrong:,} of them wrong"
        rows.append(("tested on the newer half", f"{passing}: at most {threshold.error_at_most:.2%} (95 %)"))
    return rows


def _tables(reliability: Reliability) -> list[Section]:
    """The new curve by score, and the thresholds that were tested on the newer half."""
    curve = [
        (
            f"score {row.score:.2f}",
            f"{row.right:.2f} right ({row.low:.2f} to {row.high:.2f}), {row.count:,} judgements",
        )
        for row in reliability.bins
    ]
    thresholds = [
        (
            f"below {candidate.below:g}",
            f"{candidate.accepted:,} pass, {candidate.wrong:,} wrong: at most {candidate.error_at_most:.2%}",
        )
        for candidate in reliability.candidates
    ]
    return [Section("New curve by score", curve), Section("Thresholds on the new scores", thresholds)]


def _effect(effect: ThresholdEffect) -> list[tuple[str, str]]:
    more = "more" if effect.more_held >= 0 else "fewer"
    held = (
        f"{abs(effect.more_held):,} {more} of {effect.answers:,} in {effect.days:.1f} days: "
        f"{abs(effect.more_held_per_1000):.1f} of 1,000, {abs(effect.more_held_per_month):,.0f} a month of 30 days"
    )
    rows = [
        ("held for their score", held),
        (f"now, below {effect.in_use.below:g}", _count(effect.in_use)),
        (f"then, below {effect.new.below:g}", _count(effect.new)),
        ("errors caught in addition", _errors(effect.errors_caught)),
        ("errors let through in addition", _errors(effect.errors_let_through)),
    ]
    if effect.without_score:
        rows.append(
            ("without a score", f"{effect.without_score:,}: no threshold changes what happens to them")
        )
    if effect.held_for_other_reasons:
        rows.append(("held for other reasons", f"{effect.held_for_other_reasons:,}: they stay held"))
    rows.append(("reviewers", _reviewers(effect.reviewer)))
    return rows


def _count(count: ThresholdCount) -> str:
    return f"{count.held:,} held; {count.passing:,} pass, of them wrong: {_errors(count.errors_passing)}"


def _errors(errors: Estimate | None) -> str:
    if errors is None:
        return f"{NOT_KNOWN}: too few judgements of such answers"
    if not errors.judged:
        return "0: there is no such answer"
    return f"{errors.value:,.1f} ({errors.low:,.1f} to {errors.high:,.1f}), {errors.judged:,} judgements"


def _reviewers(time: ReviewerTime | None) -> str:
    if time is None:
        return f"{NOT_KNOWN}: too few decisions have their time on record. Give --minutes"
    source = "your estimate" if time.measured_on is None else f"median of {time.measured_on:,} answers"
    cost = "" if time.usd_per_month is None else f", {time.usd_per_month:,.0f} USD"
    answer = f"{time.minutes_per_answer:.1f} minutes an answer ({source})"
    return f"{time.hours_per_month:,.1f} hours{cost} a month, with {answer}"


def _share(estimate: Estimate) -> str:
    return f"{estimate.value:.2%} ({estimate.low:.2%} to {estimate.high:.2%}, 95 %)"
