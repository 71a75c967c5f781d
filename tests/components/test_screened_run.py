"""What the components render of a screening, run: the real gateway, detector and sealer by their own files.

The internal gateway states models, patterns and guards; the public one what a blueprint renders, which is nothing. The
model for names is a small pipeline of spaCy's, made here and stated by its digest as any other is. In the translator's
place stands a server under its name, which keeps every byte that it is sent.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from isthmus import blueprints
from sandbox.local.models import entity_model
from tests.blueprints.bank import requirements_and_plan
from tests.components.conftest import Engine, build
from tests.components.platforms import bank
from tests.components.rendered import gateway_mounts, read_config, shown
from tests.edge.certificates import Authority
from tests.edge.conftest import bearer
from tests.edge.fake_model import FakeModel
from tests.edge.processes import Edge
from tests.edge.screening.standing import IBAN, german_model, shows_the_account
from tests.s3_service import client, s3_service

WORKLOAD, KEY = "policy-assistant", "key-of-assistant"
GATEWAY = "isthmus-fra1-internal-gateway"
PUBLIC = "campaign-copy"
WHEEL = "own_names-1.0.0-py3-none-any.whl"
TEXT = f"Bitte schreiben Sie an Käthe Groß bei der Nordbank, dass die Zahlung von {IBAN} offen ist."
GONE = "Bitte schreiben Sie an <PERSON_1> bei der <ORGANIZATION_1>, dass die Zahlung von <IBAN_CODE_1> offen ist."


@dataclass
class Standing:
    """What a test needs of it."""

    gateway: Edge
    detector: Edge
    cloud: FakeModel
    client: httpx.Client
    workload: str

    def ask(self, text: str, **more: Any) -> httpx.Response:
        body = {"model": self.workload, "messages": [{"role": "user", "content": text}], **more}
        return self.client.post("/v1/chat/completions", json=body, headers=bearer(KEY))


def rendered(folder: Path) -> Engine:
    """The bank's platform, whose internal gateway knows our own model."""
    model = german_model(folder / "made")
    (folder / "models").mkdir()
    shutil.copy(model["file"], folder / "models" / WHEEL)
    platform = bank()
    internal = next(gateway for gateway in platform["gateways"] if gateway["class"] == "internal")
    internal["screening"] = {
        "models": [{**model, "file": WHEEL}],
        "patterns": [{"entity": "CASE_NUMBER", "pattern": "AZ-[0-9]{4}/[0-9]{2}"}],
        "topics": [{"name": "WEAPONS", "phrases": ["eine Bombe bauen"]}],
        "guards": [{"name": "weapons", "on": "prompts", "entities": ["TOPIC_WEAPONS"]}],
        "limit_s": 10,
        "workers": 1,
    }
    engine = Engine()
    build(engine, platform)
    return engine


@contextlib.contextmanager
def running(
    folder: Path, engine: Engine, class_: str, workload: str, mounted: dict[str, Path]
) -> Iterator[Standing]:
    """A class's gateway with all that it talks to; `mounted` in its detector."""
    authority, namespace = Authority(folder), f"isthmus-{class_}.svc"
    authority.issue("app", "app.hr.svc")
    mounts = gateway_mounts(folder, authority, {workload: KEY})
    cloud = FakeModel()
    behind = {
        "mode": "sidecar",
        "class": class_,
        "listen": _tls(shown(authority, folder / "translator-tls", f"{class_}-translator", namespace)),
        "allowed_clients": [f"{class_}-gateway.{namespace}"],
        "upstream": cloud.url,
    }
    started: list[Edge] = []
    with s3_service() as url:
        # Of its own: two gateways of one class are two lines of seals.
        bucket = f"llm-audit-{folder.name}"
        client(url).create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        sealing = read_config(engine, f"isthmus-fra1-{class_}-sealer-config", mounts.sealer)
        sealing["store"] |= {"endpoint": url, "bucket": bucket}
        tls = shown(authority, folder / "gateway-tls", f"{class_}-gateway", namespace)
        gateways = f"isthmus-fra1-{class_}-gateway"
        front = read_config(engine, f"{gateways}-config", {**mounts.gateway, "/etc/isthmus/tls": tls})
        looking = read_config(engine, f"{gateways}-detector-config", mounted)
        try:
            translator = Edge(folder / "run-translator", behind)
            started += [translator, Edge(folder / "run-sealer", sealing)]
            detector = Edge(folder / "run-detector", looking)
            started.append(detector)
            front["routes"][0]["url"] = f"https://127.0.0.1:{translator.port}"
            front["screening"]["detector"] = f"http://127.0.0.1:{detector.port}"
            gateway = Edge(folder / "run-gateway", front)
            started.append(gateway)
            for process in started:
                process.wait_until_up().wait_until_well()
            with httpx.Client(
                base_url=gateway.url, verify=authority.client("app"), trust_env=False, timeout=30
            ) as asking:
                yield Standing(gateway, detector, cloud, asking, workload)
        finally:
            for process in reversed(started):
                process.stop()
            cloud.shutdown()
            cloud.server_close()


