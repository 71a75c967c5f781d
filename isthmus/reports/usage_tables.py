"""The report of `isthmus usage` as tables, for text, page and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.contracts.reports.usage import (
    ClosedMonth,
    UnusualDay,
    UsageBudget,
    UsageDay,
    UsagePrice,
    UsageReport,
    UsageTotals,
)
from isthmus.reports.format.numbers import cents, counted, per_cent
from isthmus.usage.periods import DEVIATIONS, LEAST_SHARE, LEAST_WEEKDAYS, total
from isthmus.usage.periods import groups as groups_of

NOT_STATED = "not stated"
"""A name that a request does not have, such as the endpoint of a refused one."""
NOT_KNOWN = "not known"
SOURCE_CHARACTERS = 60
"""Longer sources of prices are cut; the JSON has all of them."""
_COUNTS = (
    "requests",
    "failed",
    "unfinished",
    "prompt tokens",
    "cached",
    "completion tokens",
    "GPU hours",
    "USD",
)
_MEASURES = {"requests": "requests", "cost_usd": "cost in USD"}


@dataclass(frozen=True)
class Table:
    """A table with a title, and sentences below it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1
    """How many of the first columns are texts. The others are numbers."""
    notes: Sequence[str] = ()


def heading(report: UsageReport) -> str:
    """What the report is about."""
    return f"Usage of {report.stack} from {report.begin} to {report.end} (UTC)"


def summary(report: UsageReport) -> str:
    """The totals as a sentence."""
    totals = report.totals
    tokens = totals.prompt_tokens + totals.completion_tokens
    return (
        f"{counted(totals.requests, 'request')}, {counted(tokens, 'token')}, "
        f"{totals.gpu_seconds / 3600:,.2f} GPU hours, {_cost_in_words(totals)}"
    )


def cost(totals: UsageTotals) -> str:
    """USD to the cent. A sum that lacks answers without a price says so, and is never shown as 0."""
    if not totals.unpriced:
        return cents(float(totals.cost_usd))
    return f"at least {cents(float(totals.cost_usd))}" if totals.cost_usd else NOT_KNOWN


def _cost_in_words(totals: UsageTotals) -> str:
    amount = cost(totals)
    return "cost not known" if amount == NOT_KNOWN else f"USD {amount}"


def warnings(report: UsageReport) -> list[str]:
    """What the figures lack."""
    totals, texts = report.totals, []
    if totals.unpriced:
        texts.append(
            f"{counted(totals.unpriced, 'answered request')} without a price: the cost lacks them. A price counts for "
            "requests after the next `isthmus up`. State `endpoints[].cost` where the plan has none."
        )
    if totals.full_price_cached_tokens:
        texts.append(
            f"Cached tokens at full price: {counted(totals.full_price_cached_tokens, 'token')}. No price of cached "
            "tokens is known where they were used, so the cost may be too high."
        )
    if totals.unfinished:
        texts.append(
            f"{counted(totals.unfinished, 'request')} unfinished: the gateway ended before it recorded what they used."
        )
    return [*texts, *_exceeded(report.budgets)]


def _exceeded(budgets: Sequence[UsageBudget]) -> list[str]:
    """The teams that have spent their budget, or are expected to."""
    texts: list[str] = []
    for budget in budgets:
        if budget.spent_usd >= budget.usd_per_month:
            texts.append(f"Team {budget.team} has spent its budget of {budget.month}.")
        elif budget.expected_usd is not None and budget.expected_usd > budget.usd_per_month:
            texts.append(
                f"Team {budget.team} is expected to exceed its budget of {budget.month}: "
                f"USD {cents(float(budget.expected_usd))} of {cents(float(budget.usd_per_month))}."
            )
    return texts


def tables(report: UsageReport) -> list[Table]:
    """All tables, in order. Those without rows are left out."""
    all_tables = [_trend(report), groups(report), _evaluations(report), _shadows(report)]
    all_tables.append(_judges(report))
    all_tables += [_budgets(report.budgets), _prices(report.prices)]
    all_tables += [_unusual(report.unusual), _closed(report.closed), _read(report)]
    return [table for table in all_tables if table.rows or table.notes]


