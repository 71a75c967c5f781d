"""Real gateways that ask their models a question in turn, before model servers that answer, hang, fail or are full."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.audit.chain_files import record_files
from tests.edge.audit.audited import settings
from tests.edge.audit.harness import AuditSite
from tests.edge.conftest import KEYS, MODEL_NAME, WORKLOAD, Site, bearer, chat, gateway_config
from tests.edge.fake_model import MODEL, Answering
from tests.edge.processes import Edge, free_port
from tests.edge.replica_fleet import Fleet
from tests.edge.stops.test_file import STOP

pytestmark = pytest.mark.service

INTERVAL_S, TIMEOUT_S = 0.6, 0.4
PROBES = {"interval_s": INTERVAL_S, "timeout_s": TIMEOUT_S}
QUESTION = {"messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 1, "model": MODEL}
CHAT = "/v1/chat/completions"


class Probing:
    """A gateway that probes one model, through the site's sidecar."""

    def __init__(self, site: Site, folder: Path, **changes: Any) -> None:
        config = gateway_config(site.folder, site.sidecar.port)
        config["routes"] = config["routes"][:1]
        config["limits"]["probe_s"] = 0.2
        self.site, self.edge = site, Edge(folder, {**config, "model_probes": PROBES, **changes})
        self.client = httpx.Client(
            base_url=self.edge.url, verify=site.authority.client("app"), trust_env=False, timeout=20
        )
        self.edge.wait_until_up()

    def ask(self, **fields: Any) -> httpx.Response:
        return self.client.post(CHAT, json=chat(**fields), headers=bearer(KEYS[WORKLOAD]))

    @property
    def failures(self) -> float | None:
        """Probes in a row that failed, as the gateway exports them. None: it does not say."""
        series = [
            line.rpartition(" ")[2]
            for line in self.edge.health("/metrics").text.splitlines()
            if line.startswith("isthmus_model_probe_failures{")
        ]
        return float(series[0]) if series else None

    def count(self, outcome: str) -> float:
        return self.edge.metric("isthmus_model_probes_total", outcome=outcome)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, f"{what}: {self.edge.output()}"
            time.sleep(0.05)

    def wait_for_probes(self, outcome: str, more: int = 2) -> None:
        """Wait for this many more probes with this outcome."""
        before = self.count(outcome)
        self.wait_for(lambda: self.count(outcome) >= before + more, f"no {more} probes {outcome}")

    def wait_until_it_answers(self) -> None:
        self.wait_for(lambda: self.failures == 0, "it does not answer")

    def wait_until_it_fails(self) -> None:
        """Wait until two probes in a row have failed, and no third yet."""
        self.wait_for(lambda: self.failures == 2, "it does not fail twice")

    def stop(self) -> None:
        self.client.close()
        self.edge.stop()


@contextmanager
def probing(site: Site, folder: Path, **changes: Any) -> Iterator[Probing]:
    gateway = Probing(site, folder, **changes)
    try:
        yield gateway
    finally:
        gateway.stop()
        site.model.reset()


@pytest.fixture
def gateway(chain: Site, tmp_path: Path) -> Iterator[Probing]:
    with probing(chain, tmp_path / "own") as made:
        yield made


def test_a_model_is_asked_for_one_token_and_nothing_counts_it_as_a_request(gateway: Probing):
    gateway.wait_for_probes("ok")
    assert gateway.failures == 0
    assert gateway.site.model.last_body() == QUESTION
    assert gateway.edge.metric("isthmus_model_probe_seconds_count") >= 2
    assert gateway.edge.metric("isthmus_model_probe_failed_replicas") == 0
    assert gateway.edge.metric("isthmus_requests_total") == 0
    assert gateway.edge.metric("isthmus_tokens_total") == 0
    assert gateway.edge.metric("isthmus_endpoint_running") == 0
    assert gateway.edge.lines("request") == []


