"""Faults of replicas under load: a death, false metrics, slowness, DNS that loses a name, and a rolling restart."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.edge.fake_model import FakeModel
from tests.edge.replica_fleet import Fleet


class PacedModel(FakeModel):
    """A model server that takes `seconds` for each answer, and reports what it runs unless its metrics are false."""

    def __init__(self) -> None:
        self.seconds, self.running, self.false = 0.02, 0, ""
        self.busy_s = 0.0
        """Seconds in which any request ran."""
        self._since, self._lock = 0.0, threading.Lock()
        super().__init__()

    @property
    def metrics(self) -> str:
        count = self.false or str(self.running)
        return f"vllm:num_requests_running {count}\nvllm:num_requests_waiting {self.false or 0}\n"

    @metrics.setter
    def metrics(self, text: str) -> None:
        """Metrics follow from what runs."""

    def prepare(self, request: object) -> None:
        with self._lock:
            if not self.running:
                self._since = time.monotonic()
            self.running += 1
        time.sleep(self.seconds)
        with self._lock:
            self.running -= 1
            if not self.running:
                self.busy_s += time.monotonic() - self._since


def models(fleet: Fleet) -> list[PacedModel]:
    return [model for model in fleet.models if isinstance(model, PacedModel)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("faults"), 3, PacedModel)
    try:
        for _ in range(2):
            fleet.start_gateway(gpus=6, replicas=3)
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture
def fleet(running: Fleet) -> Fleet:
    for model in models(running):
        model.seconds, model.false, model.busy_s = 0.02, "", 0.0
    running.reset()
    return running


class Load:
    """Clients that send requests without pause, and what they got."""

    def __init__(self, fleet: Fleet, clients: int = 6) -> None:
        self.results: Counter[str] = Counter()
        self._fleet, self._over = fleet, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int) -> None:
        """Wait until so many more requests have been answered."""
        target = self.results.total() + more
        end = time.monotonic() + 60
        while self.results.total() < target:
            assert time.monotonic() < end, self.results
            time.sleep(0.02)

    def _ask(self, number: int) -> None:
        gateway = number % len(self._fleet.gateways)
        while not self._over.is_set():
            try:
                answer = self._fleet.ask(gateway=gateway, stream=bool(number % 3))
            except httpx.HTTPError as error:
                self.results[type(error).__name__] += 1
                continue
            whole = answer.text.endswith("data: [DONE]\n\n") or '"choices":' in answer.text
            self.results["ok" if answer.status_code == 200 and whole else answer.text[-90:]] += 1


def test_a_rolling_restart_of_all_replicas_under_load_loses_no_request(fleet: Fleet):
    with Load(fleet) as load:
        for number in range(3):
            load.wait_for(40)
            others = [other for other in range(3) if other != number]
            fleet.list_replicas(others)  # as Kubernetes does when a pod begins to end
            assert fleet.sidecars[number].stop() == 0
            fleet.sidecars[number] = fleet.start_sidecar(number).wait_until_up()
            fleet.list_replicas(range(3))
            for gateway in range(2):
                fleet.wait_for_states(gateway, good=3, bad=0)
        load.wait_for(40)
    assert set(load.results) == {"ok"}, load.results


def test_a_replica_that_is_killed_loses_only_answers_that_had_begun(fleet: Fleet):
    with Load(fleet) as load:
        load.wait_for(40)
        fleet.sidecars[0].process.kill()
        load.wait_for(80)
    try:
        failures = {result for result in load.results if result != "ok"}
        assert all("stream_cut" in failure or "bad_gateway" in failure for failure in failures), load.results
        assert load.results["ok"] >= load.results.total() - 6, "more failed than ran there"
        assert fleet.gateways[0].metric("isthmus_endpoint_running") == 0
    finally:
        fleet.sidecars[0] = fleet.start_sidecar(0).wait_until_up()


@pytest.mark.parametrize("false", ["-1", "NaN", "1e20", "0", "50000"])
def test_false_metrics_of_a_replica_change_its_share_of_the_requests_little(fleet: Fleet, false: str):
    models(fleet)[0].false = false
    time.sleep(0.3)
    with Load(fleet) as load:
        load.wait_for(150)
    assert set(load.results) == {"ok"}
    assert 0.15 < fleet.counts()[0] / sum(fleet.counts()) < 0.55, fleet.counts()


def test_a_slow_replica_gets_fewer_requests_and_holds_none_up(fleet: Fleet):
    models(fleet)[0].seconds = 0.4
    with Load(fleet) as load:
        load.wait_for(150)
    assert set(load.results) == {"ok"}
    assert fleet.counts()[0] < 0.25 * sum(fleet.counts()), fleet.counts()


def test_a_name_that_is_lost_under_load_loses_no_request(fleet: Fleet):
    with Load(fleet) as load:
        load.wait_for(40)
        fleet.list_replicas([])
        for gateway in fleet.gateways:
            gateway.wait_for_line("replicas_unresolved")
        load.wait_for(80)
        fleet.list_replicas(range(3))
        load.wait_for(40)
    assert set(load.results) == {"ok"}, load.results


TOLERANCE = 0.15
"""Part by which the GPU time of all gateways may differ from the time in which replicas ran. Each gateway learns what
the others run from a probe, which is up to `probe_s` old."""


def test_gpu_time_of_several_gateways_adds_up_to_the_time_in_which_replicas_ran(fleet: Fleet):
    def gpu_seconds() -> float:
        return sum(gateway.metric("isthmus_gpu_seconds_total") for gateway in fleet.gateways)

    for model in models(fleet):
        model.seconds = 1.5
    before = gpu_seconds()
    with Load(fleet, clients=12) as load:
        load.wait_for(60)
    assert set(load.results) == {"ok"}
    busy = sum(model.busy_s for model in models(fleet))
    gpus_of_replica = 2
    assert gpu_seconds() - before == pytest.approx(gpus_of_replica * busy, rel=TOLERANCE)
