"""Rows of the usage ledger: what records make of a request, in any order, and what each row adds to the sums."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.usage.ledger import MemoryLedger
from edge.usage.rows import NOTHING, Row, Sums, endpoint_of, fold, pseudonym, sums_of, take
from tests.edge.usage.histories import BEGIN, History, expected, histories, intent, load, outcome, place, seal


def row_of(*records: dict[str, Any], names_people: bool = True) -> Row:
    row = None
    for record in records:
        row = take(row, record, lambda _: names_people)
    assert row is not None
    return row


def test_an_answered_request_is_one_row_with_what_it_used():
    row = row_of(intent("r1", BEGIN), outcome("r1", BEGIN + timedelta(seconds=2)))
    assert (row.team, row.workload, row.model, row.person) == ("motor", "claims", "claims", "")
    assert (row.outcome, row.at, row.endpoint) == ("answered", BEGIN, "confidential-qwen")
    assert (row.prompt_tokens, row.cached_tokens, row.completion_tokens) == (100, 64, 10)
    assert (row.gpu_seconds, row.usd) == (Decimal("0.5"), Decimal("0.0005"))
    assert row.price == '{"usd_per_gpu_hour": 3.6}'


def test_a_record_of_an_earlier_release_lacks_cached_tokens_and_price():
    record = outcome("r1", BEGIN, tokens={"prompt": 7, "completion": 5})
    del record["price"]
    row = row_of(record)
    assert (row.prompt_tokens, row.cached_tokens, row.price) == (7, None, None)


@pytest.mark.parametrize(
    ("price", "tokens"),
    [
        ({"usd_per_million_tokens": {"prompt": 1.1, "completion": 5.5}}, 64),
        ({"usd_per_million_tokens": {"prompt": 1.1, "completion": 5.5, "cached": 0.11}}, 0),
        ({"usd_per_gpu_hour": 3.6}, 0),
        (None, 0),
    ],
)
def test_cached_tokens_cost_the_full_price_where_theirs_was_not_known(price: Any, tokens: int):
    (sums,) = (sums_of(row_of(outcome("r1", BEGIN, price=price)))[1],)
    assert (sums.cached_tokens, sums.full_price_cached_tokens) == (64, tokens)


def test_several_tries_of_one_request_are_one_request_at_the_endpoint_of_the_last():
    tries = [intent("r1", BEGIN, attempt=1), intent("r1", BEGIN, attempt=2)]
    assert row_of(*tries).endpoint == row_of(*reversed(tries)).endpoint == "confidential-llama"
    assert sums_of(row_of(*tries, outcome("r1", BEGIN)))[1].requests == 1


@pytest.mark.parametrize(
    ("status", "ended_well", "result"),
    [
        (200, True, "answered"),
        (202, True, "answered"),
        (403, False, "refused"),
        (502, False, "failed"),
        (200, False, "failed"),
    ],
)
def test_the_status_says_how_a_request_ended(status: int, ended_well: bool, result: str):
    assert row_of(outcome("r1", BEGIN, status=status, ended_well=ended_well)).outcome == result


def test_a_request_counts_on_the_day_on_which_it_began():
    row = row_of(outcome("r1", BEGIN + timedelta(seconds=90)), intent("r1", BEGIN))
    assert sums_of(row)[0].day == date(2026, 11, 30)


def test_a_person_has_another_name_each_month_and_a_program_has_none():
    who = {"workload": "claims", "team": "motor", "identity": "person:ab"}
    november, december = (
        row_of(outcome("r1", BEGIN + timedelta(minutes=minutes), who=who)).person for minutes in (0, 2)
    )
    assert november == pseudonym("person:ab", date(2026, 11, 1))
    assert november != december
    assert len(november) == 16
    assert row_of(outcome("r1", BEGIN, who=who), names_people=False).person == ""
    assert row_of(outcome("r1", BEGIN)).person == "", "k1 is a key"


def test_an_intent_is_unfinished_when_its_gateway_has_ended_or_an_hour_has_passed():
    asked = intent("r1", BEGIN)
    (row,) = fold({}, seal(1), [asked], lambda _: True).values()
    assert row.outcome == "open"
    assert sums_of(row)[1] == NOTHING
    for later in (seal(2, ended=["w1"]), seal(2, writers=[]), seal(2, BEGIN + timedelta(hours=1))):
        (changed,) = fold({"r1": row}, later, [], lambda _: True).values()
        assert changed.outcome == "unfinished"
    assert fold({"r1": row}, seal(2, BEGIN + timedelta(minutes=59)), [], lambda _: True) == {}


def test_an_unfinished_request_is_settled_by_an_outcome_that_comes_later():
    ledger = MemoryLedger(lambda _: True)
    ledger.take(seal(1), [intent("r1", BEGIN)])
    ledger.take(seal(2, BEGIN + timedelta(hours=2)), [])
    assert [sums.unfinished for sums in ledger.sums.values()] == [1]
    ledger.take(seal(3, BEGIN + timedelta(hours=2)), [outcome("r1", BEGIN + timedelta(minutes=70))])
    (sums,) = ledger.sums.values()
    assert (sums.requests, sums.unfinished, sums.prompt_tokens) == (1, 0, 100)


def test_answered_requests_are_counted_by_the_hour_in_which_they_began():
    ledger = MemoryLedger(lambda _: True)
    ledger.take(
        seal(1), [outcome("r1", BEGIN), outcome("r2", BEGIN + timedelta(minutes=2)), intent("r3", BEGIN)]
    )
    ledger.take(seal(2, ended=["w1"]), [outcome("r4", BEGIN, status=403, ended_well=False)])
    hours = [(hour.key.hour.isoformat(), hour.requests) for hour in ledger.hours()]
    assert hours == [("2026-11-30T23:00:00+00:00", 1), ("2026-12-01T00:00:00+00:00", 1)]


@pytest.mark.parametrize("purpose", ["evaluation", "shadow", "judge"])
def test_what_is_no_usage_has_sums_of_its_own_without_team_person_and_hours(purpose: str):
    who = {"workload": "claims", "team": "motor", "identity": "person:ab"}
    evaluates: dict[str, Any] = {"who": {**who, "purpose": purpose}}
    ledger = MemoryLedger(lambda _: True)
    ledger.take(seal(1), [intent("r1", BEGIN, **evaluates), outcome("r1", BEGIN, **evaluates)])
    [key] = ledger.sums
    assert (key.purpose, key.team, key.person, key.workload) == (purpose, "", "", "claims")
    assert ledger.sums[key].prompt_tokens == 100
    assert ledger.hours() == []
    ledger.take(seal(2), [outcome("r2", BEGIN, who={**who, "team": "", "identity": "key:k1"})])
    assert len(ledger.sums) == 2, "usage without a team is another sum"


def test_the_endpoint_is_the_service_of_a_model_server_or_what_a_translator_is_called_with():
    assert endpoint_of(place("restricted-qwen3-32b.isthmus-restricted.svc")) == "restricted-qwen3-32b"
    bedrock = {"target": "bedrock", "server": "public-translator.isthmus-public.svc"}
    assert endpoint_of({**bedrock, "model": "public-nova-lite--campaign-copy"}) == "public-nova-lite"
    assert endpoint_of(None) == ""


def test_what_a_gateway_should_not_have_written_does_not_stop_the_ledger():
    odd = {
        "tokens": {"prompt": -3, "cached": "many", "completion": 10**30},
        "gpu_seconds": 1e300,
        "usd": -1,
        "who": {"workload": "a\x00b\ud800", "team": None, "identity": 7},
        "model": "x" * 1000,
    }
    row = row_of(outcome("r1", BEGIN, **odd))
    assert (row.prompt_tokens, row.cached_tokens, row.completion_tokens) == (0, None, 10**9)
    assert (row.gpu_seconds, row.usd) == (Decimal(10**9), Decimal(0))
    assert (row.workload, row.team, len(row.model)) == ("a\ufffdb\ufffd", "", 256)


def test_who_has_no_key_cannot_fill_the_ledger_with_names_of_models():
    unknown = {"workload": "", "team": "", "identity": ""}
    assert row_of(outcome("r1", BEGIN, who=unknown, model="free-gpt", status=401, ran=None)).model == ""


@given(histories())
def test_the_sums_are_those_of_the_records_and_of_the_rows(history: History):
    ledger = load(history)
    total = NOTHING
    for sums in ledger.sums.values():
        total = total.plus(sums)
    wanted = expected(history.records)
    assert total._replace(gpu_seconds=Decimal(0), usd=Decimal(0)) == wanted
    answered = [row for row in ledger.rows.values() if row.outcome == "answered" and not row.purpose]
    assert sum(hour.requests for hour in ledger.hours()) == len(answered)
    of_rows: dict[Any, Sums] = {}
    for row in ledger.rows.values():
        key, sums = sums_of(row)
        of_rows[key] = of_rows.get(key, NOTHING).plus(sums)
    assert ledger.sums == {key: sums for key, sums in of_rows.items() if sums != NOTHING}


@given(histories(), st.randoms(use_true_random=False))
def test_order_and_repetition_of_records_change_nothing(history: History, chance: random.Random):
    records = history.records * 2
    chance.shuffle(records)
    cut = chance.randint(0, len(records))
    last = history.seals[-1][0]
    again = History([(seal(1, writers=("w1", "w2")), records[:cut]), (last, records[cut:])])
    assert load(again).rows == load(history).rows
    assert load(again).sums == load(history).sums
