"""The review desk as `isthmus sandbox serve` runs it: a held answer, and people who sign on to decide on it.

The objects are those that the components render, without a cluster. What runs is real: gateway, sealer, loader, review
service, oauth2-proxy, Keycloak, PostgreSQL and a small model.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import html
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from edge.config.database import read_database_settings
from edge.database import Database
from edge.usage.ledger import Ledger
from isthmus.core.kubernetes_client import KubeClient
from sandbox.home import Home
from sandbox.local import serving
from tests.components.conftest import Engine, build
from tests.components.platforms import bank
from tests.components.test_review_desk import DESK, with_desk
from tests.components.test_review_domains import DOMAIN
from tests.components.test_review_notifier import NOTIFIER
from tests.components.test_usage_loader import ledgered
from tests.edge.desk.test_desk_browser import (
    check_accessible,
    is_focused,
    path_of,
    shows,
    text,
    until,
)
from tests.graders.browser import Browser, Page
from tests.s3_service import s3_service
from tests.sandbox.chatting import DESKTOP

pytestmark = pytest.mark.sandbox

KINDS = {
    "deployments": "Deployment",
    "configmaps": "ConfigMap",
    "services": "Service",
    "certificates": "Certificate",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "podmonitors": "PodMonitor",
    "prometheusrules": "PrometheusRule",
}


def notified() -> dict[str, Any]:
    """The bank with a desk, and a notifier with a mailbox, a service and two calendars."""
    on_call = {
        "name": "on-call",
        "groups": ["kyc-on-call"],
        "workloads": ["kyc-extraction"],
        "role": "senior",
    }
    platform = with_desk(bank(), groups=[*DESK["groups"], on_call])
    platform["images"]["notifier"] = platform["images"]["edge"]
    notifier = {**NOTIFIER, "default": ["desk", "chat", "on-call", "nights"], "routes": []}
    ledgered(platform)
    platform["gateways"][1]["reviews"] |= {"domains": [DOMAIN], "notifier": notifier}
    return platform


class Cluster:
    """A cluster that has the confidential class as it is rendered."""

    def __init__(self) -> None:
        engine = Engine()
        build(engine, notified())
        self._made = [
            made
            for made in engine.made
            if made.type.startswith("kubernetes:")
            and str(made.meta.get("namespace", "")).startswith("isthmus-confidential")
        ]

    def items(self, collection: str) -> list[Any]:
        name = collection.rpartition("/")[2]
        if name == "persistentvolumes":
            claims = (made.spec["volumeName"] for made in self._made if made.kind == "PersistentVolumeClaim")
            return [
                {"metadata": {"name": volume}, "spec": {"hostPath": {"path": f"/{_share(volume)}"}}}
                for volume in claims
            ]
        return [made.inputs for made in self._made if made.kind == KINDS[name]]


def _share(volume: str) -> str:
    """Several volumes are one share: each binds to one namespace only."""
    return next((share for share in ("records", "held-keys") if volume.startswith(share)), volume)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Platform]:
    home = Home(tmp_path_factory.mktemp("home"))
    home.make()
    with s3_service() as url:
        home.write_state({"aws": {"port": int(url.rpartition(":")[2])}})
        try:
            cluster = cast("KubeClient", Cluster())
            yield serving.serve(home, "bank", {"fra1": cluster}, (), print, metrics=True)
        finally:
            serving.end(home)


def test_prometheus_scrapes_every_process_with_metrics_and_has_the_rules_as_they_are_rendered(
    served: serving.Platform,
) -> None:
    with httpx.Client(base_url=served.prometheus["fra1"], trust_env=False, timeout=10) as prometheus:

        def states() -> dict[str, str]:
            targets = prometheus.get("/api/v1/targets").json()["data"]["activeTargets"]
            return {target["labels"]["job"].partition("/")[2]: target["health"] for target in targets}

        until(lambda: set(states().values()) == {"up"}, "the first scrape of all")
        monitors = Cluster().items("/apis/monitoring.coreos.com/v1/podmonitors")
        declared = {monitor["metadata"]["name"] for monitor in monitors}
        assert set(states()) == declared - {"confidential-resolver"}, "no resolver runs here"
        groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        [rendered] = Cluster().items("/apis/monitoring.coreos.com/v1/prometheusrules")
        assert {group["name"]: len(group["rules"]) for group in groups} == {
            group["name"]: len(group["rules"]) for group in rendered["spec"]["groups"]
        }
        assert prometheus.get("/", follow_redirects=True).status_code == 200, "its pages are found"
    until(lambda: "Heartbeat" in Path(served.alerts).read_text(), "an alert")


@contextmanager
def signed_on(served: serving.Platform, name: str) -> Iterator[httpx.Client]:
    """Somebody's browser after the sign-on."""
    [desk] = served.desks
    context = ssl.create_default_context(cafile=str(served.ca))
    with httpx.Client(
        base_url=desk.pages, verify=context, trust_env=False, timeout=30, follow_redirects=True
    ) as client:
        form = client.get("/")
        assert form.url.path.startswith("/realms/bank/"), form.text
        for cookie in client.cookies.jar:
            cookie.secure = False  # a browser takes this machine's own addresses for secure
        [action] = re.findall(r'<form[^>]* action="([^"]+)"', form.text)
        client.post(html.unescape(action), data={"username": name, "password": name})
        yield client


