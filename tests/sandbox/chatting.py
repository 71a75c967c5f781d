"""People in a real browser at the chats that `isthmus sandbox serve` runs: sign-on, answers, feedback, questions."""

from __future__ import annotations

import html
import re
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from sandbox.local import supervisor
from sandbox.local.serving import REVIEWERS, Platform
from tests.edge.chat_sessions import Session
from tests.graders.browser import Browser, Page

PROMPT = "Please write one short English sentence that greets the new colleagues of the bank."
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "locale": "en-GB",
    "isMobile": True,
    "hasTouch": True,
    "deviceScaleFactor": 2,
}
WAIT_S = 60.0
MOST_GROWTH_MIB = 40
"""Growth of the memory of Open WebUI, or of our proxy, from the second round of questions to the last."""


@dataclass
class Chatter:
    """A person in a browser."""

    page: Page
    url: str
    pictures: Path | None = None
    """Folder for screenshots; None: none are taken."""

    def text(self) -> str:
        return self.page.js("document.body?.innerText ?? ''")

    def wait_for(self, text: str) -> str:
        """Wait for a text on the page, and return the page's."""
        end = time.monotonic() + WAIT_S
        while text not in (shown := self.text()):
            assert time.monotonic() < end, (
                f"no {text!r} after {WAIT_S:.0f} s on {self.page.js('location.href')}: {shown[-1500:]}"
            )
            time.sleep(0.2)
        return shown

    def sign_on(self, name: str) -> None:
        self.page.call("waitForSelector", "#username")
        self.page.call("fill", "#username", name)
        self.page.call("fill", "#password", name)
        self.page.call("click", "[type=submit]")

    def ask(self, prompt: str = PROMPT) -> None:
        self.page.call("waitForSelector", "#chat-input")
        self.page.call("click", "#chat-input")
        self.page.type(prompt)
        self.page.call("click", "#send-message-button")

    def press(self, label: str) -> None:
        """Press a button of the last answer."""
        self.page.call("click", f'button[aria-label="{label}"]')

    def confirm(self) -> None:
        self.page.call("click", '[role=dialog] button:has-text("Confirm")')

    def picture(self, name: str) -> None:
        if self.pictures is not None:
            self.page.call("screenshot", {"path": str(self.pictures / f"{name}.png")})


@contextmanager
def people(served: Platform, pictures: Path | None = None) -> Iterator[Any]:
    """A function that opens the chat of a class for somebody, in a browser context of their own."""
    browser = Browser()

    def open_chat(data_class: str, name: str, context: dict[str, Any] = DESKTOP) -> Chatter:
        [chat] = [chat for chat in served.chats if chat.data_class == data_class]
        chatter = Chatter(browser.visit(chat.url, **context), chat.url, pictures)
        chatter.sign_on(name)
        return chatter

    try:
        yield open_chat
    finally:
        browser.close()


def decide(served: Platform, data_class: str, act: str, **more: Any) -> str:
    """A reviewer decides on the newest question (`correct`) or answer of a class. Returns what was asked."""
    [desk] = [desk for desk in served.desks if desk.data_class == data_class]
    tls = ssl.create_default_context(cafile=str(served.ca))
    folder = Path(served.folder)
    tls.load_cert_chain(folder / f"{REVIEWERS[0]}.crt", folder / f"{REVIEWERS[0]}.key")
    with httpx.Client(verify=tls, trust_env=False, timeout=30, base_url=f"{desk.url}/v1") as client:
        waiting = client.get("/reviews", params={"state": "held", "limit": 50}).json()["data"]
        is_case = act == "correct"
        *_, entry = [entry for entry in waiting if (entry["why"] == ["asked"]) == is_case]
        claimed = client.post(f"/reviews/{entry['id']}/claim", json={}).raise_for_status().json()
        body = {"version": claimed["version"], "sha256": claimed["sha256"], **more}
        client.post(f"/reviews/{entry['id']}/{act}", json=body).raise_for_status()
    return str(claimed["asked"])


def serious(page: Page) -> list[str]:
    """Serious faults that axe-core finds on a page."""
    found = page.axe()["violations"]
    return [fault["id"] for fault in found if fault["impact"] in ("serious", "critical")]


