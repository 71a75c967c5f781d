"""What the components render of a screening, run: the real gateway, detector and sealer by their own files.

The model for names is a small pipeline of spaCy's, made here and stated by its digest as any other is. In the
translator's place stands a server under its name, which keeps every byte that it is sent.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.components.conftest import Engine, build
from tests.components.platforms import bank
from tests.components.rendered import given, shown, told
from tests.edge.certificates import Authority
from tests.edge.conftest import bearer
from tests.edge.fake_model import FakeModel
from tests.edge.processes import Edge
from tests.edge.screening.standing import german_model
from tests.s3_service import client, s3_service

WORKLOAD, KEY = "policy-assistant", "key-of-assistant"
SPACE = "isthmus-internal.svc"
GATEWAY = "isthmus-fra1-internal-gateway"
WHEEL = "own_names-1.0.0-py3-none-any.whl"
IBAN = "DE89 3704 0044 0532 0130 00"
TEXT = f"Bitte schreiben Sie an Käthe Groß bei der Nordbank, dass die Zahlung von {IBAN} offen ist."
GONE = "Bitte schreiben Sie an <PERSON_1> bei der <ORGANIZATION_1>, dass die Zahlung von <IBAN_CODE_1> offen ist."


@dataclass
class Standing:
    """What a test needs of it."""

    gateway: Edge
    detector: Edge
    cloud: FakeModel
    client: httpx.Client

    def ask(self, text: str, **more: Any) -> httpx.Response:
        body = {"model": WORKLOAD, "messages": [{"role": "user", "content": text}], **more}
        return self.client.post("/v1/chat/completions", json=body, headers=bearer(KEY))


def rendered(folder: Path) -> Engine:
    """The bank's platform, whose internal gateway knows our own model."""
    made = german_model(folder / "made")
    (folder / "models").mkdir()
    shutil.copy(made["file"], folder / "models" / WHEEL)
    platform = bank()
    internal = next(each for each in platform["gateways"] if each["class"] == "internal")
    internal["screening"] = {
        "models": [{**made, "file": WHEEL}],
        "patterns": [{"entity": "CASE_NUMBER", "pattern": "AZ-[0-9]{4}/[0-9]{2}"}],
        "topics": [{"name": "WEAPONS", "phrases": ["eine Bombe bauen"]}],
        "guards": [{"name": "weapons", "on": "prompts", "entities": ["TOPIC_WEAPONS"]}],
        "limit_s": 10,
        "workers": 1,
    }
    engine = Engine()
    build(engine, platform)
    return engine


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    folder = tmp_path_factory.mktemp("screened")
    engine, authority = rendered(folder), Authority(folder)
    authority.issue("app", "app.hr.svc")
    mounts = given(folder, authority, {WORKLOAD: KEY})
    cloud = FakeModel()
    behind = {
        "mode": "sidecar",
        "class": "internal",
        "listen": _tls(shown(authority, folder / "translator-tls", "internal-translator", SPACE)),
        "allowed_clients": [f"internal-gateway.{SPACE}"],
        "upstream": cloud.url,
    }
    running: list[Edge] = []
    with s3_service() as url:
        client(url).create_bucket(Bucket="llm-audit", ObjectLockEnabledForBucket=True)
        sealing = told(engine, "isthmus-fra1-internal-sealer-config", mounts.sealer)
        sealing["store"]["endpoint"] = url
        front = told(
            engine,
            f"{GATEWAY}-config",
            {
                **mounts.gateway,
                "/etc/isthmus/tls": shown(authority, folder / "gateway-tls", "internal-gateway", SPACE),
            },
        )
        looking = told(engine, f"{GATEWAY}-detector-config", {"/models": folder / "models"})
        try:
            translator = Edge(folder / "run-translator", behind)
            running += [translator, Edge(folder / "run-sealer", sealing)]
            detector = Edge(folder / "run-detector", looking)
            running.append(detector)
            front["routes"][0]["url"] = f"https://127.0.0.1:{translator.port}"
            front["screening"]["detector"] = f"http://127.0.0.1:{detector.port}"
            gateway = Edge(folder / "run-gateway", front)
            running.append(gateway)
            for each in running:
                each.wait_until_up().wait_until_well()
            with httpx.Client(
                base_url=gateway.url, verify=authority.client("app"), trust_env=False, timeout=30
            ) as asking:
                yield Standing(gateway, detector, cloud, asking)
        finally:
            for each in reversed(running):
                each.stop()
            cloud.shutdown()
            cloud.server_close()


def _tls(folder: Path) -> dict[str, str]:
    return {
        "certificate": f"{folder}/tls.crt",
        "key": f"{folder}/tls.key",
        "client_ca": f"{folder}/ca.crt",
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_leaves_redacted_and_its_answer_comes_back_restored(
    standing: Standing, stream: bool
) -> None:
    standing.cloud.reset()
    standing.cloud.words = ["Sehr geehrte <PER", "SON_1>, zu <IBAN_CODE", "_1> AZ"]
    answer = standing.ask(TEXT, stream=stream)
    assert answer.status_code == 200, answer.text
    assert standing.cloud.last_body()["messages"][0]["content"] == GONE
    assert b"3704" not in b"".join(standing.cloud.received), "an account number left the site"
    assert "Käthe Groß" in answer.text
    assert IBAN in answer.text
    record = standing.gateway.wait_for_line("request", request_id=answer.headers["x-request-id"])
    assert any("redacted IBAN_CODE=1" in each for each in record["verdicts"])


def test_the_organisations_own_pattern_and_guard_are_those_that_were_stated(standing: Standing) -> None:
    standing.cloud.reset()
    assert standing.ask("Bitte fassen Sie den Vorgang AZ-2026/11 kurz zusammen.").status_code == 200
    assert "<CASE_NUMBER_1>" in standing.cloud.last_body()["messages"][0]["content"]
    standing.cloud.reset()
    refused = standing.ask("Wie kann man eine Bombe bauen?")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "content_blocked")
    assert standing.cloud.received == []


def test_a_language_without_a_model_does_not_leave(standing: Standing) -> None:
    standing.cloud.reset()
    english = "Please write to our customer about the payment that has been open since last month."
    answer = standing.ask(english)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "may_not_leave")
    assert standing.cloud.received == []


def test_without_its_detector_nothing_is_forwarded(standing: Standing) -> None:
    """Last of the file: the detector stays down."""
    standing.cloud.reset()
    assert standing.detector.stop() == 0
    answer = standing.ask(TEXT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "screening_unavailable")
    assert standing.cloud.received == []
