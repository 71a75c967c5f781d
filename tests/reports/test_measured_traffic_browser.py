"""A plan from measured usage in a real browser: its section is accessible and fits a narrow screen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import command
from tests.graders.browser import Browser
from tests.usage_days import usage_days, write_usage

pytestmark = pytest.mark.service
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser_process = Browser()
    yield browser_process
    browser_process.close()


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("measured")
    for kind in ("requirements", "plan"):
        shutil.copy(ROOT / "stacks" / f"bank-dev.{kind}.yaml", folder / f"bank.{kind}.yaml")
    usage = write_usage(
        folder / "usage.json",
        usage_days("transaction-narratives", 112, lambda day: 60_000 * 1.01 ** (day // 7), prompt=2400),
    )
    arguments = (
        *("plan", folder / "bank.requirements.yaml", "--from-usage", usage),
        *("--as-of", "2026-12-01", "--format", "html"),
    )
    return command(folder / "no-home")(*arguments).out


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_with_measured_traffic_fits_and_is_accessible(
    browser: Browser, html: str, scheme: str, width: int
):
    page = browser.open(html, viewport={"width": width, "height": 900}, colorScheme=scheme)
    assert page.js("document.getElementById('measured') !== null")
    assert page.js("document.documentElement.scrollWidth") <= width
    assert [(one["id"], one["nodes"][0]["html"]) for one in page.axe()["violations"]] == []
    page.close()
