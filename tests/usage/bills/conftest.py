"""The simulated month and its bill, made once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.usage.bills import simulated_month
from tests.usage.bills.simulated_month import Month

NOVEMBER = date(2026, 11, 1)


@pytest.fixture(scope="package")
def month() -> Month:
    return simulated_month.make_month()


@pytest.fixture(scope="package")
def bills(month: Month, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The bill in each form: `cur.parquet`, `focus.csv.gz` and so on."""
    folder = tmp_path_factory.mktemp("bills")
    files = {}
    for form in ("parquet", "csv", "csv.gz"):
        files[f"cur.{form}"] = simulated_month.write_cur(month, folder, form=form)
        files[f"focus.{form}"] = simulated_month.write_focus(month, folder, form=form)
    return files
