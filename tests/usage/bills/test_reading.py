"""Reading bills: formats, files, columns, sums."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.usage.bills.lines import Bill, tag_key
from isthmus.usage.bills.reading import read_bill
from tests.usage.bills.simulated_month import Month, write_cur_with_all_tags

NOVEMBER = date(2026, 11, 1)
FORMS = [f"{format}.{form}" for format in ("cur", "focus") for form in ("parquet", "csv", "csv.gz")]


def charges(bill: Bill, currency: str = "USD") -> dict[str, Decimal]:
    sums: Counter[str] = Counter()
    for line in bill.lines:
        if line.currency == currency:
            sums[line.charge] += line.cost  # type: ignore[assignment]
    return dict(sums)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_bill_has_the_same_total_and_every_line(
    form: str, bills: dict[str, Path], month: Month
):
    bill = read_bill([bills[form]], NOVEMBER)
    assert bill.format == ("CUR 2.0" if form.startswith("cur") else "FOCUS")
    assert sum(charges(bill).values()) == month.total_usd
    assert charges(bill, "EUR") == {"usage": month.euros}
    assert sum(line.lines for line in bill.lines) == len(month.lines)


def test_cur_tells_discounts_credits_refunds_tax_and_fees_apart(bills: dict[str, Path], month: Month):
    found = charges(read_bill([bills["cur.csv.gz"]]))
    assert {name: found[name] for name in ("discount", "credit", "refund", "tax", "fee")} == {
        name: month.truth[name] for name in ("discount", "credit", "refund", "tax", "fee")
    }


def test_focus_has_refunds_and_discounts_as_adjustments(bills: dict[str, Path], month: Month):
    found = charges(read_bill([bills["focus.parquet"]]))
    assert found["adjustment"] == month.truth["discount"] + month.truth["refund"]


def test_a_tag_has_one_key_in_both_formats(bills: dict[str, Path]):
    for form in ("cur.parquet", "cur.csv", "focus.parquet", "focus.csv"):
        keys = {key for line in read_bill([bills[form]]).lines for key in line.tags}
        assert keys == {"isthmus_platform", "isthmus_dev_workload", "isthmus_dev_class"}, form


@pytest.mark.parametrize("form", ["parquet", "csv", "csv.gz"])
@pytest.mark.parametrize("beside", [False, True])
def test_the_newer_column_of_tags_says_the_same_as_that_of_resources(
    form: str, beside: bool, bills: dict[str, Path], month: Month, tmp_path: Path
):
    newer = read_bill([write_cur_with_all_tags(month, tmp_path, form=form, beside=beside)])
    resource_tags = ("isthmus_platform", "isthmus_dev_workload", "isthmus_dev_class")
    known = [
        (line.usage_type, line.day, {key: line.tags[key] for key in resource_tags if key in line.tags})
        for line in newer.lines
    ]
    older = read_bill([bills[f"cur.{form}"]])
    assert sorted(known, key=str) == sorted(
        ((line.usage_type, line.day, dict(line.tags)) for line in older.lines), key=str
    )
    assert charges(newer) == charges(older)
    others = {key for line in newer.lines for key in line.tags} - set(resource_tags)
    assert others == {"accounttag_isthmus_platform", "costcategory_isthmus_platform"}, "no resource has them"


@pytest.mark.parametrize(
    "key",
    [
        "user_isthmus_dev_workload",
        "user:isthmus.dev/workload",
        "resourceTags/user:isthmus.dev/workload",
        "resourceTags/isthmus.dev/workload",
        "isthmus.dev/workload",
    ],
)
def test_a_tag_has_one_key_however_aws_writes_it(key: str):
    assert tag_key(key) == "isthmus_dev_workload"


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def write(file: Path, lines: list[dict[str, Any]]) -> Path:
    with file.open("w", newline="") as text:
        writer = csv.DictWriter(text, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return file


def test_a_net_cost_is_a_discount_where_the_bill_has_no_discount_lines(
    bills: dict[str, Path], tmp_path: Path
):
    lines = [
        line for line in rows(bills["cur.csv"]) if not line["line_item_line_item_type"].endswith("Discount")
    ]
    for line in lines:
        gross = Decimal(line["line_item_unblended_cost"])
        usage = line["line_item_line_item_type"] == "Usage"
        line["line_item_net_unblended_cost"] = str(gross * Decimal("0.9") if usage else gross)
    bill = read_bill([write(tmp_path / "net.csv", lines)])
    found = charges(bill)
    assert bill.discounts == "net cost"
    assert abs(found["discount"] + found["usage"] / 10) < Decimal("0.000001")


def test_a_net_cost_is_not_taken_off_twice_where_the_bill_has_discount_lines(
    bills: dict[str, Path], tmp_path: Path
):
    lines = rows(bills["cur.csv"])
    for line in lines:
        line["line_item_net_unblended_cost"] = "0"
    bill = read_bill([write(tmp_path / "both.csv", lines)])
    assert bill.discounts == "lines"
    assert charges(bill) == charges(read_bill([bills["cur.csv"]]))


def test_a_missing_column_is_named_with_the_setting_that_adds_it(bills: dict[str, Path], tmp_path: Path):
    lines = [
        {name: value for name, value in line.items() if name != "line_item_resource_id"}
        for line in rows(bills["cur.csv"])
    ]
    with pytest.raises(
        InputError, match=r"lacks the column line_item_resource_id. Fix: Turn on `Include resource"
    ):
        read_bill([write(tmp_path / "lacks.csv", lines)])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"lineItem/UsageType": "x"}, "legacy Cost and Usage Report"),
        ({"month": "2026-11", "amount": "3"}, "neither CUR 2.0 nor FOCUS"),
    ],
)
def test_a_table_that_is_no_bill_is_refused(header: dict[str, str], message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        read_bill([write(tmp_path / "other.csv", [header])])


def test_a_damaged_file_is_refused_with_its_name(tmp_path: Path):
    (tmp_path / "bill.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match=r"bill\.parquet: the bill cannot be read"):
        read_bill([tmp_path / "bill.parquet"])


def test_another_month_is_refused_and_the_months_of_the_bill_are_named(bills: dict[str, Path]):
    with pytest.raises(
        InputError, match=r"no line of the billing period 2026-10. Fix: Its billing periods are: 2026-11"
    ):
        read_bill([bills["focus.csv.gz"]], date(2026, 10, 1))


def test_without_duckdb_the_error_says_what_to_install(
    bills: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'isthmus\[bills\]'"):
        read_bill([bills["cur.csv"]])
