"""The page of a preview in a real browser: what it loads, runs and shows, by keyboard, in the dark and on a phone."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from isthmus.reports.preview.page.page import LARGEST, page
from tests.graders.browser import Browser, Page
from tests.reports import page_previews as previews

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser_process = Browser()
    yield browser_process
    browser_process.close()


@functools.cache
def html(name: str) -> str:
    return page([getattr(previews, name)()])


def opened(browser: Browser, text: str, **context: Any) -> Page:
    return browser.open(text, **{"viewport": DESK, **context})


def quiet(page: Page) -> None:
    """Nothing was asked for but the file itself, nothing popped up, nothing went wrong."""
    observed = page.seen()
    assert observed.pop("loaded") == [page.url]
    assert observed == {"requests": [page.url], "dialogs": [], "console": [], "errors": []}


def focused(page: Page) -> str:
    """What has the focus, as a reader would call it."""
    return page.js(
        "(() => { const e = document.activeElement; return e.id || e.getAttribute('href') || e.textContent.trim() })()"
    )


def test_a_page_asks_for_nothing_and_its_own_script_runs(browser: Browser) -> None:
    page = opened(browser, html("bank"))
    quiet(page)
    assert page.js("document.getElementById('search').hidden") is False, "the page's own script did not run"
    page.close()


def test_no_value_of_a_resource_becomes_a_script_a_request_or_a_link(browser: Browser) -> None:
    page = opened(browser, html("hostile"))
    page.js("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    page.call("focus", "#search-for")
    page.type("alert")
    assert page.js("document.querySelectorAll('#search-found li').length") > 0
    page.press("Enter")
    quiet(page)
    assert page.js("document.scripts.length") == 1
    assert page.js("document.querySelectorAll('style').length") == 1
    forbidden = "img, iframe, link, object, embed, base, form:not(#search), svg svg, input:not(#search-for)"
    assert page.js(f"document.querySelectorAll({forbidden!r}).length") == 0
    assert page.js("document.querySelectorAll('meta').length") == html("bank").count("<meta "), (
        "a meta was put in"
    )
    assert page.js("[...document.links].every((each) => each.getAttribute('href').startsWith('#'))")
    assert (
        page.js(
            "[...document.querySelectorAll('*')].flatMap((each) => [...each.attributes])"
            ".filter(({name}) => name.startsWith('on') || name === 'style' || name === 'src').length"
        )
        == 0
    )
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2066-\u2069]", page.js("document.body.innerText"))
    page.close()


def test_the_content_security_policy_blocks_injected_scripts(browser: Browser) -> None:
    # The second wall: were escaping broken one day, this is what would stand in the page.
    spoilt = html("bank").replace("<main", "<script>alert(1)</script><img src=x onerror=alert(2)><main", 1)
    page = opened(browser, spoilt)
    observed = page.seen()
    assert observed["dialogs"] == []
    assert observed["loaded"] == [page.url]
    assert any("Content Security Policy" in message for message in observed["console"])
    page.close()


def test_the_keyboard_alone_gets_to_the_search_and_from_there_to_a_change(browser: Browser) -> None:
    page = opened(browser, html("bank"))
    page.press("Tab")
    assert focused(page) == "#main"
    page.press("Tab")
    assert focused(page) == "#search-for", "the second link skips to the search"
    page.press("Enter")
    page.type("audit-key replace")
    assert page.js("document.getElementById('search-told').textContent").startswith("1 of ")
    page.press("Tab")
    assert "audit-key" in page.js("document.activeElement.textContent")
    page.press("Enter")
    shown = page.js(
        "(() => { const e = document.activeElement; return [e.tagName, e.parentElement.open, e.textContent,"
        " e.closest('.group').open, e.getBoundingClientRect().top] })()"
    )
    assert shown[:2] == ["SUMMARY", True]
    assert "audit-key" in shown[2]
    assert shown[3] is True, "its component stays folded"
    bar = page.js("document.getElementById('search').getBoundingClientRect().bottom")
    assert bar <= shown[4] < DESK["height"], "the change is covered by the search, or out of sight"
    page.press("Enter")
    assert page.js("document.activeElement.parentElement.open") is False, "Enter does not fold a change"
    page.close()


def test_every_stop_of_the_keyboard_is_seen_and_comes_in_the_order_of_the_page(browser: Browser) -> None:
    page = opened(browser, html("bank"))
    stops: list[dict[str, Any]] = []
    for _ in range(60):
        page.press("Tab")
        stop = page.js(
            "(() => { const e = document.activeElement, r = e.getBoundingClientRect(), s = getComputedStyle(e);"
            " return e === document.body ? null : {is: e.tagName, wide: r.width, tall: r.height,"
            " outline: s.outlineStyle + ' ' + s.outlineWidth, skip: e.className.includes('skip'),"
            " at: [...document.querySelectorAll('*')].indexOf(e)} })()"
        )
        if stop is None:
            break
        stops.append(stop)
    else:
        pytest.fail("the keyboard does not get out of the page")
    assert len(stops) > 12
    assert all(stop["wide"] > 5 and stop["tall"] > 5 for stop in stops), "a stop that nobody sees"
    assert {stop["outline"] for stop in stops} == {"solid 3px"}
    places = [stop["at"] for stop in stops]
    assert places == sorted(places)
    page.close()


@pytest.mark.parametrize(
    ("name", "scheme"), [("bank", "light"), ("bank", "dark"), ("failed", "light"), ("unchanged", "dark")]
)
def test_axe_finds_nothing_in_light_and_in_dark(browser: Browser, name: str, scheme: str) -> None:
    page = opened(browser, html(name), colorScheme=scheme)
    if name == "bank":
        page.js("document.querySelectorAll('details').forEach((each) => { each.open = true })")
        page.call("fill", "#search-for", "aws")
    axe = page.axe()
    violations = [
        (violation["id"], [node["target"] for node in violation["nodes"]][:3])
        for violation in axe["violations"]
    ]
    assert violations == [], violations
    paper = page.js("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is (scheme == "light"), paper
    page.close()


def test_texts_of_the_picture_can_be_read_in_light_and_in_dark(browser: Browser) -> None:
    # axe does not look into a picture.
    for scheme in ("light", "dark"):
        page = opened(browser, html("bank"), colorScheme=scheme)
        pairs = page.js(
            "[...document.querySelectorAll('.map text')].map((e) => [getComputedStyle(e).fill,"
            " getComputedStyle(e.parentElement.querySelector('.box, circle')"
            " ?? document.querySelector('.map .band')).fill])"
        )
        worst = min(contrast(*pair) for pair in pairs)
        assert len(pairs) > 20
        assert worst >= 4.5, (scheme, worst)
        page.close()


def contrast(first: str, second: str) -> float:
    """By WCAG 2."""

    def light(colour: str) -> float:
        channels = [int(match) / 255 for match in re.findall(r"\d+", colour)[:3]]
        linear = [
            channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
            for channel in channels
        ]
        return sum(share * channel for share, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((light(first), light(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["bank", "hostile", "failed"])
def test_a_phone_is_never_scrolled_sideways(browser: Browser, name: str) -> None:
    page = opened(browser, html(name), viewport=PHONE)
    page.js("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    assert page.js("document.documentElement.scrollWidth") == PHONE["width"]
    cut_off = page.js(
        "[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1"
        " && !e.closest('.unseen, thead, svg')).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert cut_off == []
    page.close()


def test_on_a_phone_the_picture_is_replaced_by_text(browser: Browser) -> None:
    page = opened(browser, html("bank"), viewport=PHONE)
    assert page.js("getComputedStyle(document.querySelector('.map')).display") == "none"
    js = page.js("document.querySelector('details.inwords[open]').innerText")
    assert all(expected in js for expected in ("eu-west-1", "refused", "12 of 16 GPUs used"))
    page.close()


def test_no_text_of_the_picture_runs_out_of_its_box(browser: Browser) -> None:
    for name in ("bank", "hostile"):
        page = opened(browser, html(name))
        out = page.js(
            "[...document.querySelectorAll('.map g:not(.badge) text')].filter((e) => { const t = e.getBBox(),"
            " b = e.parentElement.querySelector('.box').getBBox();"
            " return t.x + t.width > b.x + b.width + 1 || t.y < b.y || t.y + t.height > b.y + b.height + 1 })"
            ".map((e) => e.textContent)"
        )
        assert out == [], name
        page.close()


def test_two_thousand_changes_open_and_are_searched_within_two_seconds(browser: Browser) -> None:
    text = html("huge")
    assert len(text) < LARGEST * 1.2
    page = opened(browser, text)
    took = page.js(
        "(() => { const e = document.getElementById('search-for'), began = performance.now();"
        " for (const words of ['s', 'service-01', 'service-01234', 'nothing-like-it', 'delete component-08']) {"
        " e.value = words; e.dispatchEvent(new Event('input')); document.body.offsetHeight; }"
        " return performance.now() - began })()"
    )
    assert took < 5 * 2_000, f"five searches took {took:.0f} ms"
    assert page.js("document.getElementById('search-told').textContent").endswith(" of 2000 match.")
    page.call("fill", "#search-for", "service-01234")
    assert page.js("document.querySelectorAll('#search-found li').length") == 1
    page.close()


def test_a_printed_page_shows_all_risks_and_no_search(browser: Browser) -> None:
    page = opened(browser, html("bank"), colorScheme="dark")
    page.call("emulateMedia", {"media": "print"})
    assert page.js("getComputedStyle(document.getElementById('search')).display") == "none"
    assert page.js("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    text = page.js("document.body.innerText").lower()
    for phrase in (
        "refused",
        "loosened",
        "audit-archive",
        "state is lost",
        "restricted stays on prem",
        "total",
    ):
        assert phrase in text
    assert page.call("pdf", {"format": "A4"})["bytes"] > 20_000
    page.close()
