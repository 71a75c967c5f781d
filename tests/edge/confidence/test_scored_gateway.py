"""The running gateway scores answers: it requests log-probabilities, removes them, and reports the score."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from edge.confidence.selection import Scorers
from edge.config import ConfigError, check
from tests.edge.audit.audited import Audited, settings
from tests.edge.audit.harness import AuditSite
from tests.edge.confidence.making import DIGEST, HALF, written
from tests.edge.conftest import KEYS, WORKLOAD, Site, bearer, chat, gateway_config
from tests.edge.fake_model import MODEL, WORDS
from tests.edge.processes import Edge

UNSCORED = {"score": None}
SURE = [HALF] * len(WORDS)
JSON = ['{"iban": "', "CH1", '", "age": ', "42", "}"]
"""As many words as the fake model's text."""
FORMAT: dict[str, Any] = {"response_format": {"type": "json_object"}}


def configured(site: Site, folder: Path, **confidence: Any) -> dict[str, Any]:
    """A gateway whose first workload has scores. The calibrations of `claims` are for other weights."""
    config = gateway_config(site.folder, site.sidecar.port)
    for route in config["routes"]:
        route.update(model_digest=DIGEST)
    config["routes"][0]["interfaces"] = ["completions"]
    config["routes"][1]["model_digest"] = "sha256:" + "2" * 64
    files = [str(written(folder, kind, MODEL, kind)) for kind in ("text", "fields")]
    settings = {"domain": "payments", "calibrations": files, **confidence}
    config["workloads"] = [
        {
            "name": route["workload"],
            **({"confidence": settings} if route["workload"] in (WORKLOAD, "claims") else {}),
        }
        for route in config["routes"]
    ]
    return config


