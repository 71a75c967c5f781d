"""Measures the traffic of workloads from their usage, as the requirements state traffic.

Sums of days say the mean rate, mean lengths, the share that a cache had, and how days and weekdays differ. They do not
say how busy the busiest minutes of a day are, or how long single requests are: there the ratios of the requirements
stay. Sums of hours say more of the peak.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reports.measured_traffic import TrafficFigure
from isthmus.core.errors import InputError
from isthmus.core.validation_errors import did_you_mean
from isthmus.planning.from_usage import series as daily
from isthmus.planning.from_usage.series import LEAST_DAYS, Series, Window
from isthmus.planning.from_usage.trend import MOST_WEEKS, trend_of

if TYPE_CHECKING:
    from isthmus.contracts.reports.measured_traffic import Trend
    from isthmus.contracts.reports.usage_file import UsageFile
    from isthmus.contracts.requirements.document import Requirements, Workload
    from isthmus.contracts.requirements.workloads import Tokens

WHERE = "--from-usage"
BURST = 2.0
"""Busiest minutes of a day as a multiple of its busiest hour: an assumption, as `isthmus discover traffic` makes it."""
MUCH_FAILED = 0.05
"""Share of failed requests from which the measured traffic may be too small, because people gave up."""
_WEEKS_PER_MONTH = 730 / 168


@dataclass(frozen=True)
class MeasuredWorkload:
    """What the usage of one workload says."""

    workload: Workload
    days: int
    window: Window | None
    """None: the guess stays, for the reason `why`."""
    why: str | None
    figures: Sequence[TrafficFigure]
    traffic: dict[str, Any]
    """The keys of `traffic` that change, with their new values."""
    trend: Trend | None


def measure(requirements: Requirements, usage: UsageFile) -> list[MeasuredWorkload]:
    """Measure every workload of the requirements, in their order.

    Raises `InputError` if no workload of the usage is one of the requirements, or if one has another class.
    """
    check_names(requirements, usage)
    series = daily.series_of(usage)
    if not series:
        raise InputError(
            "the file has usage of one day only, and the last day is left out because it may not be over",
            where=WHERE,
            fix=f"Choose a period of at least {LEAST_DAYS + 1} days",
        )
    end = next(iter(series.values())).end
    return [
        _measure_workload(workload, series.get(workload.name) or Series(workload.name, end), usage)
        for workload in requirements.workloads
    ]


def unknown_workloads(requirements: Requirements, usage: UsageFile) -> list[str]:
    """Workloads of the usage that the requirements do not have."""
    return sorted(
        {row.workload for row in usage.days} - {workload.name for workload in requirements.workloads}
    )


def check_names(requirements: Requirements, usage: UsageFile, where: str = WHERE) -> None:
    """Check that the usage is one of these requirements. `where`: the option that names the file.

    Raises `InputError` if no workload of the usage is one of the requirements, or if one has another class.
    """
    used = {row.workload: row.sensitivity for row in usage.days}
    common = [workload for workload in requirements.workloads if workload.name in used]
    if not common:
        names = [workload.name for workload in requirements.workloads]
        near = did_you_mean(min(used), names)
        raise InputError(
            f"no workload of the usage ({', '.join(sorted(used))}) is one of the requirements",
            where=where,
            fix=f"{near} Give the usage of this stack. Workloads: {', '.join(names)}".strip(),
        )
    stated = {workload.name: workload.sensitivity for workload in common}
    for row in usage.days:
        if row.workload in stated and row.sensitivity != stated[row.workload]:
            raise InputError(
                f"the usage of `{row.workload}` on {row.day} is of class {row.sensitivity}, and the requirements "
                f"state {stated[row.workload]}",
                where=where,
                fix="Give the usage of this stack, from the day on which the class changed",
            )


def _measure_workload(workload: Workload, series: Series, usage: UsageFile) -> MeasuredWorkload:
    window = daily.window(series)
    why = _why_guessed(workload, series, window)
    if window is None or why is not None:
        return MeasuredWorkload(workload, series.days, None, why, [], {}, None)
    trend = trend_of(series.weeks(MOST_WEEKS))
    figures, traffic = _figures(workload, window, trend, _hours(workload, window, usage))
    return MeasuredWorkload(workload, series.days, window, None, figures, traffic, trend)


def _why_guessed(workload: Workload, series: Series, window: Window | None) -> str | None:
    if not series.days:
        return "the usage has no whole day of it"
    if series.days < LEAST_DAYS:
        return f"its usage has {series.days} whole days, and {LEAST_DAYS} are needed"
    if window is None:
        return "no request of it was answered in the last weeks"
    if workload.batches is not None:
        return "its usage does not tell lines of batches from other requests"
    prompt = window.mean_tokens("prompt_tokens") or 0
    length = prompt + (window.mean_tokens("completion_tokens") or 0)
    if length > workload.model.context_tokens:
        raise InputError(
            f"the mean prompt and answer of `{workload.name}` have {length:,.0f} tokens, and its context_tokens are "
            f"{workload.model.context_tokens:,}",
            where=WHERE,
            fix="Give the usage of this stack, or correct context_tokens",
        )
    return None


@dataclass(frozen=True)
class _Hours:
    """What sums of hours say."""

    busiest_rps: float
    profile: list[float]


def _hours(workload: Workload, window: Window, usage: UsageFile) -> _Hours | None:
    """Sums of the hours of the window. None: the file has them on fewer than `LEAST_DAYS` of its days."""
    by_hour: dict[tuple[Any, int], int] = {}
    for row in usage.hours:
        moment = row.hour.astimezone(UTC) if row.hour.tzinfo else row.hour
        if row.workload == workload.name and window.begin <= moment.date() <= window.end:
            key = moment.date(), moment.hour
            by_hour[key] = by_hour.get(key, 0) + row.requests
    if len({day for day, _ in by_hour}) < LEAST_DAYS or not any(by_hour.values()):
        return None
    weights = [0.0] * 24
    for (_, hour), requests in by_hour.items():
        weights[hour] += requests
    mean = math.fsum(weights) / 24
    return _Hours(max(by_hour.values()) / 3600, [round(weight / mean, 3) for weight in weights])


def _figures(
    workload: Workload, window: Window, trend: Trend | None, hours: _Hours | None
) -> tuple[list[TrafficFigure], dict[str, Any]]:
    """The figures with their origins, and the new values of `traffic`."""
    guess = workload.traffic
    mean = rounded_up(window.mean_rps)
    peak, peak_how = _peak(workload, window, hours)
    figures = [
        TrafficFigure(
            key="mean_rps",
            guessed=guess.mean_rps,
            used=mean,
            basis="measured",
            how=f"mean of the last {len(window.days)} whole days",
        ),
        TrafficFigure(key="peak_rps", guessed=guess.peak_rps, used=peak, basis="derived", how=peak_how),
    ]
    traffic: dict[str, Any] = {"mean_rps": mean, "peak_rps": peak}
    if hours is not None:
        traffic["profile"] = hours.profile
    for key, kind in (("prompt_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
        lengths = _lengths(workload, getattr(guess, key), window.mean_tokens(kind))
        if lengths is not None:
            traffic[key] = lengths
            figures += _length_figures(key, getattr(guess, key), lengths)
    _fit_context(workload, traffic, figures)
    cached = window.cached_share
    if cached is not None:
        traffic["prefix_hit_ratio"] = round(cached, 3)
        how = "cached tokens of the prompt tokens"
        figures.append(_measured("prefix_hit_ratio", guess.prefix_hit_ratio, round(cached, 3), how))
    else:
        how = "no engine reported cached tokens, so it is not known"
        figures.append(
            TrafficFigure(
                key="prefix_hit_ratio",
                guessed=guess.prefix_hit_ratio,
                used=guess.prefix_hit_ratio,
                basis="guessed",
                how=how,
            )
        )
    if trend is not None and trend.is_significant:
        monthly = round(((1 + trend.pct_per_week / 100) ** _WEEKS_PER_MONTH - 1) * 100, 1)
        traffic["growth_pct_month"] = monthly
        how = f"trend of the last {trend.weeks} whole weeks"
        figures.append(_measured("growth_pct_month", guess.growth_pct_month, monthly, how))
    return figures, traffic


def _measured(key: str, guessed: float, used: float, how: str) -> TrafficFigure:
    return TrafficFigure(key=key, guessed=guessed, used=used, basis="measured", how=how)


def _peak(workload: Workload, window: Window, hours: _Hours | None) -> tuple[float, str]:
    """The peak rate, and how it was found."""
    guess = workload.traffic
    if hours is not None:
        return rounded_up(
            max(BURST * hours.busiest_rps, window.mean_rps)
        ), f"{BURST:g} times the busiest hour"
    ratio = guess.peak_rps / guess.mean_rps
    by_ratio = ratio * window.mean_rps
    if window.busiest_rps > by_ratio:
        return rounded_up(window.busiest_rps), "mean rate of the busiest day: the peak is at least as high"
    how = f"{ratio:.3g} times the mean, the ratio of the requirements: sums of days do not say a peak within a day"
    return rounded_up(by_ratio), how


def _lengths(workload: Workload, guess: Tokens, mean: float | None) -> dict[str, float] | None:
    """Mean and p95, with the requirements' ratio of the two. None: no token was counted."""
    if mean is None:
        return None
    used = round(mean, 1)
    return {
        "mean": used,
        "p95": max(used, min(math.ceil(used * guess.p95 / guess.mean), workload.model.context_tokens)),
    }


