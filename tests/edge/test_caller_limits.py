"""Limits of single keys and of people, at two copies of the real gateway on one real PostgreSQL."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.edge.audit.audited import settings
from tests.edge.audit.harness import AuditSite
from tests.edge.conftest import bearer, code_of
from tests.edge.counted import Counted, counted
from tests.edge.fake_model import FakeModel
from tests.edge.issuer import AUDIENCE, CHAT, ISSUER, Issuer
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import sealing
from tests.edge.test_allowances import at_a_minutes_beginning

DIRK: dict[str, Any] = {"sub": "dirk", "email": "dirk@bank.example"}


@dataclass
class Limited:
    """Two copies of a gateway, and the issuer of people's tokens."""

    site: Counted
    issuer: Issuer

    def issue(self, workload: str, *limits: str) -> str:
        return self.site.issue(workload, "internal", *limits)

    def id_of(self, workload: str) -> str:
        """The id of the workload's newest key."""
        listed = [json.loads(line) for line in self.site.keys("list", "--workload", workload).splitlines()]
        return max(listed, key=lambda key: key["issued_at"])["id"]


@pytest.fixture(scope="module")
def limited(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    folder = tmp_path_factory.mktemp("caller-limits")
    issuer = Issuer()
    (folder / "jwks.json").write_text(issuer.published())
    tokens = {
        **{"issuer": ISSUER, "audiences": [AUDIENCE], "clients": [CHAT], "through": ["app.payments.svc"]},
        "jwks_file": str(folder / "jwks.json"),
        "workloads": [{"workload": name, "groups": ["clerks"]} for name in ("help", "chat")],
    }
    with counted(folder, postgres, "caller_limits", [FakeModel()], "internal") as site, ExitStack() as sealed:
        priced = site.place(usd_per_million_tokens={"prompt": 1000, "completion": 10_000})
        for number in range(2):
            own_folder = folder / f"audit-{number}"
            audit_site = AuditSite.at(own_folder)
            sealed.enter_context(sealing(audit_site))
            site.start(
                **{"class": "internal", "tokens": tokens},
                audit=settings(own_folder, audit_site, name=f"gw-{number}"),
                workloads=[
                    {"name": "claims"},
                    {"name": "team-work", "allowance": {"requests_per_minute": 100}},
                    {"name": "crowd", "allowance": {"parallel_requests": 4}},
                    {"name": "help", "people": {"requests_per_minute": 5}},
                    {"name": "chat", "people": {"parallel_requests": 1}},
                ],
                routes=[
                    {**priced, "workload": "claims", "name": "fast"},
                    {**site.place(), "workload": "claims", "name": "free"},
                    *({**site.place(), "workload": name} for name in ("team-work", "crowd", "help", "chat")),
                ],
            )
        for edge in (*site.sidecars, *site.gateways):
            edge.wait_until_up()
        for gateway in site.gateways:
            gateway.wait_until_well()
        yield Limited(site, issuer)


@pytest.fixture
def at(limited: Limited) -> Limited:
    limited.site.models[0].reset()
    return limited


def statuses(at: Limited, key: str, model: str, count: int, **fields: Any) -> list[int]:
    """The statuses of requests, by turns at each copy."""
    return [at.site.chat(key, model, number % 2, **fields).status_code for number in range(count)]


def test_a_key_has_fewer_models_than_its_workload(at: Limited):
    key, other = at.issue("claims", "--models", "free"), at.issue("claims")
    assert statuses(at, key, "free", 1) == [200]
    refused = at.site.chat(key, "fast")
    assert (refused.status_code, code_of(refused)) == (404, "model_not_found")
    assert statuses(at, other, "fast", 1) == [200]
    client = at.site.clients[(0, "app")]
    listed = client.get("/v1/models", headers=bearer(key)).json()["data"]
    assert [model["id"] for model in listed] == ["free"]
    assert client.get("/v1/models/fast", headers=bearer(key)).status_code == 404


def test_the_limit_of_a_key_is_its_own_and_applies_to_all_copies(at: Limited):
    at_a_minutes_beginning(at.site)
    key, other = at.issue("claims", "--requests-per-minute", "6"), at.issue("claims")
    became = statuses(at, key, "free", 12)
    assert became.count(200) == 6
    refused = at.site.chat(key, "free")
    assert (refused.status_code, code_of(refused)) == (429, "rate_limited")
    assert "The key " in refused.json()["error"]["message"]
    assert statuses(at, other, "free", 1) == [200]


def test_a_budget_of_a_key_counts_and_needs_prices(at: Limited):
    key = at.issue("claims", "--usd-per-month", "0.2")
    became = statuses(at, key, "fast", 8, max_tokens=5)
    assert 2 <= became.count(200) <= 3  # each costs 0.057 USD, and reserves 0.06
    refused = at.site.chat(key, "fast", max_tokens=5)
    assert (refused.status_code, code_of(refused)) == (402, "budget_exhausted")
    unpriced = at.site.chat(key, "free")
    assert (unpriced.status_code, code_of(unpriced)) == (503, "budget_unpriced")


def test_a_limit_changes_while_the_gateway_runs(at: Limited):
    at_a_minutes_beginning(at.site)
    key = at.issue("claims", "--requests-per-minute", "2")
    assert statuses(at, key, "free", 4).count(200) == 2
    at.site.keys("limit", at.id_of("claims"), "--requests-per-minute", "none", "--models", "fast")
    end = time.monotonic() + 10
    while (answer := at.site.chat(key, "fast")).status_code != 200:
        assert time.monotonic() < end, answer.text
        time.sleep(0.2)
    assert at.site.chat(key, "free").status_code == 404


def test_a_key_that_is_rotated_alone_goes_on_with_its_limits_and_counts(at: Limited):
    at_a_minutes_beginning(at.site)
    key, other = at.issue("claims", "--requests-per-minute", "6"), at.issue("claims")
    del other
    first = sorted(
        (json.loads(line) for line in at.site.keys("list", "--workload", "claims").splitlines()),
        key=lambda listed: listed["issued_at"],
    )[-2]["id"]
    assert statuses(at, key, "free", 4) == [200] * 4
    successor = at.site.keys("rotate", "--workload", "claims", "--class", "internal", "--key", first)
    assert statuses(at, successor, "free", 6).count(200) == 2
    states = [json.loads(line) for line in at.site.keys("list", "--workload", "claims").splitlines()]
    ended = [state["id"] for state in states if state["not_after"] is not None]
    assert first in ended
    assert len(states) - len(ended) >= 2, "other keys of the workload ended too"


def parallel(at: Limited, count: int, ask: Any) -> list[httpx.Response]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


def test_requests_at_once_are_limited_over_all_copies(at: Limited):
    key = at.issue("crowd")
    for number in range(2):
        at.site.chat(key, "crowd", number)  # creates the client
    at.site.models[0].reset("slow")  # a stream of 1.6 s
    answers = parallel(at, 12, lambda number: at.site.chat(key, "crowd", number % 2, stream=True))
    served = [answer for answer in answers if answer.status_code == 200]
    assert 2 <= len(served) <= 4
    refused = next(answer for answer in answers if answer.status_code != 200)
    assert (refused.status_code, code_of(refused)) == (429, "too_many_parallel_requests")
    assert int(refused.headers["retry-after"]) >= 1
    at.site.models[0].reset()
    assert at.site.chat(key, "crowd", 0).status_code == 200, "slots were not given back"


def test_each_person_has_limits_of_their_own_under_a_pseudonym(at: Limited):
    at_a_minutes_beginning(at.site)
    clara, dirk = (at.issuer.token(["clerks"], **who) for who in ({}, DIRK))
    assert statuses(at, clara, "help", 10).count(200) == 5
    refused = at.site.chat(clara, "help")
    assert (refused.status_code, code_of(refused)) == (429, "rate_limited")
    assert "The person who asks may take 5 requests a minute" in refused.json()["error"]["message"]
    assert statuses(at, dirk, "help", 1) == [200]
    scopes = [row["scope"] for row in at.site.ask_database("SELECT scope FROM isthmus.used")]
    assert sum(scope.startswith("internal/fra1/person/help/") for scope in scopes) == 2
    assert not [scope for scope in scopes if "clara" in scope or "dirk" in scope or "5c0c" in scope]


def test_a_person_may_have_one_request_at_once_and_others_too(at: Limited):
    clara, dirk = (at.issuer.token(["clerks"], **who) for who in ({}, DIRK))
    for number in range(2):
        at.site.chat(clara, "chat", number)
    at.site.models[0].reset("slow")
    answers = parallel(
        at, 4, lambda number: at.site.chat((clara, dirk)[number // 2], "chat", number % 2, stream=True)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429]


def test_the_metrics_name_no_person_and_no_group(at: Limited):
    token = at.issuer.token(["clerks"], sub="5c0c-felix", email="felix@bank.example")
    assert at.site.chat(token, "help").status_code == 200
    metrics = at.site.gateways[0].health("/metrics").text
    assert 'workload="help"' in metrics
    for secret in ("felix", "5c0c", "clerks", token):
        assert secret not in metrics, f"{secret!r} is served to whoever reads metrics"


def headers_of(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("x-ratelimit-")}


def test_answers_say_what_is_left_of_a_limit(at: Limited):
    at_a_minutes_beginning(at.site)
    key = at.issue("team-work", "--requests-per-minute", "3", "--tokens-per-minute", "10000")
    for stream, left in ((False, 2), (True, 1), (False, 0)):
        answer = at.site.chat(key, "team-work", stream=stream, max_tokens=5)
        headers = headers_of(answer)
        assert (answer.status_code, headers["x-ratelimit-remaining-requests"]) == (200, str(left))
    assert headers["x-ratelimit-limit-requests"] == "3", "the key's limit is narrower than the workload's"
    assert 1 <= int(headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60
    assert headers["x-ratelimit-limit-tokens"] == "10000"
    assert 9000 <= int(headers["x-ratelimit-remaining-tokens"]) < 10_000
    refused = at.site.chat(key, "team-work")
    assert refused.status_code == 429
    assert headers_of(refused)["x-ratelimit-remaining-requests"] == "0"
    unlimited = at.site.chat(at.issue("claims"), "free")
    assert headers_of(unlimited) == {}


def test_a_client_that_leaves_gives_its_slot_back(at: Limited):
    token = at.issuer.token(["clerks"], sub="erik", email="erik@bank.example")
    assert at.site.chat(token, "chat").status_code == 200
    at.site.models[0].reset("stall")
    client = at.site.clients[(0, "app")]
    body = {"model": "chat", "messages": [{"role": "user", "content": "x"}]}

    def leave() -> None:
        with pytest.raises(httpx.TimeoutException):
            client.post("/v1/chat/completions", json=body, headers=bearer(token), timeout=1)

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    at.site.models[0].reset()
    end = time.monotonic() + 10
    while (answer := at.site.chat(token, "chat")).status_code != 200:
        assert time.monotonic() < end, answer.text
        time.sleep(0.2)
