"""A detector that fails, is slow or answers nonsense: nothing is forwarded, and no answer is released."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from edge.redaction import Detector, Rules
from tests.edge.fake_model import FakeModel
from tests.edge.processes import Edge, free_port
from tests.edge.screening import standing
from tests.edge.screening.fake_detector import NONSENSE, FakeDetector
from tests.edge.screening.standing import KEYS, code_in

WRONG = ["gone", "status-500", "status-503", "status-204", "html", "cut", *NONSENSE]


@dataclass
class Faked:
    """A gateway with a fake detector that can fail."""

    detector: FakeDetector
    model: FakeModel
    gateway: Edge
    client: httpx.Client

    def ask(self, workload: str = "own", **fields) -> httpx.Response:
        body = {"model": workload, "messages": [{"role": "user", "content": "Hallo"}], **fields}
        key = {"authorization": f"Bearer {KEYS[workload]}"}
        return self.client.post("/v1/chat/completions", json=body, headers=key)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faked]:
    folder = tmp_path_factory.mktemp("faked")
    authority = standing.authority_of(folder)
    model, detector = FakeModel(), FakeDetector(Detector(Rules()))
    sidecar = Edge(folder / "sidecar", standing.sidecar_config(folder, model))
    ports: dict[str, int] = dict.fromkeys(("own", "cloud", "judge"), sidecar.port)
    config = standing.gateway_config(folder, detector.url, ports)
    config["screening"]["limit_s"] = 1
    gateway = Edge(folder / "gateway", config)
    client = httpx.Client(base_url=gateway.url, verify=authority.client("app"), trust_env=False, timeout=20)
    try:
        for edge in (sidecar, gateway):
            edge.wait_until_up()
        yield Faked(detector, model, gateway, client)
    finally:
        client.close()
        for edge in (gateway, sidecar):
            edge.stop()
        for server in (model, detector):
            server.shutdown()
            server.server_close()


@pytest.fixture
def fake_detector_gateway(running: Faked) -> Faked:
    running.detector.reset()
    running.model.reset()
    return running


def test_with_a_working_detector_requests_are_served(fake_detector_gateway: Faked):
    assert fake_detector_gateway.ask().status_code == 200


@pytest.mark.parametrize("workload", ["own", "cloud", "guarded"])
@pytest.mark.parametrize("behaviour", [*WRONG, "slow"])
def test_with_a_failing_detector_nothing_is_forwarded(
    fake_detector_gateway: Faked, behaviour: str, workload: str
):
    if behaviour == "slow" and workload != "cloud":
        pytest.skip("a second each")
    fake_detector_gateway.detector.reset(behaviour)
    for stream in (False, True):
        answer = fake_detector_gateway.ask(workload, stream=stream)
        assert (answer.status_code, code_in(answer)) == (503, "screening_unavailable")
    assert fake_detector_gateway.model.received == []


def test_with_an_unreachable_detector_nothing_is_forwarded(fake_detector_gateway: Faked, tmp_path):
    authority = standing.authority_of(tmp_path)
    ports = {name: free_port() for name in ("own", "cloud", "judge")}
    gateway = Edge(
        tmp_path / "gateway", standing.gateway_config(tmp_path, f"http://127.0.0.1:{free_port()}", ports)
    )
    try:
        gateway.wait_until_up()
        client = httpx.Client(verify=authority.client("app"), trust_env=False, timeout=20)
        body = {"model": "own", "messages": [{"role": "user", "content": "Hallo"}]}
        key = {"authorization": f"Bearer {KEYS['own']}"}
        answer = client.post(gateway.url + "/v1/chat/completions", json=body, headers=key)
        assert (answer.status_code, code_in(answer)) == (503, "screening_unavailable")
    finally:
        gateway.stop()


@pytest.mark.parametrize("behaviour", ["status-500", "nothing found", "cut"])
def test_a_detector_that_fails_during_a_stream_ends_it_without_releasing_held_text(
    fake_detector_gateway: Faked, behaviour: str
):
    fake_detector_gateway.model.reset("slow")
    fake_detector_gateway.model.words = ["Das Token ", "lautet ghp_" + "a1B2" * 9, " und ", "mehr ", "nicht."]
    body = {"model": "own", "messages": [{"role": "user", "content": "Hallo"}], "stream": True}
    key = {"authorization": f"Bearer {KEYS['own']}"}
    with fake_detector_gateway.client.stream(
        "POST", "/v1/chat/completions", json=body, headers=key
    ) as answer:
        output = ""
        for text in answer.iter_text():
            output += text
            fake_detector_gateway.detector.reset(behaviour)
    assert '"code":"screening_unavailable"' in output.replace(" ", "")
    assert "ghp_" not in output
    assert "[DONE]" not in output
