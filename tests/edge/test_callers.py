"""Admission of callers by the real gateway over mutual TLS, with keys in a real PostgreSQL that can be down."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from edge.callers.store import digest_of, id_of
from tests.edge.conftest import bearer, code_of
from tests.edge.counted import Counted, counted
from tests.edge.fake_model import FakeModel
from tests.edge.postgres import Postgres

WORKLOADS = [
    {"name": "narratives", "team": "payments"},
    {"name": "scoring", "team": "payments"},
    {
        "name": "claims",
        "team": "insurance",
        "clients": ["claims.payments.svc", "spiffe://bank.example/ns/claims"],
    },
]


@pytest.fixture(scope="module")
def running(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    with counted(tmp_path_factory.mktemp("callers"), postgres, "callers", [FakeModel()]) as site:
        site.start(
            teams=[{"name": "payments"}, {"name": "insurance"}],
            workloads=WORKLOADS,
            routes=[
                {**site.place(), "workload": "narratives", "name": "fast", "cache_salt": "team/payments"},
                {**site.place(model="llama-70b"), "workload": "narratives", "name": "thorough"},
                {**site.place(), "workload": "scoring", "cache_salt": "team/payments"},
                {**site.place(), "workload": "claims", "cache_salt": "team/insurance"},
            ],
        )
        for edge in (*site.sidecars, *site.gateways):
            edge.wait_until_up()
        yield site


@pytest.fixture
def site(running: Counted) -> Counted:
    running.models[0].reset()
    return running


def refused(site: Counted, answer: httpx.Response, status: int, code: str) -> bool:
    """Whether the request was refused with this status and code, and did not reach the model."""
    return (answer.status_code, code_of(answer)) == (status, code) and site.models[0].received == []


def eventually(
    site: Counted, key: str | None, status: int, model: str = "fast", seconds: float = 7, client: str = "app"
) -> float:
    """Seconds until a request with this key gets this status."""
    began = time.monotonic()
    while (answer := site.chat(key, model, client=client)).status_code != status:
        assert time.monotonic() - began < seconds, answer.text
        time.sleep(0.1)
    return time.monotonic() - began


def test_a_key_reaches_the_models_of_its_workload_by_their_names(site: Counted):
    key = site.issue("narratives")
    assert site.chat(key, "fast").json()["model"] == "fast"
    assert site.models[0].last_body()["model"] == "llama"
    assert site.chat(key, "thorough").json()["model"] == "thorough"
    assert site.models[0].last_body()["model"] == "llama-70b"
    listed = site.clients[(0, "app")].get("/v1/models", headers=bearer(key)).json()
    assert [model["id"] for model in listed["data"]] == ["fast", "thorough"]
    site.models[0].reset()
    assert refused(site, site.chat(key, "claims"), 404, "model_not_found")
    line = site.gateways[0].wait_for_line("request", model="thorough")
    assert (line["team"], line["workload"]) == ("payments", "narratives")
    assert line["identity"] == f"key:{id_of(digest_of(key))}"


@pytest.mark.parametrize("key", [None, "isk_" + "A" * 43, "sk-proj-1", "isk_" + "A" * 42])
def test_no_key_and_an_unknown_one_are_401(site: Counted, key: str | None):
    assert refused(site, site.chat(key, "fast"), 401, "invalid_api_key")


def test_a_key_of_another_class_is_403(site: Counted):
    key = site.issue("narratives", "internal")
    answer = site.chat(key, "fast")
    assert refused(site, answer, 403, "wrong_class")
    assert "use its gateway" in answer.json()["error"]["message"]
    assert answer.json()["error"]["type"] == "permission_error"


def test_a_revoked_key_is_refused_within_five_seconds(site: Counted):
    key = site.issue("narratives")
    assert site.chat(key, "fast").status_code == 200
    site.keys("revoke", id_of(digest_of(key)))
    assert eventually(site, key, 401, seconds=5.3) <= 5.3
    site.models[0].reset()
    assert refused(site, site.chat(key, "fast"), 401, "revoked_api_key")


def test_keys_are_rotated_without_a_refused_request(site: Counted):
    old = site.issue("narratives")
    new = site.keys("rotate", "--workload", "narratives", "--class", "restricted", "--overlap-h", "0.0005")
    assert [site.chat(key, "fast").status_code for key in (old, new)] == [200, 200]
    eventually(site, old, 401)
    assert code_of(site.chat(old, "fast")) == "expired_api_key"
    assert site.chat(new, "fast").status_code == 200


def test_a_client_certificate_identifies_a_caller_without_a_key(site: Counted):
    assert site.chat(None, "claims", client="claims").status_code == 200
    line = site.gateways[0].wait_for_line("request", workload="claims", status=200)
    assert line["identity"] == "certificate:claims.payments.svc"
    site.models[0].reset()
    assert refused(site, site.chat(None, "fast", client="claims"), 404, "model_not_found")
    assert refused(site, site.chat(None, "claims", client="app"), 401, "invalid_api_key")
    assert refused(site, site.chat("isk_wrong", "claims", client="claims"), 401, "invalid_api_key")


def test_a_stolen_key_is_useless_without_its_workloads_certificate(site: Counted):
    key = site.issue("claims")
    assert refused(site, site.chat(key, "claims", client="app"), 403, "wrong_client")
    assert site.chat(key, "claims", client="claims").status_code == 200


def test_workloads_of_a_team_share_a_cache_salt_that_cannot_be_guessed(site: Counted):
    salts = {}
    for workload, model in (("narratives", "fast"), ("scoring", "scoring"), ("claims", "claims")):
        assert site.chat(site.issue(workload), model, client="claims").status_code == 200
        salts[workload] = site.models[0].last_body()["cache_salt"]
    assert salts["narratives"] == salts["scoring"] != salts["claims"]
    assert len(salts["claims"]) == 43
    assert "insurance" not in salts["claims"]
    assert site.chat(site.issue("narratives"), "thorough").status_code == 200
    assert "cache_salt" not in site.models[0].last_body(), "a route that states none gets none"


def test_without_the_database_nobody_is_admitted_until_it_is_back(site: Counted):
    key = site.issue("narratives")
    assert site.chat(key, "fast").status_code == 200
    site.door.shut()
    try:
        assert eventually(site, key, 503) <= 5.5
        # Who has no such model is told so as long as the database's last answer counts.
        eventually(site, None, 503, client="claims")
        site.models[0].reset()
        for shown, client in ((key, "app"), (None, "claims"), ("isk_" + "B" * 43, "app")):
            answer = site.chat(shown, "fast", client=client)
            assert answer.status_code == 503
            assert code_of(answer) in ("callers_unreadable", "accounts_unavailable", "stops_unreadable")
            assert "operators" in answer.json()["error"]["message"]
        assert site.models[0].received == []
        assert site.gateways[0].health().status_code == 503
        assert site.gateways[0].health("/live").status_code == 200, "it would be started anew, for nothing"
    finally:
        site.door.open()
    eventually(site, key, 200)
    assert site.gateways[0].health().status_code == 200


def test_no_key_and_no_password_is_in_the_log_or_the_database(site: Counted):
    key = site.issue("narratives")
    site.chat(key, "fast")
    stored = str([dict(row) for row in site.ask_database("SELECT * FROM isthmus.keys")])
    for secret in (key, "gateway-s3cret", "IBAN"):
        assert secret not in site.gateways[0].output()
        assert secret not in stored
