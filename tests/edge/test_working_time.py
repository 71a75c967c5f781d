"""Working time: never runs backwards, skips nights and holidays, and follows clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.working_time import DAYS, HORIZON, WorkingTime, parse_period

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = tuple((parse_period("09:00-17:00"),) if day not in ("sat", "sun") else () for day in DAYS)
ALWAYS = tuple((parse_period("00:00-24:00"),) for _ in DAYS)
BANK = WorkingTime(BERLIN, OFFICE, "DE", "HE", frozenset([date(2026, 12, 24)]))
HOUR = timedelta(hours=1)


def local(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@st.composite
def calendars(draw: st.DrawFn) -> WorkingTime:
    """Calendars with any working hours, also in the night, in zones with and without clock changes."""
    week = []
    for _ in DAYS:
        bounds = sorted(draw(st.sets(st.integers(0, 96), max_size=6)))
        pairs = zip(bounds[::2], bounds[1::2], strict=False)
        week.append(tuple((timedelta(minutes=15 * a), timedelta(minutes=15 * b)) for a, b in pairs))
    if not any(week):
        week[0] = (parse_period("09:00-17:00"),)
    # Havana changes its clocks at midnight, Lord Howe by half an hour.
    zones = [
        "Europe/Berlin",
        "America/New_York",
        "America/Havana",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "UTC",
    ]
    free = draw(st.sets(st.dates(date(2026, 1, 1), date(2027, 12, 31)), max_size=20))
    country = draw(st.sampled_from([None, "DE", "US"]))
    return WorkingTime(ZoneInfo(draw(st.sampled_from(zones))), tuple(week), country, None, frozenset(free))


moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))
spans = st.integers(0, 200 * 3600).map(lambda seconds: timedelta(seconds=seconds))


@given(calendars(), moments, spans)
def test_exactly_the_stated_working_time_passes_until_a_deadline(
    calendar: WorkingTime, start: datetime, worked: timedelta
):
    deadline = calendar.add(start, worked)
    assert deadline >= start + worked
    assert calendar.between(start, deadline) == worked


@given(calendars(), moments, spans, spans, spans)
def test_a_later_start_or_more_work_never_gives_an_earlier_deadline(
    calendar: WorkingTime, start: datetime, later: timedelta, worked: timedelta, more: timedelta
):
    assert calendar.add(start + later, worked) >= calendar.add(start, worked)
    assert calendar.add(start, worked + more) >= calendar.add(start, worked)


@given(calendars(), moments, spans, spans)
def test_a_deadline_in_two_parts_is_the_deadline_of_the_whole(
    calendar: WorkingTime, start: datetime, first: timedelta, second: timedelta
):
    assert calendar.add(calendar.add(start, first), second) == calendar.add(start, first + second)


@given(calendars(), moments, spans)
def test_the_reminder_is_the_last_moment_with_that_much_time_left(
    calendar: WorkingTime, end: datetime, worked: timedelta
):
    start = calendar.subtract(end, worked)
    assert calendar.between(start, end) == worked
    assert not worked or calendar.between(start + timedelta(seconds=1), end) < worked


@given(calendars(), st.dates(date(2026, 1, 1), date(2027, 12, 31)))
def test_nobody_works_on_a_holiday_and_periods_never_overlap(calendar: WorkingTime, day: date):
    if calendar.is_free(day):
        assert calendar.periods(day) == []
    two_days = calendar.periods(day) + calendar.periods(day + timedelta(days=1))
    bounds = [bound for period in two_days for bound in period]
    assert bounds == sorted(bounds)


@pytest.mark.parametrize(
    ("start", "worked", "deadline"),
    [
        ("2026-12-01T10:00", 4, "2026-12-01T14:00"),
        ("2026-12-01T15:00", 4, "2026-12-02T11:00"),
        ("2026-12-01T09:00", 8, "2026-12-01T17:00"),
        ("2026-12-04T16:00", 2, "2026-12-07T10:00"),  # over a weekend
        ("2026-12-05T12:00", 1, "2026-12-07T10:00"),  # arrives on a Saturday
        ("2026-12-23T16:00", 2, "2026-12-28T10:00"),  # own date, two public holidays, a weekend
        ("2026-06-03T16:00", 2, "2026-06-05T10:00"),  # Corpus Christi is a holiday in Hesse
        ("2026-03-27T16:00", 2, "2026-03-30T10:00"),  # clocks go forward on the Sunday between
        ("2026-10-23T16:00", 2, "2026-10-26T10:00"),  # and back
    ],
)
def test_deadlines_of_a_bank_in_frankfurt(start: str, worked: int, deadline: str):
    assert BANK.add(local(start), worked * HOUR) == local(deadline)


def test_holidays_of_another_state_are_working_days():
    berlin = WorkingTime(BERLIN, OFFICE, "DE", "BE")
    assert berlin.add(local("2026-06-03T16:00"), 2 * HOUR) == local("2026-06-04T10:00")


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)],
)
def test_a_day_on_which_clocks_change_has_an_hour_less_or_more(day: str, hours: int):
    (period,) = WorkingTime(BERLIN, ALWAYS).periods(date.fromisoformat(day))
    assert period[1] - period[0] == hours * HOUR


@pytest.mark.parametrize(
    ("period", "day", "begin", "end"),
    [
        ("02:30-05:00", "2026-03-29", "01:00", "03:00"),  # 02:30 does not exist: from the change on
        ("01:00-02:30", "2026-03-29", "00:00", "01:00"),  # and until the change
        ("02:00-03:00", "2026-10-25", "00:00", "02:00"),  # the hour comes twice
    ],
)
def test_times_that_a_clock_change_skips_or_repeats(period: str, day: str, begin: str, end: str):
    calendar = WorkingTime(BERLIN, tuple((parse_period(period),) for _ in DAYS))
    expected = tuple(datetime.fromisoformat(f"{day}T{at}+00:00") for at in (begin, end))
    assert calendar.periods(date.fromisoformat(day)) == [expected]


def test_hours_within_a_skipped_hour_are_no_working_time():
    calendar = WorkingTime(BERLIN, tuple((parse_period("02:15-02:45"),) for _ in DAYS))
    assert calendar.periods(date(2026, 3, 29)) == []


def test_a_calendar_without_any_working_hours_ends_at_the_horizon():
    never = WorkingTime(BERLIN, tuple(() for _ in DAYS))
    start = local("2026-12-01T10:00")
    assert never.add(start, HOUR) == start + HORIZON
    assert never.subtract(start, HOUR) == start - HORIZON


@pytest.mark.parametrize("text", ["9:00-17:00", "17:00-09:00", "09:00-24:01", "09:00", "09:00-09:00", "x"])
def test_a_period_that_is_none_is_refused(text: str):
    with pytest.raises(ValueError, match="is not a period"):
        parse_period(text)
