"""A gateway replaced under load, in order or by force: every answer is accounted once, and no truncation is silent."""

from __future__ import annotations

import random
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.edge.conftest import KEYS, WORKLOAD, Site, bearer, chat, gateway_config
from tests.edge.processes import Edge
from tests.edge.replacing import DONE, STREAMS, WHOLE, Load, hold_to_account

CHAT = "/v1/chat/completions"


@pytest.fixture
def copy(chain: Site, tmp_path: Path) -> Iterator[Callable[..., Edge]]:
    """Starts one more gateway replica in front of the shared sidecar."""
    started: list[Edge] = []

    def start(**limits: float) -> Edge:
        config = gateway_config(chain.folder, chain.sidecar.port)
        # Longer than a handshake takes on a busy machine. The test does not measure speed.
        config["limits"].update({"connect_timeout_s": 15, "request_timeout_s": 40, **limits})
        started.append(Edge(tmp_path / f"copy-{len(started)}", config))
        return started[-1].wait_until_up()

    yield start
    for edge in started:
        edge.stop()


def counted(edge: Edge) -> float:
    """Number of requests by the gateway's own counters."""
    return sum(
        map(float, re.findall(r"^isthmus_requests_total\{.*\} (\S+)$", edge.health("/metrics").text, re.M))
    )


def test_a_gateway_replaced_under_load_finishes_and_accounts_for_every_request(chain: Site, copy):
    chain.model.reset("slow")
    old = copy()
    load = Load(chain, old)
    try:
        new = copy()
        load.wait_for(20)
        assert chain.model.words_sent.wait(10)
        load.copy = new
        ended = time.monotonic()
        old.process.terminate()
        assert old.process.wait(15) == 0
        load.wait_for(20)
    finally:
        load.stop()
    assert not [answer for answer in load.answers if answer.broken]
    assert {answer.code for answer in load.answers} == {"ok"}
    served = {edge: {line["request_id"] for line in edge.lines("request")} for edge in (old, new)}
    late = [
        answer
        for answer in load.answers
        if answer.stream and answer.request_id in served[old] and answer.at > ended
    ]
    assert late, "no stream was running when the old copy was told to end"
    # A request can meet an idle connection that is closing at most once. Then its client moves to the new replica.
    assert load.unanswered <= WHOLE + STREAMS
    hold_to_account(load, [old, new])
    assert served[old] | served[new] == {answer.request_id for answer in load.answers}
    assert counted(new) == len(served[new])


def test_a_gateway_killed_under_load_has_accounted_for_every_answer_sent(chain: Site, copy):
    chain.model.reset("slow")
    old = copy()
    new = copy()
    load = Load(chain, old)
    try:
        load.wait_for(30)
        assert chain.model.words_sent.wait(10)
        load.copy = new
        old.process.kill()
        load.wait_for(30)
    finally:
        load.stop()
    assert [answer for answer in load.answers if answer.broken and answer.stream], "the kill met no stream"
    hold_to_account(load, [old, new])


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_is_recorded_before_its_end_is_sent(chain: Site, copy, stream: bool):
    chain.model.reset("linger")
    edge = copy()
    with (
        httpx.Client(verify=chain.authority.client("app"), trust_env=False, timeout=10) as client,
        client.stream(
            "POST", edge.url + CHAT, json=chat(stream=stream), headers=bearer(KEYS[WORKLOAD])
        ) as response,
    ):
        text = ""
        for piece in response.iter_text():
            text += piece
            if text.endswith(DONE if stream else "}"):
                break
        edge.process.kill()
        edge.process.wait(5)
    [line] = edge.lines("request")
    assert (line["request_id"], line["code"]) == (response.headers["x-request-id"], "ok")
    assert line["bytes_out"] == len(text.encode())


def test_a_new_connection_during_draining_is_refused(chain: Site, copy):
    edge = copy()
    with socket.create_connection(("127.0.0.1", edge.port)) as plain:
        # A connection is accepted, but its TLS handshake is not done, when the process gets SIGTERM.
        with httpx.Client(verify=chain.authority.client("app"), trust_env=False) as client:
            client.get(edge.url + "/v1/models")
        edge.process.terminate()
        edge.wait_for_line("draining")
        with pytest.raises(OSError):  # noqa: PT011  at the handshake or at the first byte, as the system has it
            ask_for_models(chain, plain)
    assert edge.process.wait(10) == 0
    assert {line["path"] for line in edge.lines("request")} == {"/v1/models"}
    assert len(edge.lines("request")) == 1


def ask_for_models(chain: Site, plain: socket.socket) -> None:
    with chain.authority.client("app").wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
        if not connection.recv(1):
            raise ConnectionResetError


def test_a_stream_abandoned_by_its_client_is_recorded_as_such(chain: Site):
    chain.model.reset("endless")
    headers = bearer(KEYS[WORKLOAD])
    with chain.client.stream("POST", CHAT, json=chat(stream=True), headers=headers) as response:
        next(response.iter_bytes())
    line = chain.gateway.wait_for_line("request", request_id=response.headers["x-request-id"])
    assert (line["status"], line["code"]) == (200, "client_closed_request")


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_every_answer_is_accounted_once_while_replicas_come_and_go(chain: Site, copy, seed: int):
    """Five replacements each, by draining or killing, at random moments, with enough or too little time to drain."""
    chance = random.Random(seed)
    chain.model.reset("slow")
    copies = [copy(drain_timeout_s=chance.choice([0.3, 5]))]
    load = Load(chain, copies[0])
    try:
        for _ in range(5):
            load.wait_for(10)
            copies.append(copy(drain_timeout_s=chance.choice([0.3, 5])))
            load.copy = copies[-1]
            time.sleep(chance.uniform(0, 2))
            if chance.random() < 0.5:
                copies[-2].process.kill()
            else:
                copies[-2].process.terminate()
            copies[-2].process.wait(20)
        load.wait_for(10)
    finally:
        load.stop()
    hold_to_account(load, copies)
