"""Keys of evaluations: they reach a canary without a share, no person checks their answers, and nothing counts them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from edge.usage.rows import fold
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import RULE, Reviewed, reviewed
from tests.edge.usage.histories import seal

pytestmark = pytest.mark.service

WORKLOAD = "claims"
LIMIT = {"tokens_per_month": 500}


@pytest.fixture(scope="module")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewed]:
    workloads: list[dict[str, Any]] = [
        {"name": WORKLOAD, "impact": "high", "review": RULE, "allowance": LIMIT}
    ]
    with reviewed(tmp_path_factory.mktemp("evaluation"), postgres, "evaluation", workloads) as site:
        [route] = site.gateway_config["routes"]
        canary = {**site.made.place(0, "llama-v2"), "percent": 0.0}
        site.gateway_config["routes"] = [{**route, "canary": canary}]
        site.gateway.stop()
        site.start_gateway().wait_until_up().wait_until_well()
        yield site


@pytest.fixture(scope="module")
def key(site: Reviewed) -> str:
    return site.made.issue(WORKLOAD, "restricted", "--evaluation")


def ask(site: Reviewed, key: str, number: int = 0, *, canary: bool = False) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}", **({"x-isthmus-canary": "true"} if canary else {})}
    body = {
        "model": WORKLOAD,
        "messages": [{"role": "user", "content": f"case {number}"}],
        "max_tokens": 50,
    }
    return site.client(site.gateway).post("/v1/chat/completions", json=body, headers=headers)


def asked_models(site: Reviewed) -> list[str]:
    [model] = site.made.models
    return [model.last_body()["model"]]


def test_an_evaluation_gets_its_answer_where_a_caller_waits_for_people(site: Reviewed, key: str):
    assert ask(site, site.key(WORKLOAD)).status_code == 202
    answer = ask(site, key)
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"]


def test_an_evaluation_chooses_the_version_and_nobody_else_does(site: Reviewed, key: str):
    canary = ask(site, key, canary=True)
    assert (canary.status_code, canary.headers["x-isthmus-variant"]) == (200, "canary")
    assert asked_models(site) == ["llama-v2"]
    in_use = ask(site, key)
    assert (in_use.status_code, in_use.headers["x-isthmus-variant"]) == (200, "in-use")
    assert asked_models(site) == ["llama"]
    caller = ask(site, site.key(WORKLOAD), canary=True)
    assert caller.status_code == 202
    assert "x-isthmus-variant" not in caller.headers
    assert asked_models(site) == ["llama"], "the header of a caller is ignored"


def test_it_is_recorded_as_an_evaluation_and_the_ledger_counts_it_apart(site: Reviewed, key: str):
    answer_id = ask(site, key).headers["x-request-id"]
    records = site.records("intent", answer_id) + site.records("outcome", answer_id)
    assert [record["kind"] for record in records] == ["intent", "outcome"]
    assert {record["who"]["purpose"] for record in records} == {"evaluation"}
    assert records[1]["held"] is None
    row = fold({}, seal(0), records, lambda _: True)[answer_id]
    assert (row.purpose, row.team, row.person) == ("evaluation", "", "")
    used = ask(site, site.key(WORKLOAD)).headers["x-request-id"]
    [usual] = site.records("intent", used)
    assert "purpose" not in usual["who"]
    assert fold({}, seal(0), [usual], lambda _: True)[used].purpose == ""


def test_it_uses_no_allowance_of_the_workload_and_no_other_metric_has_it(site: Reviewed, key: str):
    before = site.gateway.metric("isthmus_requests_total", workload=WORKLOAD, status="200")
    counted = site.gateway.metric("isthmus_evaluation_requests_total", workload=WORKLOAD, status="200")
    statuses = [ask(site, key, number).status_code for number in range(12)]
    assert statuses == [200] * 12, "the workload's limit is below what they take"
    assert site.gateway.metric("isthmus_requests_total", workload=WORKLOAD, status="200") == before
    now = site.gateway.metric("isthmus_evaluation_requests_total", workload=WORKLOAD, status="200")
    assert now == counted + 12
    rows = site.sql("SELECT sum(requests) AS n FROM isthmus.accounts WHERE workload = 'claims'")
    assert (rows[0]["n"] or 0) < 12


def test_a_rotated_workload_keeps_its_evaluation_key(site: Reviewed, key: str):
    site.made.keys("rotate", "--workload", WORKLOAD, "--class", "restricted", "--overlap-h", "0")
    site.keys.pop(WORKLOAD, None)
    assert ask(site, key).status_code == 200