@pytest.fixture(scope="module")
def scored_gateway(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    folder = tmp_path_factory.mktemp("scored")
    audit_site = AuditSite.at(folder)
    config = configured(site, folder)
    config["audit"] = settings(folder, audit_site)
    gateway = Edge(folder / "gateway", config).wait_until_up()
    client = httpx.Client(
        base_url=gateway.url, verify=site.authority.client("app"), trust_env=False, timeout=20
    )
    audited = Audited(gateway, audit_site, client, audit_site.records)
    try:
        audited.seal_newcomer()
        yield audited
    finally:
        client.close()
        gateway.stop()


def confidence(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["confidence"]


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    datas = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
    assert datas.pop() == "[DONE]"
    return [json.loads(data) for data in datas]


def test_a_text_has_its_score_and_no_unrequested_log_probabilities(scored_gateway: Audited, chain: Site):
    chain.model.logprobs = SURE
    answer = scored_gateway.ask()
    assert confidence(answer) == {"score": 0.5}
    assert "logprob" not in answer.text
    assert chain.model.last_body()["logprobs"] is True
    chain.model.logprobs = [-0.1] * len(WORDS)
    assert confidence(scored_gateway.ask()) == {"score": 0.9048}


def test_a_json_answer_has_a_score_for_every_field(scored_gateway: Audited, chain: Site):
    chain.model.words, chain.model.logprobs = JSON, [-9, HALF, -9, -0.1, -9]
    fields = {"/iban": 0.5, "/age": 0.9048}
    assert confidence(scored_gateway.ask(**FORMAT)) == {"score": 0.5, "fields": fields}


def test_a_tool_call_has_a_score_for_every_argument(scored_gateway: Audited, chain: Site):
    texts = ["<tool>", '{"city": "', "Bern", '"}', "</tool>"]
    chain.model.words, chain.model.logprobs = texts, [-9, -9, HALF, -9, -9]
    tools = [{"type": "function", "function": {"name": "rate", "parameters": {"type": "object"}}}]
    scores = confidence(scored_gateway.ask(tools=tools))
    assert scores == {"score": 0.5, "fields": {"/tool_calls/0/city": 0.5}}


def test_a_stream_has_its_score_in_the_last_chunk_of_the_choice(scored_gateway: Audited, chain: Site):
    chain.model.logprobs = SURE
    answer = scored_gateway.ask(stream=True)
    *before, last = events(answer)
    assert last["choices"][0]["confidence"] == {"score": 0.5}
    assert last["choices"][0]["finish_reason"] == "stop"
    assert not any("confidence" in chunk["choices"][0] for chunk in before)
    assert "logprob" not in answer.text
    line = scored_gateway.gateway.wait_for_line("request", request_id=answer.headers["x-request-id"])
    assert line["confidence"]["score"] == 0.5


def test_journal_and_record_hold_the_score_and_its_calibration(scored_gateway: Audited, chain: Site):
    chain.model.words, chain.model.logprobs = JSON, [-9, HALF, -9, -0.1, -9]
    name = scored_gateway.ask(**FORMAT).headers["x-request-id"]
    line = scored_gateway.gateway.wait_for_line("request", request_id=name)
    _, outcome = scored_gateway.of(name)
    assert line["confidence"] == outcome["confidence"]
    assert line["confidence"]["score"] == 0.5
    assert line["confidence"]["calibration"].startswith("sha256:")
    assert (line["confidence"]["kind"], line["confidence"]["log_measure"]) == ("fields", round(HALF, 6))
    assert "iban" not in json.dumps([line, outcome]), "names of fields may be content"


def test_a_model_server_without_log_probabilities_gives_no_score(scored_gateway: Audited, chain: Site):
    for stream in (False, True):
        answer = scored_gateway.ask(stream=stream)
        last = events(answer)[-1] if stream else answer.json()
        assert last["choices"][0]["confidence"] == UNSCORED
        line = scored_gateway.gateway.wait_for_line("request", request_id=answer.headers["x-request-id"])
        assert line["confidence"] == {"score": None, "why": "no log-probabilities"}


def test_a_model_with_other_weights_than_the_calibrated_ones_has_no_score(
    scored_gateway: Audited, chain: Site
):
    chain.model.logprobs = SURE
    answer = scored_gateway.ask(KEYS["claims"], model="claims")
    assert confidence(answer) == UNSCORED
    assert "logprobs" not in chain.model.last_body()
    line = scored_gateway.gateway.wait_for_line("request", request_id=answer.headers["x-request-id"])
    assert line["confidence"]["why"] == "no calibration"
    assert scored_gateway.gateway.lines("unscored")[0]["workload"] == "claims", (
        "and operators are told at the start"
    )


def test_a_plain_text_completion_has_no_score(scored_gateway: Audited, chain: Site):
    chain.model.logprobs = SURE
    body = {"model": WORKLOAD, "prompt": "Paid"}
    answer = scored_gateway.client.post("/v1/completions", json=body, headers=bearer(KEYS[WORKLOAD]))
    assert confidence(answer) == UNSCORED


@pytest.mark.parametrize(
    "field", [{"logit_bias": {"1": 100}}, {"presence_penalty": 1}, {"frequency_penalty": -1}]
)
def test_sampling_parameters_that_change_probabilities_give_no_score(
    scored_gateway: Audited, chain: Site, field: dict[str, Any]
):
    chain.model.logprobs = SURE
    answer = scored_gateway.ask(**field)
    assert confidence(answer) == UNSCORED
    line = scored_gateway.gateway.wait_for_line("request", request_id=answer.headers["x-request-id"])
    assert line["confidence"]["why"] == "steered"


def test_a_truncated_stream_has_no_score(scored_gateway: Audited, chain: Site):
    chain.model.reset("cut")
    chain.model.logprobs = SURE
    answer = scored_gateway.ask(stream=True)
    assert "confidence" not in answer.text
    line = scored_gateway.gateway.wait_for_line("request", request_id=answer.headers["x-request-id"])
    assert line["confidence"] == {"score": None, "why": "cut"}


def test_the_unmodified_openai_client_reads_score_and_requested_log_probabilities(
    scored_gateway: Audited, chain: Site
):
    chain.model.logprobs = SURE
    client = openai.OpenAI(
        base_url=f"{scored_gateway.gateway.url}/v1",
        api_key=KEYS[WORKLOAD],
        http_client=openai.DefaultHttpxClient(verify=chain.authority.client("app"), trust_env=False),
    )
    with client:
        messages: list[Any] = chat()["messages"]
        answer = client.chat.completions.create(model=WORKLOAD, messages=messages, logprobs=True)
        scored_choice = answer.choices[0]
        assert scored_choice.logprobs is not None
        assert [token.logprob for token in scored_choice.logprobs.content or []] == SURE
        assert (scored_choice.model_extra or {})["confidence"] == {"score": 0.5}
        *_, last = client.chat.completions.create(model=WORKLOAD, messages=messages, stream=True)
        assert (last.choices[0].model_extra or {})["confidence"]["score"] == 0.5


def test_a_workload_without_scores_is_unchanged(chain: Site):
    chain.model.logprobs = SURE
    answer = chain.ask()
    assert "confidence" not in answer.text
    assert "logprobs" not in chain.model.last_body()


@pytest.mark.parametrize(
    "more",
    [
        {"model": "another/model"},
        {"model_digest": "sha256:" + "3" * 64},
        {"model_digest": None},
        {"domain": "claims"},
        {"measure": "given"},
    ],
)
def test_a_calibration_for_another_model_or_domain_is_not_used(
    site: Site, tmp_path: Path, more: dict[str, Any], capsys
):
    other_model = {"model": MODEL, **more}
    file = written(tmp_path, "other", other_model.pop("model"), **other_model)
    config = configured(site, tmp_path, calibrations=[str(file)])
    Scorers(_checked(config))
    assert f'"workload": "{WORKLOAD}"' in capsys.readouterr().out
    config = configured(site, tmp_path)
    Scorers(_checked(config))
    assert f'"workload": "{WORKLOAD}"' not in capsys.readouterr().out


def test_an_endpoint_without_a_stated_digest_of_weights_gives_no_score(site: Site, tmp_path: Path, capsys):
    file = written(tmp_path, "other", MODEL, model_digest=None)
    config = configured(site, tmp_path, calibrations=[str(file)])
    config["routes"][0].pop("model_digest")
    Scorers(_checked(config))
    assert f'"workload": "{WORKLOAD}"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "it cannot be read"),
        ("{", "it is no calibration"),
        ('{"isthmus_calibration": 2}', "isthmus_calibration"),
        ("twice", "another file calibrates the same"),
        ('"curve": {"a": NaN', "it is no calibration"),
    ],
)
def test_an_invalid_calibration_file_stops_the_start_with_one_paragraph(
    site: Site, tmp_path: Path, content: str | None, message: str
):
    file = tmp_path / "c.json"
    if content is not None:
        file.write_text(content)
    files = [str(written(tmp_path, name, MODEL)) for name in "ab"] if content == "twice" else [str(file)]
    with pytest.raises(ConfigError, match=message) as error:
        Scorers(_checked(configured(site, tmp_path, calibrations=files)))
    assert WORKLOAD in str(error.value)


def test_a_calibration_file_with_another_digest_stops_the_start(site: Site, tmp_path: Path):
    file = written(tmp_path, "a", MODEL)
    digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    settings: dict[str, Any] = {"calibrations": [str(file)], "digests": [digest]}
    Scorers(_checked(configured(site, tmp_path, **settings)))
    file.write_text(file.read_text().replace('"as_of"', ' "as_of"'))
    with pytest.raises(ConfigError, match="its digest is sha256:"):
        Scorers(_checked(configured(site, tmp_path, **settings)))


def _checked(config: dict[str, Any]) -> Any:
    config["listen"] = {"host": "127.0.0.1", "port": 1, **config["listen"]}
    config["health"] = {"host": "127.0.0.1", "port": 2}
    return check(config, Path("gateway.yaml"))