@contextmanager
def application(served: serving.Platform) -> Iterator[httpx.Client]:
    """An application with the key of the workload."""
    [door] = served.doors
    context = ssl.create_default_context(cafile=str(served.ca))
    context.load_cert_chain(served.certificate, served.certificate_key)
    headers = {"authorization": f"Bearer {door.key}"}
    with httpx.Client(
        base_url=door.url, verify=context, trust_env=False, timeout=60, headers=headers
    ) as client:
        yield client


def ask(client: httpx.Client) -> httpx.Response:
    request = {"model": "kyc-extraction", "messages": [{"role": "user", "content": "Name?"}], "max_tokens": 5}
    return client.post("/v1/chat/completions", json=request)


def hold(client: httpx.Client) -> str:
    """Ask, and return the id of the held answer."""
    answer = ask(client)
    assert (answer.status_code, answer.json()["status"]) == (202, "held"), answer.text
    return answer.json()["id"]


def requests_in_ledger(served: serving.Platform) -> int:
    async def read() -> int:
        database = Database(read_database_settings(Path(served.ledger)))
        try:
            return sum(day.sums.requests for day in await Ledger(database).days(by_person=False))
        finally:
            await database.close()

    return asyncio.run(read())


def test_a_request_is_in_the_usage_ledger_some_seconds_later(served: serving.Platform) -> None:
    before = requests_in_ledger(served)
    with application(served) as client:
        ask(client)
    end = time.monotonic() + 60
    while requests_in_ledger(served) == before:
        assert time.monotonic() < end, "no loader loads what is sealed"
        time.sleep(0.5)


def test_reviewers_sign_on_and_see_what_is_held_and_others_do_not(served: serving.Platform) -> None:
    with application(served) as client:
        hold(client)
    people = {person.name for person in served.people}
    assert {"kyc-desk", "kyc-heads", "internal-audit"} <= people, "each group of the desk has a person"
    with signed_on(served, "kyc-desk") as reviewer:
        page = reviewer.get("/")
        assert page.status_code == 200, page.text
        assert "kyc-extraction" in page.text
    with signed_on(served, "gast") as guest:
        refused = guest.get("/")
        assert refused.status_code == 403, refused.text


def test_the_desks_port_takes_no_page_without_the_proxys_token(served: serving.Platform) -> None:
    """What a network policy prevents in a cluster is refused by the service, too."""
    [pages] = [entry.now for entry in served.substitutions if entry.what == "sign-on: --upstream"]
    context = ssl.create_default_context(cafile=str(served.ca))
    with httpx.Client(verify=context, trust_env=False, timeout=30) as stranger:
        answer = stranger.get(pages, headers={"x-forwarded-email": "erika@bank.example"})
    assert answer.status_code in (302, 303, 401), answer.text
    assert "kyc-extraction" not in answer.text


def test_an_escalation_at_the_desk_is_a_mail_to_each_target(served: serving.Platform) -> None:
    [desk] = served.desks
    assert desk.people["kyc-heads"] == ["senior"]
    [door] = served.doors
    context = ssl.create_default_context(cafile=str(served.ca))
    context.load_cert_chain(served.certificate, served.certificate_key)
    request = {
        "model": "kyc-extraction",
        "messages": [{"role": "user", "content": "SECRET"}],
        "max_tokens": 5,
    }
    key = {"authorization": f"Bearer {door.key}"}
    with httpx.Client(verify=context, trust_env=False, timeout=60) as client:
        held = client.post(f"{door.url}/v1/chat/completions", json=request, headers=key).json()
    reviewer = ssl.create_default_context(cafile=str(served.ca))
    name = served.reviewers[0]
    reviewer.load_cert_chain(f"{served.folder}/{name}.crt", f"{served.folder}/{name}.key")
    with httpx.Client(base_url=desk.url, verify=reviewer, trust_env=False, timeout=30) as person:
        claimed = person.post(f"/v1/reviews/{held['id']}/claim").json()
        act = {"version": claimed["version"], "sha256": claimed["sha256"], "reason": "unclear"}
        escalated = person.post(f"/v1/reviews/{held['id']}/escalate", json=act)
    assert escalated.status_code == 200, escalated.text

    folder, end = Path(served.mails), time.monotonic() + 40
    while len(files := sorted(folder.glob("*.eml"))) < 4 and time.monotonic() < end:
        time.sleep(0.2)
    mails = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]
    assert sorted(str(mail["to"]) for mail in mails) == [
        *("chat@sandbox", "desk@bank.example", "desk@bank.example", "nights@sandbox")
    ], "the calendar as text names the desk; the organisation's is not here"
    for mail in mails:
        text = mail.get_content()
        assert "onboarding: 1 answer escalated to seniors" in text
        assert desk.pages in text
        assert "SECRET" not in text