def _length_figures(key: str, guess: Tokens, lengths: dict[str, float]) -> Iterator[TrafficFigure]:
    yield _measured(f"{key}.mean", guess.mean, lengths["mean"], "mean of the answered requests")
    ratio = guess.p95 / guess.mean
    how = f"{ratio:.3g} times the mean, the ratio of the requirements: sums of days do not say single lengths"
    yield TrafficFigure(key=f"{key}.p95", guessed=guess.p95, used=lengths["p95"], basis="derived", how=how)


def _fit_context(workload: Workload, traffic: dict[str, Any], figures: list[TrafficFigure]) -> None:
    """Lower the p95 of lengths so that both fit the context: longer requests were not answered."""
    guess, context = workload.traffic, workload.model.context_tokens
    lengths = {
        key: traffic.get(key) or {"mean": getattr(guess, key).mean, "p95": getattr(guess, key).p95}
        for key in ("prompt_tokens", "output_tokens")
    }
    means = math.fsum(length["mean"] for length in lengths.values())
    beyond = math.fsum(length["p95"] - length["mean"] for length in lengths.values())
    if means + beyond <= context:
        return
    part = max(0.0, (context - means) / beyond)
    for key, length in lengths.items():
        lowered = math.floor((length["mean"] + part * (length["p95"] - length["mean"])) * 10) / 10
        length["p95"] = max(length["mean"], lowered)
        traffic[key] = length
        figures[:] = [figure for figure in figures if figure.key != f"{key}.p95"]
        how = "lowered so that the p95 of prompt and answer together fit context_tokens"
        stated = getattr(guess, key).p95
        figures.append(
            TrafficFigure(key=f"{key}.p95", guessed=stated, used=length["p95"], basis="derived", how=how)
        )


def rounded_up(value: float) -> float:
    """Three digits, upwards, so that a rounded rate is never too small."""
    if value <= 0:
        return value
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.6g}")
