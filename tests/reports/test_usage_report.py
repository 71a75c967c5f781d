"""What a stack used, as text, CSV and page: the same figures everywhere, and names that cannot do harm."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from isthmus.contracts.reports.usage import (
    ClosedMonth,
    LoadedStore,
    UsageDay,
    UsagePrice,
    UsageReport,
    UsageTotals,
)
from isthmus.reports import usage_page, usage_text
from isthmus.usage.periods import By, Period, Read, report

BEGIN, END = date(2026, 11, 1), date(2026, 11, 30)
EVIL = "=cmd()<script>alert(1)</script>\u202e"


def usage_day(day: date, requests: int, **more: Any) -> UsageDay:
    fields: dict[str, Any] = {
        "sensitivity": "internal",
        "site": "fra1",
        "team": "motor",
        "workload": "claims",
        "model": "claims",
        "endpoint": "internal-llama",
        "failed": 0,
        "unfinished": 0,
        "prompt_tokens": 1000,
        "cached_tokens": 400,
        "completion_tokens": 50,
        "gpu_seconds": 1800,
        "cost_usd": Decimal("1.25"),
        "unpriced": 0,
    }
    return UsageDay.model_validate({**fields, "day": day, "requests": requests, **more})


def used(*days: UsageDay, by: By = "workload", closed: tuple[ClosedMonth, ...] = ()) -> UsageReport:
    loaded = LoadedStore(
        sensitivity="internal", site="fra1", seal=41, sealed_at=datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
    )
    return report("bank-dev", Read(days, closed, [loaded]), Period(BEGIN, END), [by], date(2026, 12, 1))


def text_of(usage: UsageReport) -> str:
    return "\n".join(usage_text.lines(usage))


def test_text_and_page_say_what_was_used_by_whom_and_until_when_records_were_read():
    usage = used(usage_day(BEGIN, 1200), usage_day(BEGIN, 3, workload="letters"))
    text, page = text_of(usage), usage_page.page(usage)
    for part in ("1,203 requests, 2,100 tokens, 1.00 GPU hours, USD 2.50", "claims", "2026-12-01 09:30:00"):
        assert part in text
        assert part in page
    row = next(line for line in text.splitlines() if line.startswith("  claims"))
    assert row.split() == ["claims", "1,200", "0", "0", "1,000", "400", "50", "0.50", "1.25"]


def test_the_trend_is_shown_or_why_there_is_none():
    assert "the records do not go back to 2026-10-02" in text_of(used(usage_day(BEGIN, 10)))
    before = usage_day(date(2026, 10, 2), 8)
    row = next(
        line
        for line in text_of(used(before, usage_day(BEGIN, 10))).splitlines()
        if line.startswith("  requests")
    )
    assert row.split() == ["requests", "10", "8", "+25", "%"]


def test_what_the_figures_lack_is_said_first():
    text = text_of(used(usage_day(BEGIN, 10, unpriced=2, unfinished=1)))
    assert "2 answered requests without a price: the cost lacks them." in text
    assert "1 request unfinished" in text
    text = text_of(used(usage_day(BEGIN, 10, full_price_cached_tokens=250), usage_day(BEGIN, 1)))
    assert "Cached tokens at full price: 250 tokens." in text
    assert "full price" not in text_of(used(usage_day(BEGIN, 10)))


def test_a_cost_that_is_not_known_is_never_shown_as_zero():
    usage = used(
        usage_day(BEGIN, 10, cost_usd=Decimal(0), unpriced=10),
        usage_day(BEGIN, 4, workload="letters", unpriced=1),
        usage_day(BEGIN, 2, workload="refused", failed=2, cost_usd=Decimal(0)),
    )
    text = text_of(usage)
    cells = {line.split()[0]: line.rstrip() for line in text.splitlines() if line.startswith("  ")}
    assert cells["claims"].endswith("not known")
    assert cells["letters"].endswith("at least 1.25")
    assert cells["refused"].endswith(" 0.00"), "what was refused costs nothing"
    assert "USD at least 1.25" in text
    assert "cost not known" in text_of(used(usage_day(BEGIN, 10, cost_usd=Decimal(0), unpriced=10)))


def test_prices_are_shown_with_day_and_source_and_unknown_ones_as_unknown():
    known = UsagePrice(
        endpoint="internal-haiku",
        usd_per_million_prompt_tokens=1.1,
        usd_per_million_completion_tokens=5.5,
        source="AWS price list eu-central-1",
        as_of="2026-11-02",
    )
    days = [
        usage_day(BEGIN, 1, endpoint="internal-haiku"),
        usage_day(BEGIN, 1),
        usage_day(BEGIN, 1, endpoint=None),
    ]
    read = Read(days, [], [], prices=[known, known.model_copy(update={"endpoint": "unused"})])
    text = text_of(report("bank-dev", read, Period(BEGIN, END), ["workload"], END))
    row = next(line for line in text.splitlines() if line.startswith("  internal-haiku"))
    assert "1.1 and 5.5 for a million tokens of prompts and answers  2026-11-02  AWS price list" in row
    cached = known.model_copy(update={"usd_per_million_cached_tokens": 0.11})
    read = Read(days, [], [], prices=[cached])
    assert "1.1 and 5.5 for a million tokens of prompts (0.11 if cached) and answers" in text_of(
        report("bank-dev", read, Period(BEGIN, END), ["workload"], END)
    )
    row = next(line for line in text.splitlines() if line.startswith("  internal-llama"))
    assert " ".join(row.split()).endswith("not known not stated the platform has no such endpoint")
    assert "unused" not in text


def test_hours_of_instances_are_shown_as_no_price_by_token():
    instances = UsagePrice(
        endpoint="internal-llama", usd_per_hour=10.2, source="a list", as_of="2026-11-01", unknown_because="-"
    )
    read = Read([usage_day(BEGIN, 1, unpriced=1)], [], [], prices=[instances])
    text = text_of(report("hosted", read, Period(BEGIN, END), ["workload"], END))
    row = next(line for line in text.splitlines() if line.startswith("  internal-llama"))
    assert row.split("  ")[2:] == [
        "10.20 an hour for its planned instances, not by token",
        "2026-11-01",
        "a list",
    ]
    assert "their hours are in no cost above" in text
    unknown = UsagePrice(endpoint="internal-llama", unknown_because="it also costs by the request")
    read = Read([usage_day(BEGIN, 1)], [], [], prices=[unknown])
    text = text_of(report("hosted", read, Period(BEGIN, END), ["workload"], END))
    assert "not known  not stated  it also costs by the request" in text


@pytest.mark.parametrize(
    ("field", "title"), [("evaluations", "Evaluations"), ("shadows", "Shadows"), ("judges", "Judges")]
)
def test_what_is_no_usage_is_a_table_of_its_own_and_in_no_other_figure(field: str, title: str):
    apart = [
        usage_day(BEGIN, 40, team="", cost_usd=Decimal("0.75")),
        usage_day(BEGIN, 2, team="", endpoint="internal-haiku"),
        usage_day(date(2026, 10, 1), 7, team=""),
    ]
    read = replace(Read([usage_day(BEGIN, 10)], [], [], budgets={"motor": 200.0}), **{field: apart})
    usage = report("bank-dev", read, Period(BEGIN, END), ["team"], END)
    assert usage.totals.requests == 10
    lines = text_of(usage).splitlines()
    table = lines[lines.index(title) :]
    rows = [" ".join(line.split()) for line in table[2:5]]
    assert rows[1] == "claims internal-llama 40 0 0 1,000 400 50 0.50 0.75"
    assert rows[2] == "all 42 0 0 2,000 800 100 1.00 2.00"
    assert title in usage_page.page(usage)
    assert title not in text_of(used(usage_day(BEGIN, 10)))


def test_budgets_of_teams_show_what_is_spent_and_where_the_month_ends():
    month = [usage_day(BEGIN + timedelta(days=number), 10, cost_usd=Decimal(10)) for number in range(15)]
    read = Read(month, [], [], budgets={"motor": 200.0, "sales": 50.0})
    text = text_of(report("bank-dev", read, Period(BEGIN, END), ["team"], date(2026, 11, 16)))
    assert "Team motor is expected to exceed its budget of 2026-11: USD 300.00 of 200.00." in text
    row = next(line for line in text.splitlines() if line.startswith("  motor  2026-11"))
    assert row.split() == [
        "motor",
        "2026-11",
        "200.00",
        "150.00",
        "75",
        "%",
        "300.00",
        "300.00",
        "to",
        "300.00",
    ]
    row = next(line for line in text.splitlines() if line.startswith("  sales  2026-11"))
    assert row.split() == ["sales", "2026-11", "50.00", "0.00", "0", "%", "not", "known"]
    spent = report(
        "bank-dev", Read(month, [], [], budgets={"motor": 150.0}), Period(BEGIN, END), ["team"], END
    )
    assert "Team motor has spent its budget of 2026-11." in usage_page.page(spent)


def test_unusual_days_are_listed_with_the_rule():
    mondays = [date(2026, 10, 5) + timedelta(weeks=week) for week in range(5)]
    usage = used(*(usage_day(day, 100) for day in mondays), usage_day(date(2026, 11, 9), 900))
    text = text_of(usage)
    assert "2026-11-09  claims" in text
    assert "more than 3 median absolute deviations and by more than 20 %" in text


def test_adjustments_of_a_closed_month_are_apart():
    month = ClosedMonth(
        month=BEGIN,
        sensitivity="internal",
        site="fra1",
        closed_at=datetime(2026, 12, 2, tzinfo=UTC),
        seal=41,
        digest="ab" * 32,
        totals=UsageTotals(requests=10, cost_usd=Decimal("1.25")),
        adjustment=UsageTotals(requests=-1, cost_usd=Decimal("0.5")),
    )
    text = text_of(used(usage_day(BEGIN, 10), closed=(month,)))
    row = next(line for line in text.splitlines() if line.startswith("  2026-11 "))
    assert row.split() == ["2026-11", "internal", "at", "fra1", "ab" * 6, "10", "1.25", "-1", "+0.50"]


def test_csv_has_full_precision_and_a_row_for_each_group():
    usage = used(usage_day(BEGIN, 10, cost_usd=Decimal("0.0000000001")), by="team")
    (row,) = csv.DictReader(io.StringIO(usage_text.as_csv(usage)))
    assert (row["team"], row["requests"], row["cost_usd"], row["gpu_seconds"]) == (
        "motor",
        "10",
        "0.0000000001",
        "1800.0",
    )


@pytest.mark.parametrize("by", ["workload", "model", "team"])
def test_a_name_from_a_record_is_no_formula_and_no_markup(by: By):
    usage = used(usage_day(BEGIN, 10, **{by: EVIL}), by=by)
    assert "<script" not in usage_page.page(usage)
    for shown in (usage_page.page(usage), text_of(usage), usage_text.as_csv(usage)):
        assert "\u202e" not in shown
    assert usage_text.as_csv(usage).splitlines()[1].startswith("'=cmd()")


def test_the_page_loads_nothing():
    page = usage_page.page(used(usage_day(BEGIN, 10)))
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
