"""Traffic measured from exports of usage: rates, tokens, hours and growth are those of the rows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.requirements.workloads import Traffic
from isthmus.core.errors import InputError
from isthmus.discovery import usage_exports
from isthmus.discovery.usage_exports import Measured, measure

START = datetime(2026, 10, 1, tzinfo=UTC)
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(text: str) -> Path:
        file = tmp_path / "export"
        file.write_text(text)
        return file

    return to_file


def one(file: Path, columns: Mapping[str, str] | None = None, by: str | None = None) -> Measured:
    (measured,) = measure([file], columns or {}, by)
    Traffic.model_validate(measured.traffic)
    return measured


def requests_csv(count: int, seconds: int) -> str:
    """One row a request, evenly over a time; 100 to 199 prompt tokens, 10 output tokens."""
    rows = [
        f"{(START + timedelta(seconds=index * seconds / count)).isoformat()},m,{100 + index % 100},10"
        for index in range(count)
    ]
    return "\n".join(["startTime,model,prompt_tokens,completion_tokens", *rows]) + "\n"


def test_single_requests_give_rates_lengths_and_hours(write: Write):
    measured = one(write(requests_csv(8640, 86_400)))  # one each ten seconds for a day
    assert (measured.group, measured.requests, measured.days, measured.estimated) == ("m", 8640, 1, [])
    assert (measured.traffic["mean_rps"], measured.traffic["peak_rps"]) == (0.1, 0.1)
    assert measured.traffic["prompt_tokens"] == {"mean": 149, "p95": 194}
    assert measured.traffic["output_tokens"] == {"mean": 10, "p95": 10}
    assert measured.traffic["profile"] == [1] * 24


def test_the_peak_is_that_of_the_busiest_five_minutes(write: Write):
    busy = "".join(
        f"{(START + timedelta(hours=9, seconds=index)).isoformat()},m,100,10\n" for index in range(300)
    )
    measured = one(write(requests_csv(8640, 86_400) + busy))
    assert measured.traffic["peak_rps"] == 1.1
    assert measured.traffic["profile"][9] == 1
    assert measured.traffic["profile"][3] == round(360 / 660, 2)


def test_hours_of_openai_are_buckets_whose_minutes_are_estimated(write: Write):
    rows = [
        f"{int(START.timestamp()) + hour * 3600},{int(START.timestamp()) + hour * 3600 + 3600},"
        f"{7200 if hour == 10 else 3600},{360_000},{36_000},{90_000},gpt"
        for hour in range(48)
    ]
    header = "start_time,end_time,num_model_requests,input_tokens,output_tokens,input_cached_tokens,model"
    measured = one(write("\n".join([header, *rows]) + "\n"))
    assert measured.traffic["mean_rps"] == pytest.approx((47 * 3600 + 7200) / (48 * 3600), rel=0.01)
    assert measured.traffic["peak_rps"] == 4, "twice the two requests a second of the busiest hour"
    assert measured.traffic["prefix_hit_ratio"] == 0.25
    prompt = measured.traffic["prompt_tokens"]
    assert prompt["p95"] == pytest.approx(prompt["mean"] * 2.8, abs=2)
    assert [what.split(":")[0] for what in measured.estimated] == ["peak_rps", "p95 of tokens"]


def test_days_have_no_hours_and_a_peak_that_is_called_an_estimate(write: Write):
    rows = [f"2026-10-{day:02},claude,8640,5000,1000,500,864000" for day in range(1, 31)]
    header = "usage_date_utc,model_version,requests,usage_input_tokens_no_cache"
    header += ",usage_input_tokens_cache_read,usage_input_tokens_cache_write,usage_output_tokens"
    measured = one(write("\n".join([header, *rows]) + "\n"))
    assert (measured.days, measured.traffic["mean_rps"], measured.traffic["peak_rps"]) == (30, 0.1, 0.6)
    assert "profile" not in measured.traffic
    assert measured.traffic["prefix_hit_ratio"] == round(1000 / 6500, 2)
    assert "six times the busiest day" in measured.estimated[0]


def test_growth_is_measured_over_two_months_and_more(write: Write):
    rows = [
        f"{(START + timedelta(days=day)).date()},m,{round(1000 * 1.1 ** (day / 30.4167))},10,10"
        for day in range(120)
    ]
    measured = one(write("\n".join(["date,model,requests,input_tokens,output_tokens", *rows]) + "\n"))
    assert measured.traffic["growth_pct_month"] == pytest.approx(10, abs=0.6)


def test_logs_as_json_lines_are_read_with_nested_keys(write: Write):
    rows = [
        {
            "timestamp": f"2026-11-{1 + index // 24:02}T{index % 24:02}:00:00Z",
            "modelId": "amazon.nova-lite-v1:0",
            "input": {"inputTokenCount": 1000},
            "output": {"outputTokenCount": 200, "outputBodyJson": {"text": "secret"}},
        }
        for index in range(72)
    ]
    measured = one(write("\n".join(map(json.dumps, rows)) + "\n"))
    assert (measured.group, measured.requests, measured.days) == ("amazon.nova-lite-v1:0", 72, 3)


def test_workloads_are_told_apart_by_a_column_and_columns_can_be_named(write: Write):
    text = "zeit,team,anfragen,rein,raus\n" + "".join(
        f"2026-11-01T{hour:02}:00:00Z,{team},{count},100,10\n"
        for hour in range(24)
        for team, count in (("kyc", 10), ("chat", 30))
    )
    columns = {"time": "zeit", "requests": "anfragen", "prompt": "rein", "output": "raus"}
    found = measure([write(text)], columns, "team")
    assert [(measured.group, measured.requests) for measured in found] == [("chat", 720), ("kyc", 240)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "no column is known to hold time and output and prompt. Fix: Name it"),
        ("time,prompt_tokens,output_tokens\nyesterday,1,1\n", ":2: `yesterday` in column `time` is no time"),
        ("time,prompt_tokens,output_tokens\n2026-11-01,many,1\n", ":2: `many` in column `prompt_tokens`"),
        ("time,prompt_tokens,output_tokens\n2026-11-01,-1,1\n", ":2: `-1` in column `prompt_tokens`"),
        ("time,prompt_tokens,output_tokens\n", "there is no row with a request"),
        ("", "there is no row with a request"),
        ('{"time": 1}\n[1]\n', "no column is known to hold output and prompt"),
        ("[1]", ":1: the line is no JSON object"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(write: Write, text: str, words: str):
    with pytest.raises(InputError) as caught:
        measure([write(text)], {})
    assert words in str(caught.value)


def test_a_wrong_column_or_role_is_refused_with_the_known_ones(write: Write):
    file = write("time,prompt_tokens,output_tokens\n2026-11-01,1,1\n")
    with pytest.raises(InputError, match="no column `promt`"):
        measure([file], {"prompt": "promt"})
    with pytest.raises(InputError, match="Did you mean `prompt`"):
        measure([file], {"promt": "prompt_tokens"})


def test_too_many_rows_are_refused(write: Write, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(usage_exports, "_LARGEST", 10)
    with pytest.raises(InputError, match="more than 10 rows"):
        measure([write(requests_csv(11, 60))], {})


@given(st.integers(1, 400), st.integers(60, 40 * 86_400), st.integers(0, 2**32))
def test_measured_traffic_is_always_valid_and_its_total_is_that_of_the_rows(
    tmp_path_factory: pytest.TempPathFactory, count: int, seconds: int, seed: int
):
    drawn = random.Random(seed)
    rows: list[dict[str, Any]] = [
        {
            "timestamp": START.timestamp() + drawn.uniform(0, seconds),
            "prompt_tokens": drawn.randint(0, 9000),
            "completion_tokens": drawn.randint(0, 900),
        }
        for _ in range(count)
    ]
    file = tmp_path_factory.mktemp("usage") / "log.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    measured = one(file)
    assert measured.requests == count
    assert measured.traffic["mean_rps"] * measured.days * 86_400 == pytest.approx(count, rel=0.02)
