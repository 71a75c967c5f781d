"""Routing by replica: the gateway looks up the replicas of a host name, and chooses one for each request."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from edge.routing.replica import read_counts
from tests.edge.replica_fleet import Fleet


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), 3)
    try:
        fleet.start_gateway(gpus=3, replicas=3)
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture
def fleet(running: Fleet) -> Fleet:
    running.reset()
    return running


def test_requests_are_spread_over_the_replicas_that_the_name_lists(fleet: Fleet):
    assert {fleet.ask().status_code for _ in range(12)} == {200}
    assert fleet.counts() == [4, 4, 4]
    line = fleet.gateways[0].lines("request")[-1]
    assert line["endpoint"].startswith("llama.isthmus-internal.svc:")
    assert line["replica"] in {f"{fleet.address(number)}:{fleet.port}" for number in range(3)}


def test_an_address_that_disappears_gets_no_new_request_and_its_running_one_finishes(fleet: Fleet):
    for model in fleet.models:
        model.reset("slow")
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(fleet.ask(stream=True).text)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for model in fleet.models:
        assert model.words_sent.wait(20)
    fleet.list_replicas([1, 2])
    fleet.wait_for_states(good=2, draining=1)
    for model in fleet.models[1:]:
        model.behaviour = "ok"
    assert {fleet.ask().status_code for _ in range(4)} == {200}
    for thread in threads:
        thread.join()
    assert all(answer.endswith("data: [DONE]\n\n") for answer in answers), "a running answer was cut"
    assert len(fleet.models[0].received) == 1
    fleet.wait_for_states(good=2, draining=0)


def test_a_new_address_joins_after_a_good_probe(fleet: Fleet):
    fleet.list_replicas([0, 1])
    fleet.wait_for_states(good=2, bad=0)
    fleet.models[2].reset("ill")
    fleet.list_replicas([0, 1, 2])
    fleet.wait_for_states(good=2, bad=1)
    assert {fleet.ask().status_code for _ in range(6)} == {200}
    assert fleet.counts() == [3, 3, 0]
    fleet.models[2].reset()
    fleet.wait_for_states(good=3)
    assert {fleet.ask().status_code for _ in range(6)} == {200}
    assert fleet.counts()[2] == 2


def test_a_name_that_stops_resolving_keeps_the_known_replicas_and_says_so(fleet: Fleet):
    gateway = fleet.gateways[0]
    fleet.list_replicas([])
    line = gateway.wait_for_line("replicas_unresolved", known=3)
    assert line["endpoint"] == f"llama.isthmus-internal.svc:{fleet.port}"
    assert gateway.metric("isthmus_endpoint_unresolved") == 1
    assert {fleet.ask().status_code for _ in range(6)} == {200}
    assert fleet.counts() == [2, 2, 2]
    fleet.reset()
    end = time.monotonic() + 20
    while gateway.metric("isthmus_endpoint_unresolved"):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_request_that_a_replica_refuses_goes_to_another_replica(fleet: Fleet):
    fleet.models[0].reset("full")
    fleet.models[1].reset("full")
    for _ in range(6):
        assert fleet.ask().status_code == 200
    assert len(fleet.models[2].received) == 6
    tries = [line["attempts"] for line in fleet.gateways[0].lines("request")[-6:]]
    assert max(tries) <= 3, "a replica was asked again while another was left"


def test_a_request_that_breaks_replicas_is_sent_to_two_of_them_only(fleet: Fleet):
    for model in fleet.models:
        model.reset("die")
    answer = fleet.ask()
    assert answer.status_code == 502
    assert sorted(fleet.counts()) == [0, 1, 1]


def test_an_address_that_another_server_got_receives_nothing(fleet: Fleet):
    fleet.sidecars[0].stop()
    fleet.authority.issue("other", "other.isthmus-internal.svc")
    other = fleet.start_sidecar(0, "other").wait_until_up()
    try:
        fleet.wait_for_states(good=2, bad=1)
        assert {fleet.ask().status_code for _ in range(6)} == {200}
        assert fleet.counts() == [0, 3, 3]
        fleet.list_replicas([0])
        fleet.wait_for_states(good=0, bad=1)
        assert fleet.ask().status_code == 502
        assert fleet.counts() == [0, 3, 3]
    finally:
        other.stop()
        fleet.sidecars[0] = fleet.start_sidecar(0).wait_until_up()


@pytest.mark.parametrize("false", ["-4", "1e20", "0"])
def test_a_replica_with_false_metrics_gets_its_share_and_no_more(fleet: Fleet, false: str):
    for model in fleet.models:
        model.metrics = "vllm:num_requests_waiting 5\nvllm:num_requests_running 5\n"
    fleet.models[0].metrics = f"vllm:num_requests_waiting {false}\nvllm:num_requests_running {false}\n"
    fleet.models[0].behaviour = fleet.models[1].behaviour = fleet.models[2].behaviour = "slow"
    time.sleep(0.3)
    threads = [threading.Thread(target=fleet.ask, kwargs={"stream": True}) for _ in range(9)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert fleet.counts() == [3, 3, 3]


def test_impossible_numbers_of_requests_are_no_report():
    for false in ("-4", "NaN", "1e20", "Inf", "1.2.3", "x"):
        assert read_counts(f"vllm:num_requests_waiting {false}\n".encode()) is None, false
    two_engines = b'vllm:num_requests_running{engine="0"} 2.0\nvllm:num_requests_running{engine="1"} 3e0\n'
    assert read_counts(two_engines) == (0, 5)
