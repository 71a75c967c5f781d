"""Batches of people who signed on: their newest token decides, and held answers are named in the results."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.edge.batches.batching import CHAT, KEY, jsonl, line, results, wait
from tests.edge.issuer import AUDIENCE, ISSUER, Issuer
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import Reviewed, reviewed

pytestmark = pytest.mark.service
RULE = {"domain": "payments", "below_confidence": 0.8}


class People:
    """A gateway, and the clients of people by their tokens."""

    def __init__(self, site: Reviewed, issuer: Issuer) -> None:
        self.site, self.issuer = site, issuer
        self.model = site.made.models[0]

    def client(self, group: str, subject: str = "dirk", **claims: Any) -> openai.OpenAI:
        token = self.issuer.token([group], sub=subject, email=f"{subject}@bank.example", **claims)
        http = openai.DefaultHttpxClient(verify=self.site.made.authority.client("app"), trust_env=False)
        url = self.site.gateway.url + "/v1"
        return openai.OpenAI(base_url=url, api_key=token, http_client=http, max_retries=0)

    def let_requests_wait(self) -> None:
        self.model.metrics = "vllm:num_requests_waiting 3\n"
        while self.site.gateway.metric("isthmus_endpoint_waiting") == 0:
            time.sleep(0.05)

    def status(self, batch_id: str) -> Any:
        statement = f"SELECT status, completed, reason FROM isthmus.batches WHERE id = '{batch_id}'"  # noqa: S608
        return self.site.sql(statement)[0]


@pytest.fixture(scope="module")
def running(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    folder, issuer = tmp_path_factory.mktemp("batch-people"), Issuer()
    (folder / "jwks.json").write_text(issuer.published())
    (folder / "transit").write_text(KEY)
    grants = [{"workload": "credit", "groups": ["clerks"]}, {"workload": "claims", "groups": ["heads"]}]
    tokens = {
        **{"issuer": ISSUER, "audiences": [AUDIENCE], "through": ["app.payments.svc"], "skew_s": 0},
        **{"jwks_file": str(folder / "jwks.json"), "workloads": grants},
    }
    workloads: list[dict[str, Any]] = [
        {"name": "credit", "impact": "high", "review": RULE},
        {"name": "claims", "impact": "low", "review": RULE},
    ]
    more = {"tokens": tokens, "file_store": {"key": str(folder / "transit")}, "batches": {"lease_s": 2}}
    with reviewed(folder, postgres, "batch_people", workloads, gateway=more, interfaces=["batches"]) as site:
        yield People(site, issuer)


@pytest.fixture
def people(running: People) -> People:
    running.model.reset()
    return running


def _submit(client: openai.OpenAI, model: str, count: int = 3) -> Any:
    content = jsonl(line(number, model) for number in range(count))
    file = client.files.create(file=("input.jsonl", io.BytesIO(content)), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")


def test_the_result_of_a_held_answer_names_the_review_where_it_waits(people: People):
    client = people.client("clerks")
    batch = wait(client, _submit(client, "credit").id)
    lines = results(client, batch.output_file_id)
    assert [result["response"]["status_code"] for result in lines] == [202] * 3
    for result in lines:
        told = result["response"]["body"]
        held = client.get(f"/reviews/{told['id']}", cast_to=object)
        assert isinstance(held, dict)
        assert (held["id"], held["status"]) == (result["response"]["request_id"], "held")
        outcome = people.site.records("outcome", told["id"])[0]
        assert (outcome["status"], outcome["held"]["kept"]) == (202, True)
    assert "Paid to" not in json.dumps(lines)


def test_a_person_who_left_the_group_gets_no_more_answers(people: People):
    people.let_requests_wait()
    batch = _submit(people.client("clerks"), "credit")
    wait(people.client("clerks"), batch.id, "in_progress")
    people.client("heads").batches.retrieve(batch.id)  # the new token has another group
    people.model.reset()
    done = wait(people.client("heads"), batch.id)
    assert (done.status, done.errors.data[0].code) == ("failed", "model_not_found")
    assert (done.request_counts.completed, people.model.received) == (0, [])


def test_a_batch_waits_for_a_token_when_the_last_one_has_ended(people: People):
    people.let_requests_wait()
    short = people.client("heads", "emma", exp=int(time.time()) + 3)
    batch = _submit(short, "claims")
    while people.status(batch.id)["status"] != "in_progress":
        time.sleep(0.05)
    time.sleep(3.5)
    people.model.reset()
    time.sleep(1.5)
    assert (people.status(batch.id)["completed"], people.model.received) == (0, [])
    assert wait(people.client("heads", "emma"), batch.id).request_counts.completed == 3


def test_nobody_else_sees_a_persons_batch(people: People):
    batch = _submit(people.client("heads"), "claims")
    with pytest.raises(openai.NotFoundError):
        people.client("heads", "emma").batches.retrieve(batch.id)
