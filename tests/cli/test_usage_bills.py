"""`isthmus usage …` as a user runs it."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.usage.bills import simulated_month
from tests.usage.bills.simulated_month import PROFILES, Month


@pytest.fixture(scope="module")
def month() -> Month:
    return simulated_month.make_month()


@pytest.fixture(scope="module")
def files(month: Month, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("usage")
    simulated_month.write_cur(month, folder / "data" / "BILLING_PERIOD=2026-11", form="parquet")
    days = [day.model_dump(mode="json") for day in month.days]
    (folder / "usage.json").write_text(json.dumps({"stack": "bank-dev", "days": days}))
    third = PROFILES[2]
    names = f"{{workload: {third.workload}, endpoint: {third.endpoint}}}"
    (folder / "profiles.yaml").write_text(f"profiles:\n  {third.arn}: {names}\n")
    return folder


def arguments(files: Path, *more: str) -> list[str]:
    usage, profiles = str(files / "usage.json"), str(files / "profiles.yaml")
    return [
        "usage",
        "reconcile",
        "bank-dev",
        "--bill",
        str(files),
        "--usage",
        usage,
        "--profiles",
        profiles,
        *more,
    ]


def test_text_json_csv_and_page_show_the_same_total_and_parts_that_add_up(isthmus, files: Path):
    answer = isthmus(*arguments(files, "--format", "json"))
    assert answer.code == 0, answer.err
    report = json.loads(answer.out)
    usd = [Decimal(entry["amount"]) for entry in report["categories"] if entry["currency"] == "USD"]
    [total] = [Decimal(entry["amount"]) for entry in report["totals"] if entry["currency"] == "USD"]
    assert sum(usd) == total
    shown = f"{total:,.2f}"
    text = isthmus(*arguments(files)).out
    assert "Reconciled: all tokens of every profile and day agree within 0.5 %." in text
    assert shown in text
    page = isthmus(*arguments(files, "--format", "html")).out
    assert shown in page
    assert "<script" not in page
    rows = list(csv.DictReader(io.StringIO(isthmus(*arguments(files, "--format", "csv")).out)))
    found = [Decimal(row["amount"]) for row in rows if (row["part"], row["currency"]) == ("category", "USD")]
    assert sum(found) == total


def test_tokens_that_differ_end_with_1_and_say_where(isthmus, files: Path):
    answer = isthmus(*arguments(files, "--tolerance", "0"))
    assert answer.code == 1
    assert "differ by more than 0 %" in answer.out
    assert " policy-assistant at internal-claude-haiku-4-5, input: " in answer.out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--month", "2026-09"), "there is no bill of 2026-09"),
        (("--month", "november"), "`november` is not a month"),
        (("--rate", "EUR=1.08"), "`EUR=1.08` is not a rate with its day"),
        (("--bill", "missing.parquet"), "the bill does not exist"),
    ],
)
def test_wrong_input_ends_with_2_and_says_what_to_do(
    isthmus, files: Path, more: tuple[str, ...], message: str
):
    answer = isthmus(*arguments(files, *more))
    assert answer.code == 2
    assert message in answer.err
    assert "Fix: " in answer.err


def test_usage_is_written_as_focus_to_stdout_csv_and_parquet(isthmus, files: Path, tmp_path: Path):
    usage = ("usage", "focus", "bank-dev", "--usage", files / "usage.json")
    answer = isthmus(*usage)
    assert answer.code == 0, answer.err
    assert answer.out.startswith("AvailabilityZone,BilledCost,")
    assert isthmus(*usage, "-o", tmp_path / "usage.csv").code == 0
    assert (tmp_path / "usage.csv").read_text() == answer.out
    assert isthmus(*usage, "-o", tmp_path / "usage.parquet").code == 0
    assert (tmp_path / "usage.parquet").read_bytes()[:4] == b"PAR1"
    refused = isthmus(*usage, "-o", tmp_path / "usage.xlsx")
    assert refused.code == 2
    assert "ends in neither .csv nor .parquet" in refused.err


def test_plan_against_actual_adds_up_as_json_and_is_shown_as_text(isthmus, files: Path):
    usage = ("usage", "variance", "bank-dev", "--usage", files / "usage.json")
    answer = isthmus(*usage, "--format", "json")
    assert answer.code == 0, answer.err
    total = json.loads(answer.out)["total"]
    effects = [Decimal(total[name]) for name in ("load", "mix", "efficiency", "price", "not_planned")]
    assert sum(effects) == Decimal(total["difference"]) == Decimal(total["actual"]) - Decimal(total["plan"])
    assert f"{Decimal(total['actual']):,.2f}" in isthmus(*usage).out


def test_a_forecast_has_an_interval_or_says_why_not(isthmus, files: Path):
    usage = ("usage", "forecast", "bank-dev", "--usage", files / "usage.json")
    answer = isthmus(*usage, "--through", "2026-11-12", "--by", "team", "--format", "json")
    assert answer.code == 0, answer.err
    rows = json.loads(answer.out)["rows"]
    assert [row["name"] for row in rows] == ["all", "legal", "lending", "marketing", "payments", "service"]
    assert all(Decimal(row["low"]) <= Decimal(row["expected"]) <= Decimal(row["high"]) for row in rows)
    assert "not known: 5 days are observed" in isthmus(*usage, "--through", "2026-11-05").out
    refused = isthmus(*usage, "--through", "2026-10-05")
    assert refused.code == 2
    assert "which is not in 2026-11" in refused.err


def test_the_state_of_the_stack_names_profiles(isthmus, files: Path, tmp_path: Path):
    from tests.usage.bills.test_profiles import state

    folder = tmp_path / ".pulumi" / "stacks" / "isthmus"
    folder.mkdir(parents=True)
    (folder / "bank-dev.json").write_text(json.dumps({"version": 3, "checkpoint": {"latest": state()}}))
    backend = {"PULUMI_BACKEND_URL": f"file://{tmp_path}"}
    answer = isthmus(*arguments(files, "--format", "json"), **backend)
    profiles = {entry["endpoint"]: entry["known_by"] for entry in json.loads(answer.out)["profiles"]}
    assert profiles["public-nova-lite"] == ["state"]
    (folder / "bank-dev.json").write_text("{")
    damaged = isthmus(*arguments(files), **backend)
    assert damaged.code == 0
    assert "note: the stack's state is not used: " in damaged.err


def test_a_bill_is_read_from_s3(isthmus, files: Path):
    from tests.s3_service import client, s3_service

    with s3_service() as url:
        s3 = client(url)
        s3.create_bucket(Bucket="bills")
        [bill] = files.rglob("*.parquet")
        s3.upload_file(str(bill), "bills", "bank/data/BILLING_PERIOD=2026-11/bill.parquet")
        more = ("--bill", "s3://bills/bank", "--endpoint", url)
        answer = isthmus(*arguments(files, *more), AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
    assert answer.code == 0, answer.err
    assert answer.out == isthmus(*arguments(files)).out