def groups(report: UsageReport) -> Table:
    """The sums by the names of `by`."""
    rows = [
        [*(name or NOT_STATED for name in group.names.values()), *_counts(group.totals)]
        for group in report.groups
    ]
    return Table(f"By {', '.join(report.by)}", [*report.by, *_COUNTS], rows, len(report.by))


def _evaluations(report: UsageReport) -> Table:
    """The requests of evaluations, by workload and endpoint."""
    note = "They are in no other figure: no team's usage, no budget, no value. AWS bills them too."
    return _apart("Evaluations", report.evaluations, note)


def _shadows(report: UsageReport) -> Table:
    """The copies of requests for canaries, by workload and endpoint."""
    note = (
        "Copies of requests for a canary. They are in no other figure: no team's usage, no budget, no value."
    )
    return _apart("Shadows", report.shadows, note)


def _judges(report: UsageReport) -> Table:
    """The requests to judges of releases, by the workload that is judged and the judge's endpoint."""
    note = (
        "Requests to models that judge the answers of a release. They are in no other figure: no team's usage, no "
        "budget, no value."
    )
    return _apart("Judges", report.judges, note)


def _apart(title: str, days: Sequence[UsageDay], note: str) -> Table:
    """Requests that do not count as usage, by workload and endpoint."""
    rows = [
        [*(name or NOT_STATED for name in group.names.values()), *_counts(group.totals)]
        for group in groups_of(days, ["workload", "endpoint"])
    ]
    if len(rows) > 1:
        rows.append(["all", "", *_counts(total(days))])
    return Table(title, ["workload", "endpoint", *_COUNTS], rows, 2, [note] if rows else [])


def _counts(totals: UsageTotals) -> list[str]:
    return [
        f"{totals.requests:,}",
        f"{totals.failed:,}",
        f"{totals.unfinished:,}",
        f"{totals.prompt_tokens:,}",
        f"{totals.cached_tokens:,}",
        f"{totals.completion_tokens:,}",
        f"{totals.gpu_seconds / 3600:,.2f}",
        cost(totals),
    ]


def _trend(report: UsageReport) -> Table:
    before, now = report.trend.totals, report.totals
    period = f"{report.trend.begin} to {report.trend.end}"
    columns = ["", "this period", period, "change"]
    if before is None:
        rows = [[name, value] for name, value in zip(_COUNTS, _counts(now), strict=True)]
        note = f"No comparison: the records do not go back to {report.trend.begin}."
        return Table("Totals", columns[:2], rows, notes=[note])
    values = [
        (now.requests, before.requests),
        (now.failed, before.failed),
        (now.unfinished, before.unfinished),
        (now.prompt_tokens, before.prompt_tokens),
        (now.cached_tokens, before.cached_tokens),
        (now.completion_tokens, before.completion_tokens),
        (now.gpu_seconds, before.gpu_seconds),
        (float(now.cost_usd), float(before.cost_usd)),
    ]
    rows = [
        [name, mine, earlier, _change(*pair)]
        for name, mine, earlier, pair in zip(_COUNTS, _counts(now), _counts(before), values, strict=True)
    ]
    return Table("Totals", columns, rows)


def _change(now: float, before: float) -> str:
    if before == 0:
        return "" if now == 0 else "new"
    return f"{(now - before) / before:+.0%}".replace("%", " %")


def _budgets(budgets: Sequence[UsageBudget]) -> Table:
    rows = [
        [
            budget.team,
            budget.month,
            cents(float(budget.usd_per_month)),
            cost(UsageTotals(cost_usd=budget.spent_usd, unpriced=budget.unpriced)),
            per_cent(budget.share),
            NOT_KNOWN if budget.expected_usd is None else cents(float(budget.expected_usd)),
            _interval(budget),
        ]
        for budget in budgets
    ]
    notes = [
        f"{budget.team}: the forecast is {budget.method}."
        for budget in budgets
        if budget.expected_usd is None
    ]
    if rows:
        notes.append(
            "Spent is what the ledger has of the month so far. 80 % of months end within the interval."
        )
    columns = ["team", "month", "budget, USD", "spent", "share", "expected", "interval"]
    return Table("Budgets of teams", columns, rows, 2, notes)


