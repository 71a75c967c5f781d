"""The page of a reconciliation in a real browser: nothing is loaded, it fits, and it is accessible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.reports.reconciliation_page import page
from tests.graders.browser import Browser
from tests.usage.bills import simulated_month
from tests.usage.bills.test_month import compare


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser_process = Browser()
    yield browser_process
    browser_process.close()


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    month = simulated_month.make_month()
    file: Path = simulated_month.write_cur(month, tmp_path_factory.mktemp("bill"), form="parquet")
    days = [day for day in month.days if day.day.day != 7]  # so that there are differences, too
    return page(compare(file, simulated_month.Month(days, month.lines)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_asks_for_nothing_fits_and_is_accessible(
    browser: Browser, html: str, scheme: str, width: int
):
    opened = browser.open(html, viewport={"width": width, "height": 900}, colorScheme=scheme)
    observed = opened.seen()
    assert observed.pop("loaded") == [opened.url]
    assert observed == {"requests": [opened.url], "dialogs": [], "console": [], "errors": []}
    assert opened.js("document.documentElement.scrollWidth") <= width
    assert [(found["id"], found["nodes"][0]["html"]) for found in opened.axe()["violations"]] == []
    assert "Not reconciled: tokens of 3 profile-days differ" in opened.js("document.body.innerText")
    opened.close()
