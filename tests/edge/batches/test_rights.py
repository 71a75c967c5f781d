"""Batches whose caller loses a right, and places that they may not use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.edge.batches.batching import (
    Batched,
    Echoing,
    batched,
    jsonl,
    let_requests_wait,
    line,
    results,
    state_of,
    submit,
    wait,
    wait_for_end,
)
from tests.edge.postgres import Postgres

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def running(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batched]:
    folder = tmp_path_factory.mktemp("rights")
    with batched(folder, postgres, "rights", Echoing(), Echoing(), data_class="internal") as site:
        files = {
            name: str(folder / f"gateway.{end}") for name, end in (("certificate", "crt"), ("key", "key"))
        }
        batches = {"interfaces": ["batches"]}
        overflow = {**site.place(1), "when_waiting": 1}
        site.start(
            **{"class": "internal"},
            listen={**files, "client_ca": str(site.authority.path), "crl": str(site.authority.revoke())},
            workloads=[
                {"name": "narratives"},
                {"name": "bound", "clients": ["claims.payments.svc"]},
                {"name": "spent", "allowance": {"tokens_per_month": 300}},
            ],
            routes=[
                {**site.place(), "workload": "narratives", "overflow": overflow, **batches},
                {**site.place(), "workload": "bound", **batches},
                {**site.place(), "workload": "spent", **batches},
            ],
        )
        for edge in (*site.sidecars, *site.gateways):
            edge.wait_until_up()
        yield site


def test_a_batch_never_goes_to_the_overflow_which_costs_extra(site: Batched):
    overflow = site.models[1]
    assert isinstance(overflow, Echoing)
    with site.client(site.issue("narratives", "internal")) as client:
        site.model.behaviour = "full"
        client.chat.completions.create(model="narratives", messages=[{"role": "user", "content": "hello"}])
        assert overflow.asked == {"hello": 1}
        batch = submit(client, jsonl(line(number) for number in range(3)))
        site.gateways[0].wait_for_line("request", batch=batch.id, status=503)
        assert overflow.asked == {"hello": 1}
        site.model.behaviour = "ok"
        assert wait(client, batch.id).request_counts.completed == 3
    assert overflow.asked == {"hello": 1}


def test_a_batch_ends_when_the_budget_of_its_workload_is_spent(site: Batched):
    with site.client(site.issue("spent", "internal")) as client:
        done = wait(client, submit(client, jsonl(line(number, "spent") for number in range(100))).id)
        assert (done.status, done.errors.data[0].code) == ("failed", "budget_exhausted")
        assert 0 < done.request_counts.completed < 100
        assert done.request_counts.completed + done.request_counts.failed == 100
        assert len(results(client, done.output_file_id)) == done.request_counts.completed
        codes = {result["error"]["code"] for result in results(client, done.error_file_id)}
        assert codes == {"budget_exhausted"}


def test_a_batch_ends_when_the_certificate_of_its_caller_is_revoked(site: Batched):
    """The last test of this gateway: its revocation list stays."""
    let_requests_wait(site)
    with site.client("certificate", certificate="claims") as client:
        batch = submit(client, jsonl(line(number, "bound") for number in range(3)))
        wait(client, batch.id, "in_progress")
    assert state_of(site, batch.id)["owner"] == "certificate:claims.payments.svc"
    site.authority.revoke("claims")
    site.gateways[0].wait_for_line("certificate", result="renewed")
    site.model.reset()
    row = wait_for_end(site, batch.id)
    assert (row["status"], row["completed"], row["failed"]) == ("failed", 0, 3)
    assert row["reason"].startswith("revoked_certificate")
    assert site.gateways[0].wait_for_line("request", batch=batch.id)["code"] == "revoked_certificate"
    assert site.model.asked == {}
