"""Records of the running gateway: an intent before the model gets a request, an outcome before the last byte leaves."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from edge.audit.auditor import ANONYMOUS
from edge.audit.content import Hmacs
from edge.audit.stores import FolderStore
from tests.edge.audit.audited import CHAT, SECRET, SITE_KEY, Audited, full, mounts
from tests.edge.audit.harness import AuditSite, new_key
from tests.edge.conftest import KEYS, WORKLOAD, Site, bearer, chat, code_of
from tests.edge.fake_model import WORDS


@pytest.fixture(scope="module")
def shared(start: Callable[..., Audited]) -> Audited:
    audited = start()
    audited.seal_newcomer()
    return audited


@pytest.fixture
def gateway(shared: Audited, chain: Site) -> Audited:
    return shared


def test_no_request_is_served_until_the_sealer_knows_the_writer(start: Callable[..., Audited], chain: Site):
    audited = start()
    audited.wait_until("audit unregistered")
    refused = audited.ask()
    assert (refused.status_code, code_of(refused)) == (503, "audit_unregistered")
    assert chain.model.received == []
    forger = AuditSite(audited.audit_site.root, new_key()[0], b"")
    forger.sealer(FolderStore(audited.audit_site.root / "forged")).seal()
    time.sleep(0.6)
    assert audited.gateway.health().text == "audit unregistered\n", "a seal of another key counts for nothing"
    (audited.audit_site.seals / "latest.json").unlink()
    audited.seal_newcomer()
    assert audited.ask().status_code == 200
    audited.client.close()
    assert audited.gateway.stop() == 0
    assert audited.records()[-1]["kind"] == "close"
    audited.seal()
    assert audited.audit_site.verify(records=audited.audit_site.records).findings == []


def test_a_request_has_an_intent_and_an_outcome_without_its_content(gateway: Audited):
    answer = gateway.ask(user="erika@example.org")
    intent, outcome = gateway.of(answer.headers["x-request-id"])
    assert (intent["kind"], outcome["kind"]) == ("intent", "outcome")
    assert intent["who"] == {"workload": WORKLOAD, "team": "", "identity": identity()}
    assert {key: intent[key] for key in ("class", "site", "gateway", "policy", "path", "stream")} == {
        "class": "restricted",
        "site": "fra1",
        "gateway": "gw-0",
        "policy": "p7",
        "path": CHAT,
        "stream": False,
    }
    assert intent["to"]["target"] == "onprem-vllm"
    assert intent["to"]["digest"] == "sha256:" + "1" * 64
    assert outcome["ran"] == intent["to"]
    assert (outcome["status"], outcome["code"], outcome["ended_well"]) == (200, "ok", True)
    assert outcome["tokens"] == {"prompt": 7, "cached": None, "completion": 5}
    assert outcome["price"] == {"usd_per_gpu_hour": 3.6}
    assert outcome["usd"] == pytest.approx(outcome["gpu_seconds"] / 1000, rel=0.01)
    hmacs, request_id = Hmacs(bytes.fromhex(SITE_KEY)), answer.headers["x-request-id"]
    assert intent["prompt"] == hmacs.prompt(chat())
    assert intent["question"] == hmacs.question(request_id, chat())
    assert outcome["answer"] == hmacs.answers(request_id, [answer.json()["choices"][0]["message"]["content"]])
    written = b"".join(path.read_bytes() for path in gateway.audit_site.records.rglob("*") if path.is_file())
    for text in (SECRET, "Muster", "erika", KEYS[WORKLOAD]):
        assert text.encode() not in written


def test_the_outcome_has_the_tokens_that_the_prefix_cache_had(gateway: Audited, chain: Site):
    usage = {**chain.model.usage, "prompt_tokens_details": {"cached_tokens": 4}}
    chain.model.usage = usage
    answer = gateway.ask()
    assert gateway.of(answer.headers["x-request-id"])[1]["tokens"]["cached"] == 4


def identity() -> str:
    """The id of the key in the journal: the beginning of its digest."""
    return "key:" + hashlib.sha256(KEYS[WORKLOAD].encode()).hexdigest()[:12]


def test_the_intent_is_on_disk_before_the_answer_and_a_disconnect_is_recorded(gateway: Audited, chain: Site):
    chain.model.reset("stall")
    with pytest.raises(httpx.ReadTimeout):
        gateway.client.post(CHAT, json=chat(), headers=bearer(KEYS[WORKLOAD]), timeout=0.5)
    assert chain.model.received != []
    intent = gateway.last("intent")
    end = time.monotonic() + 10
    while len(gateway.of(intent["id"])) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    outcome = gateway.last("outcome")
    assert (outcome["code"], outcome["ended_well"]) == ("client_closed_request", False)
    assert intent["time"] < outcome["time"]


def test_the_outcome_of_a_stream_is_on_disk_before_its_end_is_sent(gateway: Audited, chain: Site):
    chain.model.reset("slow")
    with gateway.client.stream(
        "POST", CHAT, json=chat(stream=True), headers=bearer(KEYS[WORKLOAD])
    ) as answer:
        name = answer.headers["x-request-id"]
        kinds = []
        for line in answer.iter_lines():
            if line:
                kinds.append((line == "data: [DONE]", len(gateway.of(name))))
    assert kinds[0] == (False, 1)
    assert kinds[-1] == (True, 2)
    assert gateway.of(name)[1]["ended_well"] is True
    assert gateway.of(name)[1]["tokens"] == {"prompt": 7, "cached": None, "completion": 5}
    assert gateway.of(name)[1]["answer"] == Hmacs(bytes.fromhex(SITE_KEY)).answers(name, ["".join(WORDS)])


@pytest.mark.parametrize(("behaviour", "code"), [("cut", "stream_cut"), ("error-event", "stream_failed")])
def test_a_broken_stream_is_recorded_as_broken(gateway: Audited, chain: Site, behaviour: str, code: str):
    chain.model.reset(behaviour)
    answer = gateway.ask(stream=True)
    assert "[DONE]" not in answer.text
    outcome = gateway.of(answer.headers["x-request-id"])[1]
    assert (outcome["code"], outcome["ended_well"]) == (code, False)
    assert outcome["usd"] > 0, "what was burnt is reckoned, however it ended"


@pytest.mark.parametrize(
    ("fields", "key", "status"),
    [({}, None, 401), ({"fallbacks": []}, KEYS[WORKLOAD], 400), ({"model": "gpt-4"}, KEYS[WORKLOAD], 404)],
)
def test_a_refused_request_is_recorded_and_not_forwarded(
    gateway: Audited, chain: Site, fields: dict[str, Any], key: str | None, status: int
):
    refused = gateway.ask(key, **fields)
    (record,) = gateway.of(refused.headers["x-request-id"])
    assert (record["kind"], record["status"], record["attempts"], record["ran"]) == (
        "outcome",
        status,
        0,
        None,
    )
    assert (record["code"], record["who"]["workload"]) == (code_of(refused), WORKLOAD if key else "")
    assert record["answer"] == [], "no answer left"
    assert (record["price"], record["usd"]) == (None, None)
    assert chain.model.received == []


def test_requests_without_a_key_are_summed_up_in_few_records(start: Callable[..., Audited]):
    audited = start()
    audited.seal_newcomer()
    before = len(audited.records())
    request_count = 150
    for _ in range(request_count):
        assert audited.ask(None).status_code == 401
    assert audited.ask().status_code == 200
    assert len(audited.records()) - before <= ANONYMOUS + 2, "each request of nobody is durable"
    assert audited.gateway.stop() == 0
    audited.seal()
    proof = audited.audit_site.verify(records=audited.seen_at)
    assert proof.proven, proof.findings
    counted = [record for record in audited.records() if record["kind"] == "refused"]
    assert sum(record["codes"]["invalid_api_key"] for record in counted) == request_count - ANONYMOUS
    assert not any("IBAN" in json.dumps(record) for record in counted)


def test_every_attempt_at_an_endpoint_has_its_own_intent(gateway: Audited):
    refused = gateway.client.post(CHAT, json=chat(model="down"), headers=bearer(KEYS["down"]))
    assert (refused.status_code, code_of(refused)) == (503, "model_unavailable")
    *intents, outcome = gateway.of(refused.headers["x-request-id"])
    intents.sort(key=lambda intent: intent["attempt"])
    first, second, again = ((intent["attempt"], intent["to"]["target"]) for intent in intents)
    assert {first[1], second[1]} == {"eks-vllm", "onprem-vllm"}
    assert (first[0], second[0], again) == (1, 2, (3, first[1]))
    assert (outcome["status"], outcome["attempts"], outcome["ran"]) == (503, 3, intents[2]["to"])


def test_a_request_of_a_killed_gateway_is_reported_as_unfinished(start: Callable[..., Audited], chain: Site):
    audited = start()
    audited.seal_newcomer()
    assert audited.ask().status_code == 200
    chain.model.reset("stall")

    def ask() -> None:
        with pytest.raises(httpx.HTTPError):
            audited.ask()

    asking = threading.Thread(target=ask)
    asking.start()
    end = time.monotonic() + 10
    while not chain.model.received:
        assert time.monotonic() < end
        time.sleep(0.02)
    audited.gateway.process.kill()
    audited.gateway.process.wait(10)
    asking.join(10)
    under_way = audited.last("intent")["id"]
    audited.seal()
    proof = audited.audit_site.verify(records=audited.audit_site.records, seals=audited.audit_site.seals)
    assert proof.findings == []
    assert list(proof.unfinished) == [under_way]
    assert [writer["state"] for writer in proof.writers.values()] == ["crashed"]


def test_requests_are_refused_while_no_sealer_runs_and_served_again_afterwards(
    start: Callable[..., Audited], chain: Site
):
    audited = start(max_unsealed_s=2)
    audited.seal_newcomer()
    assert audited.ask().status_code == 200
    time.sleep(2.3)
    chain.model.reset()
    refused = audited.ask()
    assert (refused.status_code, code_of(refused)) == (503, "audit_unsealed")
    assert audited.gateway.health().text == "ok\n", "callers are told why, by each copy"
    assert chain.model.received == []
    audited.seal()
    end = time.monotonic() + 5
    while audited.ask().status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert b"isthmus_audit_unsealed_seconds" in audited.gateway.health("/metrics").content


needs_mounts = pytest.mark.skipif(
    not mounts(), reason="this machine lets nobody mount a file system of its own"
)


@needs_mounts
def test_with_a_full_disk_no_request_is_forwarded_and_running_answers_are_withheld(
    start: Callable[..., Audited], chain: Site
):
    audited = start(small_disk=True)
    audited.seal_newcomer()
    assert audited.ask().status_code == 200
    fill = audited.seen_at / "fill"

    chain.model.reset("slow")
    with audited.client.stream(
        "POST", CHAT, json=chat(stream=True), headers=bearer(KEYS[WORKLOAD])
    ) as answer:
        lines = answer.iter_lines()
        heard = next(lines)
        full(fill)
        while audited.ask(model="gpt-4").status_code == 404:
            pass  # until the file's last page is full too
        heard += "".join(lines)
    assert answer.status_code == 200
    assert "[DONE]" not in heard
    assert "audit_unwritable" in heard

    chain.model.reset()
    refused = audited.ask()
    assert (refused.status_code, code_of(refused)) == (503, "audit_unwritable")
    assert audited.gateway.health().text == "audit unwritable\n"
    assert chain.model.received == []

    fill.unlink()
    audited.seal_newcomer()
    assert audited.ask().status_code == 200
    audited.seal()
    proof = audited.audit_site.verify(records=audited.seen_at)
    assert proof.findings == []
    assert sorted(writer["state"] for writer in proof.writers.values()) == ["crashed", "open"]
    assert list(proof.unfinished) == [answer.headers["x-request-id"]]


def test_concurrent_requests_share_commits_to_disk(gateway: Audited, site: Site):
    async def many(context: ssl.SSLContext) -> None:
        async with httpx.AsyncClient(base_url=gateway.gateway.url, verify=context, trust_env=False) as client:
            answers = [client.post(CHAT, json=chat(), headers=bearer(KEYS[WORKLOAD])) for _ in range(40)]
            assert {answer.status_code for answer in await asyncio.gather(*answers)} == {200}

    def count(name: str) -> int:
        text = gateway.gateway.health("/metrics").text
        return int(float(text.partition(f"\nisthmus_audit_{name}_total ")[2].partition("\n")[0]))

    before = count("records"), count("commits")
    asyncio.run(many(site.authority.client("app")))
    records, commits = count("records") - before[0], count("commits") - before[1]
    assert records == 80
    assert commits < records
