"""The studio in a real browser, served by the real command: by keyboard, on a phone, for axe-core, and side by side."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.blueprints import starters
from tests.graders.browser import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    started = Browser()
    yield started
    started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("studio") / "hospital.requirements.yaml"
    file.write_text(starters.text("hospital"))
    return file


@pytest.fixture(scope="module")
def address(file: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "isthmus", "studio", str(file), "--no-open", "--as-of", "2026-11-25"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=env, cwd=file.parent, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.fullmatch(r"Studio: (http://127\.0\.0\.1:\d+/[\w-]{20,}/)\n", line)
        assert match, line
        yield match[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(15) in (0, 130), "Ctrl-C did not end it"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def page(browser: Browser, address: str, file: Path) -> Iterator[Page]:
    file.write_text(starters.text("hospital"))
    opened = browser.visit(address, viewport=DESK)
    until(lambda: opened.js("draft !== null"), "the page")
    opened.js("edit({do: 'load'})")
    answered(opened)
    yield opened
    opened.close()


def until(check: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 20
    while not (value := check()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.05)
    return value


def text(page: Page, selector: str) -> str:
    return page.js(f"document.querySelector({selector!r})?.textContent ?? ''")


def answered(page: Page) -> str:
    """Wait until the plan of the present draft is shown; its sentence."""
    time.sleep(0.3)
    until(lambda: re.match("(Planned|Compared) in", text(page, "#status")), "an answer")
    return text(page, "#sentence")


def focus(page: Page, selector: str) -> None:
    page.call("focus", selector)


def test_the_page_asks_only_its_own_server_and_shows_a_plan(page: Page, address: str):
    assert text(page, "#sentence").startswith("Feasible: ")
    seen = page.seen()
    assert seen["requests"]
    assert all(request.startswith((address, "about:")) for request in seen["requests"])
    assert (seen["dialogs"], seen["errors"]) == ([], [])
    assert [line for line in seen["console"] if "Content Security Policy" in line] == []
    report = page.js("document.getElementById('report').contentDocument.querySelector('h1').textContent")
    assert report == "Plan for my-hospital"


def test_by_keyboard_alone_more_load_is_asked_and_costs_more(page: Page):
    page.press("Tab")
    assert page.js("document.activeElement.className") == "skip"
    for _ in range(12):
        if page.js("document.activeElement.id") == "load":
            break
        page.press("Tab")
    assert page.js("document.activeElement.id") == "load"
    before = answered(page)
    page.call("focus", "#keep")
    page.press("Enter")
    until(lambda: "This plan is kept" in text(page, "#difference"), "keeping")
    focus(page, "#load")
    page.press("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight")
    assert text(page, "#load-value") == "8 times"
    until(lambda: text(page, "#sentence") != before, "another plan")
    assert "than the kept plan" in text(page, "#difference") or "Not feasible" in text(page, "#sentence")


def test_a_slider_changes_the_draft_and_saving_keeps_the_files_comments(page: Page, file: Path):
    before = file.read_text()
    focus(page, "#headroom")
    page.press("ArrowRight", "ArrowRight")
    until(lambda: "headroom: 0.4" in page.js("document.getElementById('text').value"), "the edit")
    answered(page)
    assert file.read_text() == before
    focus(page, "#save-plan")
    page.press("Enter")
    until(lambda: text(page, "#status").startswith("Saved: "), "saving")
    after = file.read_text()
    assert "headroom: 0.4" in after
    assert [line for line in before.splitlines() if line not in after.splitlines()] == []
    plan = file.with_name("hospital.plan.yaml")
    assert "feasible: true" in plan.read_text()
    plan.unlink()


def test_a_mistake_is_listed_and_its_link_leads_to_the_field(page: Page):
    page.js("document.querySelectorAll('details').forEach((part) => { part.open = true })")
    focus(page, "#form-workloads-0-slo-ttft_p95_ms")
    page.call("fill", "#form-workloads-0-slo-ttft_p95_ms", "-5")
    page.press("Tab")
    until(lambda: "ttft_p95_ms" in text(page, "#mistakes"), "the mistake")
    until(lambda: text(page, "#status").startswith("The requirements have mistakes"), "the status")
    assert (
        page.js("document.querySelector('#form-workloads-0-slo-ttft_p95_ms').getAttribute('aria-invalid')")
        == "true"
    )
    page.js("document.querySelectorAll('details').forEach((part) => { part.open = false })")
    focus(page, "#mistakes a")
    page.press("Enter")
    assert page.js("document.activeElement.id") == "form-workloads-0-slo-ttft_p95_ms"
    assert page.js("document.activeElement.getBoundingClientRect().height") > 10, "the field is folded away"
    focus(page, "#undo")
    page.press("Enter")
    until(lambda: not text(page, "#mistakes"), "the undo")


def test_a_workload_is_added_and_removed_in_the_form(page: Page):
    page.js("document.getElementById('form-workloads').open = true")
    page.js(
        "[...document.querySelectorAll('button')].find((b) => b.textContent === 'Add to workloads').click()"
    )
    until(lambda: page.js("draft.data.workloads.length") == 3, "the new workload")
    assert page.js("draft.data.workloads[2].sensitivity")
    page.js("[...document.querySelectorAll('#form-workloads-2 > button')].at(-1).click()")
    until(lambda: page.js("draft.data.workloads.length") == 2, "the removal")
    assert page.js("draft.changed") is False


def test_the_kept_plan_stands_beside_the_present_one(page: Page):
    focus(page, "#keep")
    page.press("Enter")
    until(lambda: not page.js("document.getElementById('show-compare').disabled"), "keeping")
    focus(page, "#load")
    page.press("ArrowRight", "ArrowRight")
    answered(page)
    focus(page, "#show-compare")
    page.press("Enter")
    inner = "document.getElementById('report').contentDocument?.body?.innerText ?? ''"
    shown = until(lambda: "kept: as written" in (said := page.js(inner)) and said, "the comparison")
    assert "now: 2 times the traffic" in shown


def test_a_file_that_somebody_changed_is_not_overwritten_and_can_be_loaded(page: Page, file: Path):
    focus(page, "#headroom")
    page.press("ArrowRight")
    until(lambda: page.js("draft.changed"), "the edit")
    theirs = file.read_text().replace("my-hospital", "their-hospital")
    file.write_text(theirs)
    focus(page, "#save")
    page.press("Enter")
    until(lambda: "changed by somebody else" in text(page, "#alert"), "the refusal")
    assert file.read_text() == theirs
    focus(page, "#alert button")
    page.press("Enter")
    until(lambda: page.js("draft.data.name") == "their-hospital", "loading")
    focus(page, "#undo")
    page.press("Enter")
    until(lambda: page.js("draft.data.name") == "my-hospital", "the undo")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing(browser: Browser, address: str, scheme: str, viewport: dict[str, int]):
    page = browser.visit(address, viewport=viewport, colorScheme=scheme)
    answered(page)
    page.js("document.querySelectorAll('details').forEach((part) => { part.open = true })")
    violations = [
        (violation["id"], [node["target"] for node in violation["nodes"]][:3])
        for violation in page.axe()["violations"]
    ]
    assert violations == []
    page.close()


def test_a_phone_is_never_scrolled_sideways(browser: Browser, address: str):
    page = browser.visit(address, viewport=PHONE)
    answered(page)
    page.js("document.querySelectorAll('details').forEach((part) => { part.open = true })")
    assert page.js("document.documentElement.scrollWidth") == PHONE["width"]
    page.close()