def test_a_probe_is_in_no_record(chain: Site, tmp_path: Path):
    audit_site = AuditSite.at(tmp_path)
    with probing(chain, tmp_path / "own", audit=settings(tmp_path, audit_site)) as gateway:
        gateway.wait_for_probes("ok")
        texts = [
            path.read_text() for folder in audit_site.records.iterdir() for _, path in record_files(folder)
        ]
    assert texts, "the gateway keeps records"
    assert not any("intent" in text or "outcome" in text for text in texts)


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("stall", "no answer in time"),
        ("status-500", "status 500"),
        ("full", "status 503"),
        ("status-404", "status 404"),
        ("html", "an answer that cannot be read"),
        ("half", "a broken connection"),
    ],
)
def test_a_model_that_does_not_answer_fails_its_probes_until_it_answers(
    gateway: Probing, behaviour: str, why: str
):
    gateway.wait_until_it_answers()
    gateway.site.model.reset(behaviour)
    gateway.wait_until_it_fails()
    assert gateway.edge.metric("isthmus_endpoint_good") == 1, "its health says nothing of it"
    assert gateway.edge.metric("isthmus_model_probe_failed_replicas") == 1
    line = gateway.edge.wait_for_line("model_probe", answers=False)
    assert line["failed"] == {"": why}
    gateway.site.model.reset()
    gateway.wait_until_it_answers()


def test_a_model_that_nothing_listens_for_fails(chain: Site, tmp_path: Path):
    place = {"url": f"https://127.0.0.1:{free_port()}", "server_name": MODEL_NAME, "model": MODEL}
    with probing(chain, tmp_path / "own", routes=[{**place, "workload": WORKLOAD}]) as gateway:
        gateway.wait_until_it_fails()
        assert gateway.edge.wait_for_line("model_probe", answers=False)["failed"] == {"": "no connection"}


def test_a_server_at_its_limit_is_busy_and_keeps_its_last_result(gateway: Probing):
    gateway.wait_until_it_answers()
    gateway.site.model.reset("status-429")
    gateway.wait_for_probes("busy")
    assert gateway.failures == 0


def test_nothing_is_said_of_a_model_that_refuses_the_question(gateway: Probing):
    gateway.wait_until_it_answers()
    gateway.site.model.reset("status-400")
    gateway.wait_for_probes("refused")
    assert gateway.failures is None
    assert gateway.edge.wait_for_line("model_probe", refused=True)["answers"] is None


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_answers_callers_is_not_asked(chain: Site, tmp_path: Path, *, stream: bool):
    # Long enough for a busy machine: a caller's answer is never as old as this.
    probes = {"interval_s": 3, "timeout_s": 1}
    with probing(chain, tmp_path / "own", model_probes=probes) as gateway:
        gateway.wait_for_probes("ok", 1)
        assert gateway.ask(stream=stream).status_code == 200
        chain.model.reset()
        end = time.monotonic() + 30
        while gateway.count("not_needed") < 2 and time.monotonic() < end:
            assert gateway.ask(stream=stream).status_code == 200
            time.sleep(0.1)
        assert gateway.count("not_needed") >= 2
        assert not [raw for raw in chain.model.received if b"Say yes." in raw]
        assert gateway.failures == 0


def test_a_full_model_is_busy_while_it_answers_and_asked_when_it_does_not(chain: Site, tmp_path: Path):
    config = gateway_config(chain.folder, chain.sidecar.port)
    route = {**config["routes"][0], "concurrency": 1}
    changes: dict[str, Any] = {
        "model_probes": {"interval_s": 1, "timeout_s": 0.5},
        "limits": {**config["limits"], "request_timeout_s": 40},
    }
    with probing(chain, tmp_path / "own", routes=[route], **changes) as gateway:
        assert gateway.ask().status_code == 200
        chain.model.reset("stall")
        caller = threading.Thread(target=gateway.ask)  # takes the only place until its time is over
        caller.start()
        gateway.wait_for_probes("busy", 1)
        assert gateway.failures == 0
        assert len(chain.model.received) == 1
        gateway.wait_until_it_fails()
        assert caller.is_alive()
        assert chain.model.last_body() == QUESTION
        chain.model.reset()
        gateway.wait_until_it_answers()
        caller.join(20)