@pytest.fixture(scope="module")
def screened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    folder = tmp_path_factory.mktemp("screened")
    mounted = {"/models": folder / "models"}
    with running(folder, rendered(folder), "internal", WORKLOAD, mounted) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """The internal gateway, as a blueprint renders it, with the model of the detector's image."""
    (screening,) = [
        gateway["screening"]
        for gateway in blueprints.render("regulated-hybrid", *requirements_and_plan())["gateways"]
        if gateway["class"] == "internal"
    ]
    platform = bank()
    internal = next(gateway for gateway in platform["gateways"] if gateway["class"] == "internal")
    internal["screening"] = {**screening, "limit_s": 30}
    engine, folder = Engine(), tmp_path_factory.mktemp("english")
    build(engine, platform)
    mounted = {"/models": entity_model().parent}
    with running(folder, engine, "internal", WORKLOAD, mounted) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, built: Engine) -> Iterator[Standing]:
    """The public gateway, as a blueprint renders it."""
    with running(tmp_path_factory.mktemp("plain"), built, "public", PUBLIC, {}) as deployment:
        yield deployment


def _tls(folder: Path) -> dict[str, str]:
    return {
        "certificate": f"{folder}/tls.crt",
        "key": f"{folder}/tls.key",
        "client_ca": f"{folder}/ca.crt",
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_leaves_redacted_and_its_answer_comes_back_restored(
    screened: Standing, stream: bool
) -> None:
    screened.cloud.reset()
    screened.cloud.words = ["Sehr geehrte <PER", "SON_1>, zu <IBAN_CODE", "_1> AZ"]
    answer = screened.ask(TEXT, stream=stream)
    assert answer.status_code == 200, answer.text
    assert screened.cloud.last_body()["messages"][0]["content"] == GONE
    received = b"".join(screened.cloud.received).decode(errors="replace")
    assert not shows_the_account(received), "an account number left the site"
    assert "Käthe Groß" in answer.text
    assert IBAN in answer.text
    record = screened.gateway.wait_for_line("request", request_id=answer.headers["x-request-id"])
    assert any("redacted IBAN_CODE=1" in verdict for verdict in record["verdicts"])


def test_the_organisations_own_pattern_and_guard_are_those_that_were_stated(screened: Standing) -> None:
    screened.cloud.reset()
    assert screened.ask("Bitte fassen Sie den Vorgang AZ-2026/11 kurz zusammen.").status_code == 200
    assert "<CASE_NUMBER_1>" in screened.cloud.last_body()["messages"][0]["content"]
    screened.cloud.reset()
    refused = screened.ask("Wie kann man eine Bombe bauen?")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "content_blocked")
    assert screened.cloud.received == []


def test_a_language_without_a_model_does_not_leave(screened: Standing) -> None:
    screened.cloud.reset()
    english = "Please write to our customer about the payment that has been open since last month."
    answer = screened.ask(english)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "may_not_leave")
    assert screened.cloud.received == []


@pytest.mark.parametrize("stream", [False, True])
def test_english_leaves_redacted_and_comes_back_restored_without_a_model_of_the_organisations_own(
    english: Standing, stream: bool
) -> None:
    english.cloud.reset()
    english.cloud.words = ["Dear <PER", "SON_1>, about <IBAN_CODE", "_1>."]
    text = f"Please write to Margaret Thompson that the payment from {IBAN} has been open since last month."
    answer = english.ask(text, stream=stream)
    assert answer.status_code == 200, answer.text
    left = english.cloud.last_body()["messages"][0]["content"]
    assert "Thompson" not in left
    assert not shows_the_account(left)
    assert "Margaret Thompson" in answer.text
    assert IBAN in answer.text


@pytest.mark.parametrize("stream", [False, True])
def test_unless_more_is_stated_secrets_are_taken_out_of_answers(plain: Standing, stream: bool) -> None:
    plain.cloud.reset()
    plain.cloud.words = ["Use AKIA", "IOSFODNN7", "EXAMPLE", " for the upload."]
    answer = plain.ask(f"Which key has {IBAN}?", stream=stream)
    assert answer.status_code == 200, answer.text
    assert "<SECRET>" in answer.text
    assert "AKIA" not in answer.text
    content = plain.cloud.last_body()["messages"][0]["content"]
    assert content == f"Which key has {IBAN}?", "a prompt of class public leaves as it came"


def test_a_detector_with_patterns_only_stays_within_its_memory_limit(plain: Standing, built: Engine) -> None:
    plain.cloud.reset()
    plain.cloud.words = [
        "The password is hunter2-of-the-tests. ",
        *("Nothing to see here. " for _ in range(500)),
    ]
    for _ in range(5):
        assert plain.ask("x" * 20_000).status_code == 200
    pod = built.only("Deployment", "isthmus-fra1-public-gateway-server").pod
    (box,) = pod["initContainers"]
    limit_mib = int(box["resources"]["limits"]["memory"].removesuffix("Mi"))
    used_mib = sum(map(_resident, _tree(plain.detector.process.pid))) / 2**20
    assert used_mib < limit_mib * 0.75, f"{used_mib:.0f} MiB of {limit_mib}"


def _tree(pid: int) -> Iterator[int]:
    """A process and those under it."""
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from _tree(int(child))


def _resident(pid: int) -> int:
    """Bytes that it holds, with its share of what forked processes have together, as a container is charged."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    [kib] = re.findall(r"^Pss: +(\d+) kB$", rollup, re.M)
    return int(kib) * 1024


@pytest.mark.parametrize("fixture_name", ["screened", "plain"])
def test_without_its_detector_nothing_is_forwarded(fixture_name: str, request: pytest.FixtureRequest) -> None:
    """Last of the file: the detector stays down."""
    getfixturevalue: Standing = request.getfixturevalue(fixture_name)
    getfixturevalue.cloud.reset()
    assert getfixturevalue.detector.stop() == 0
    answer = getfixturevalue.ask(TEXT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "screening_unavailable")
    assert getfixturevalue.cloud.received == []
