"""The page of `isthmus value` in a real browser: nothing is loaded, it is accessible, and it prints on whole pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.reports import value_page
from tests.graders.browser import Browser
from tests.value import bank

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser_process = Browser()
    yield browser_process
    browser_process.close()


@pytest.fixture(scope="module")
def html() -> str:
    return value_page.page(bank.report())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_asks_for_nothing_fits_and_is_accessible(
    browser: Browser, html: str, scheme: str, width: int
):
    page = browser.open(html, viewport={"width": width, "height": 900}, colorScheme=scheme)
    observed = page.seen()
    assert observed.pop("loaded") == [page.url]
    assert observed == {"requests": [page.url], "dialogs": [], "console": [], "errors": []}
    assert page.js("document.documentElement.scrollWidth") <= width
    violations = page.axe()["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in violations] == []
    page.close()


def test_the_page_prints_as_a_pdf_in_light_colours(browser: Browser, html: str, tmp_path: Path):
    page = browser.open(html, colorScheme="dark")
    target = tmp_path / "value.pdf"
    page.call("pdf", {"path": str(target), "preferCSSPageSize": True})
    data = target.read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") >= 3
    page.call("emulateMedia", {"media": "print"})
    assert page.js("getComputedStyle(document.body).backgroundColor") in (
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    )
    page.close()