def _interval(budget: UsageBudget) -> str:
    if budget.low_usd is None or budget.high_usd is None:
        return ""
    return f"{cents(float(budget.low_usd))} to {cents(float(budget.high_usd))}"


def _prices(prices: Sequence[UsagePrice]) -> Table:
    rows = [[price.endpoint, _price(price), price.as_of or NOT_STATED, _source(price)] for price in prices]
    notes = ["Each answer keeps the price of its day. These are the prices of today."] if rows else []
    if any(price.usd_per_hour is not None for price in prices):
        notes.append("Instances are charged whatever they answer: their hours are in no cost above.")
    return Table("Prices", ["endpoint", "USD", "as of", "source"], rows, 4, notes)


def _price(price: UsagePrice) -> str:
    if price.usd_per_gpu_hour is not None:
        return f"{price.usd_per_gpu_hour:,.4f} for a GPU hour"
    if price.usd_per_hour is not None:
        return f"{price.usd_per_hour:,.2f} an hour for its planned instances, not by token"
    if price.usd_per_million_prompt_tokens is None:
        return NOT_KNOWN
    prompt, completion = price.usd_per_million_prompt_tokens, price.usd_per_million_completion_tokens
    cached = price.usd_per_million_cached_tokens
    prompts = "prompts" if cached is None else f"prompts ({cached:g} if cached)"
    return f"{prompt:g} and {completion:g} for a million tokens of {prompts} and answers"


def _source(price: UsagePrice) -> str:
    if price.usd_per_hour is None and not price.is_known:
        return price.unknown_because or "neither the plan nor the platform has one"
    source = price.source or "the platform"
    return source if len(source) <= SOURCE_CHARACTERS else f"{source[: SOURCE_CHARACTERS - 1]}…"


def _unusual(days: Sequence[UnusualDay]) -> Table:
    rows = [
        [day.day.isoformat(), day.workload or NOT_STATED, _MEASURES[day.measure], *_unusual_values(day)]
        for day in days
    ]
    note = (
        f"A day is unusual if it differs from the median of the same weekdays before by more than {DEVIATIONS} median "
        f"absolute deviations and by more than {per_cent(LEAST_SHARE)}. It takes {LEAST_WEEKDAYS} such weekdays."
    )
    columns = ["day", "workload", "measure", "value", "median", "weekdays"]
    return Table("Unusual days", columns, rows, 3, [note] if rows else ["None.", note])


def _unusual_values(day: UnusualDay) -> list[str]:
    values = [
        cents(value) if day.measure == "cost_usd" else f"{value:,.0f}" for value in (day.value, day.median)
    ]
    return [*values, str(day.weekdays)]


def _closed(months: Sequence[ClosedMonth]) -> Table:
    rows = []
    for month in months:
        place = f"{month.sensitivity} at {month.site}"
        totals, later = month.totals, month.adjustment
        figures = [f"{totals.requests:,}", cost(totals)]
        adjustments = [f"{later.requests:+,}", f"{float(later.cost_usd):+,.2f}"]
        rows.append([f"{month.month:%Y-%m}", place, month.digest[:12], *figures, *adjustments])
    columns = ["month", "class", "digest", "requests", "USD", "requests later", "USD later"]
    notes = ["Lines that came after the closing are adjustments. The totals above lack them."] if rows else []
    return Table("Closed months", columns, rows, 3, notes)


def _read(report: UsageReport) -> Table:
    rows = [
        [f"{store.sensitivity} at {store.site}", f"{store.sealed_at:%Y-%m-%d %H:%M:%S}", str(store.seal)]
        for store in report.loaded
    ]
    return Table("Records read", ["class", "until (UTC)", "seal"], rows, 2)