def test_only_models_that_callers_reach_and_that_cost_nothing_more_are_asked(chain: Site, tmp_path: Path):
    (tmp_path / "stops.yaml").write_text(STOP)
    place = {key: gateway_config(chain.folder, chain.sidecar.port)["routes"][0][key] for key in ("url",)}
    place |= {"server_name": MODEL_NAME}
    price = {"usd_per_million_tokens": {"prompt": 1, "completion": 1}}

    def route(workload: str, **fields: Any) -> dict[str, Any]:
        return {**place, "workload": workload, "model": workload, **fields}

    routes = [
        route(WORKLOAD, canary={**place, "model": "no-share", "percent": 0}),
        route("claims"),  # people have stopped it
        route("down", also=[{**place, "model": "a-share"}], probed=False),
        route("misnamed", **price),
        route("unrouted", canary={**place, "model": "with-share", "percent": 5}, probed=True, **price),
    ]
    stops = str(tmp_path / "stops.yaml")
    with probing(chain, tmp_path / "own", routes=routes, stops=stops) as gateway:
        wanted = {WORKLOAD, "a-share", "unrouted", "with-share"}
        for model in wanted:
            gateway.wait_for(
                lambda model=model: (
                    gateway.edge.metric("isthmus_model_probes_total", served_model=model) >= 2
                ),
                f"no probe of {model}",
            )
        names = {raw.split(b'"model":"', 1)[1].split(b'"', 1)[0].decode() for raw in chain.model.received}
        assert names == wanted


@pytest.mark.parametrize("task", ["embedding", "rerank"])
def test_models_of_other_tasks_are_asked_in_their_way(chain: Site, tmp_path: Path, task: str):
    model = Answering()
    sidecar = Edge(
        tmp_path / "sidecar",
        {
            "mode": "sidecar",
            "class": "restricted",
            "listen": {
                "certificate": str(chain.folder / "sidecar.crt"),
                "key": str(chain.folder / "sidecar.key"),
                "client_ca": str(chain.authority.path),
            },
            "allowed_clients": ["restricted-gateway.isthmus-restricted.svc"],
            "upstream": model.url,
        },
    ).wait_until_up()
    place = {"url": f"https://127.0.0.1:{sidecar.port}", "server_name": MODEL_NAME, "model": "other"}
    try:
        with probing(
            chain, tmp_path / "own", routes=[{**place, "workload": WORKLOAD, "task": task}]
        ) as gateway:
            gateway.wait_until_it_answers()
        assert model.last_body()["model"] == "other"
        path = {"embedding": b"/v1/embeddings", "rerank": b"/v1/rerank"}[task]
        assert all(raw.split(b" ")[1] == path for raw in model.received)
    finally:
        sidecar.stop()
        model.shutdown()
        model.server_close()


def test_a_replica_that_hangs_is_counted_while_another_answers(tmp_path: Path):
    fleet = Fleet(tmp_path, 2)
    fleet.settings = {"model_probes": PROBES}
    try:
        gateway = fleet.start_gateway()
        fleet.wait_for_states(good=2)
        fleet.models[1].reset("stall")
        line = gateway.wait_for_line(
            "model_probe", answers=True, failed={_address(fleet, 1): "no answer in time"}
        )
        assert line["model"] == "llama"
        assert gateway.metric("isthmus_model_probe_failures") == 0
        assert gateway.metric("isthmus_model_probe_failed_replicas") == 1
        fleet.models[0].reset("stall")
        gateway.wait_for_line("model_probe", answers=False)
        assert gateway.metric("isthmus_model_probe_failures") >= 1
        assert gateway.metric("isthmus_model_probe_failed_replicas") == 2
    finally:
        fleet.stop()


def _address(fleet: Fleet, number: int) -> str:
    return f"{fleet.address(number)}:{fleet.port}"