@pytest.fixture
def browser() -> Iterator[Browser]:
    started = Browser()
    yield started
    started.close()


def at_the_desk(browser: Browser, served: serving.Platform, name: str, path: str = "/") -> Page:
    """Somebody who opens a page of the desk and signs on at Keycloak, by keyboard alone."""
    [desk] = served.desks
    page = browser.visit(desk.pages + path, ignoreHTTPSErrors=True, **DESKTOP)
    sign_on(page, name)
    return page


def sign_on(page: Page, name: str) -> None:
    page.call("waitForSelector", "#username")
    until(lambda: is_focused(page, "#username"), "the focus on the name")
    page.type(name)
    page.press("Tab")
    page.type(name)
    page.press("Enter")


def judge(page: Page, key: str) -> None:
    """Give the first judgement, and wait for the page with the score."""
    page.press(key)
    until(lambda: "Judge for yourself first" not in text(page), "the judgement")
    shows(page, "Your decision")


def test_a_session_that_ends_during_a_decision_and_an_escalation_by_keyboard_alone(
    served: serving.Platform, browser: Browser
) -> None:
    with application(served) as client:
        waiting = [hold(client), hold(client)]
        reviewer = at_the_desk(browser, served, "kyc-desk")
        shows(reviewer, "Waiting")
        check_accessible(reviewer)
        for _ in range(2):  # what other tests have held comes first
            reviewer.press("n")
            shows(reviewer, "Judge for yourself first")
            if any(held in path_of(reviewer) for held in waiting):
                break
        rejected = path_of(reviewer).rpartition("/")[2].partition("?")[0]
        judge(reviewer, "2")
        reviewer.press("r")
        until(lambda: is_focused(reviewer, "[name=reason]"), "the focus on the reason")
        reviewer.press("w")
        reviewer.press("Tab")
        reviewer.type("The name is of another person")
        reviewer.forget()
        reviewer.press("Control+Enter")
        shows(reviewer, "not signed on any more")
        reviewer.call("focus", "#told a")
        reviewer.press("Enter")
        sign_on(reviewer, "kyc-desk")
        shows(reviewer, "What you typed before is filled in")
        assert reviewer.js("document.querySelector('[name=note]').value") == "The name is of another person"
        check_accessible(reviewer)
        reviewer.call("focus", "[name=note]")
        reviewer.press("Control+Enter")
        shows(reviewer, "Judge for yourself first")
        answer = client.get(f"/v1/reviews/{rejected}").json()
        assert (answer["status"], answer["reason"]) == ("rejected", "wrong-name")

        escalated = path_of(reviewer).rpartition("/")[2].partition("?")[0]
        judge(reviewer, "1")
        reviewer.press("e")
        until(lambda: is_focused(reviewer, "[name=reason]"), "the focus on the reason")
        reviewer.press("ArrowDown", "ArrowDown")
        reviewer.press("Control+Enter")
        until(lambda: escalated not in path_of(reviewer), "the escalation")
        senior = at_the_desk(browser, served, "kyc-heads", f"/items/{escalated}")
        until(lambda: "escalated" in text(senior).lower(), "the escalated item")
        senior.press("o")
        shows(senior, "Judge for yourself first")
        judge(senior, "1")
        senior.press("a", "Enter")
        until(lambda: client.get(f"/v1/reviews/{escalated}").status_code == 200, "the approved answer")
        for page in (reviewer, senior):
            page.close()


def test_a_senior_stops_the_workload_and_one_person_cannot_restart_it(
    served: serving.Platform, browser: Browser
) -> None:
    senior = at_the_desk(browser, served, "kyc-on-call", "/stops")
    shows(senior, "Nothing is stopped.")
    senior.call("focus", "[name=workload]")
    senior.type("kyc-extraction")
    senior.press("Tab")
    senior.type("wrong-answers")
    senior.press("Tab")
    senior.type("The KYC assistant is off. Call 4711.")
    senior.press("Enter")
    shows(senior, "Gateways refuse the workload within 5 seconds.")
    with application(served) as client:
        until(lambda: ask(client).status_code == 503, "the refusal")
        assert ask(client).json()["error"]["message"] == "The KYC assistant is off. Call 4711."
        senior.call("click", "button:has-text('Ask for the restart')")
        shows(senior, "Another senior must ask")
        assert ask(client).status_code == 503
    check_accessible(senior)
    senior.close()