def checked(served: Platform, pictures: Path | None = None) -> None:
    """The journey of the bank's people: asking, feedback, a question to a person, a held answer, and who gets in."""
    with people(served, pictures) as open_chat:
        clara = open_chat("internal", "clara")
        clara.ask()
        clara.wait_for("Answered by anthropic.claude")
        assert "Class internal" in clara.text()
        clara.picture("chat-answer")
        clara.press("Good answer")
        clara.wait_for("Your feedback is recorded")
        clara.press("Ask a person")
        clara.page.call("fill", "[role=dialog] textarea", "Is this the usual greeting?")
        clara.picture("chat-ask-a-person")
        clara.confirm()
        clara.wait_for("A reviewer got your question")
        asked = decide(served, "internal", "correct", reason="said", texts=["Yes, it is."])
        assert "Is this the usual greeting?" in asked
        clara.page.call("goto", f"{clara.url}/isthmus/requests")
        clara.wait_for("answered")
        assert serious(clara.page) == []
        clara.page.call("click", "li a")
        clara.wait_for("Yes, it is.")
        assert serious(clara.page) == []
        _held(open_chat, served)
        _who_gets_in(open_chat)


def _held(open_chat: Any, served: Platform) -> None:
    """An answer without a score is held in class confidential, and comes when a person has approved it."""
    clara = open_chat("confidential", "clara", PHONE)
    clara.ask()
    clara.wait_for("A person checks this answer before you get it")
    clara.picture("chat-phone")
    clara.page.call("goto", f"{clara.url}/isthmus/requests")
    clara.wait_for("a person checks it")
    decide(served, "confidential", "approve")
    clara.page.call("reload")
    clara.wait_for("approved")
    clara.picture("chat-my-requests-phone")
    clara.page.call("click", "li a")
    clara.wait_for("The answer")
    clara.page.close()


def _who_gets_in(open_chat: Any) -> None:
    """Somebody without the group reads why, and each chat offers its own class only."""
    guest = open_chat("confidential", "gast")
    assert "None of your groups may use this chat" in guest.wait_for("You have no access")
    assert serious(guest.page) == []
    guest.picture("chat-no-access")
    mia = open_chat("public", "mia")
    mia.wait_for("campaign-copy")
    names = mia.page.js(
        "fetch('/api/models', {headers: {authorization: `Bearer ${localStorage.token}`}}).then(r => r.json())"
        ".then(listed => listed.data.map(model => model.id))"
    )
    assert names == ["campaign-copy"]


def _signed_on(url: str, name: str) -> httpx.Client:
    """Somebody's session at a chat, by Keycloak's page."""
    client = httpx.Client(base_url=url, follow_redirects=True, trust_env=False, timeout=120)
    asked = client.get("/")
    for cookie in client.cookies.jar:
        cookie.secure = False  # a browser takes this machine's own addresses for secure
    [action] = re.findall(r'<form[^>]* action="([^"]+)"', asked.text)
    client.post(html.unescape(action), data={"username": name, "password": name}).raise_for_status()
    return client


def four_at_once(served: Platform) -> None:
    """Four pages ask the small language model at the same time. Each answer is collected, and held for people."""
    [chat] = [chat for chat in served.chats if chat.data_class == "confidential"]
    pages = [Session(_signed_on(chat.url, "clara"), "kyc-extraction") for _ in range(4)]
    used = list[dict[str, float]]()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            answers = list(pool.map(lambda page: page.ask(PROMPT)[0], pages))
            assert all("A person checks this answer before you get it" in text for text in answers), answers
            used.append(_memory_of_chats(served))
    for page in pages:
        page.close()
    growth = {name: used[-1][name] - used[1][name] for name in used[1]}
    assert max(growth.values()) < MOST_GROWTH_MIB, f"MiB after each round: {used}"


def _memory_of_chats(served: Platform) -> dict[str, float]:
    """MiB of the processes of the confidential chat."""
    states = supervisor.read_states(Path(served.folder) / "status.json")
    chats = [state for state in states if state.is_running and "confidential-chat" in state.name]
    assert len(chats) == 2, "Open WebUI and our proxy"
    return {state.name: psutil.Process(state.pid).memory_info().rss / 2**20 for state in chats}
