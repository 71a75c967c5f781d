"""The translator as a real process, against a fake Bedrock runtime endpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.exchange import Exchange
from tests.edge.certificates import Authority
from tests.edge.conftest import code_of
from tests.edge.fake_bedrock import WORDS, FakeBedrock
from tests.edge.processes import Edge

NAME = "internal-haiku"
PROFILE = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
GUARDED = "internal-haiku--policy-assistant"
ACCOUNTED = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/9x8y7z"
GUARDRAIL = {"id": "arn:aws:bedrock:eu-central-1:123456789012:guardrail/abc123", "version": "3"}
GATEWAY = "internal-gateway.isthmus-internal.svc"
CHAT = "/v1/chat/completions"
PREFIX = "data: "

# Dummy credentials, and every environment variable that could redirect a request.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIDDUMMY",
    "AWS_SECRET_ACCESS_KEY": "dummy-secret",
    "AWS_SESSION_TOKEN": "dummy-token",
    "AWS_BEARER_TOKEN_BEDROCK": "bearer-of-somebody-else",
    "AWS_BEDROCK_RUNTIME_ENDPOINT": "http://127.0.0.1:1",
    "AWS_REGION": "us-east-1",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "HTTPS_PROXY": "http://127.0.0.1:1",
}


@dataclass
class Stage:
    """A translator, the endpoint behind it, and a client with the gateway's certificate."""

    authority: Authority
    bedrock: FakeBedrock
    edge: Edge
    client: httpx.Client

    def ask(self, **fields: Any) -> httpx.Response:
        return self.client.post(CHAT, json=chat(**fields))


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": NAME, "messages": [{"role": "user", "content": "Name of the client?"}], **fields}


def start(
    folder: Path,
    authority: Authority,
    endpoint: str,
    environment: dict[str, str],
    outbound: dict[str, Any] | None = None,
    data_class: str = "internal",
) -> Edge:
    model = {
        "name": NAME,
        "region": "eu-central-1",
        "inference_profile": PROFILE,
        "endpoint_url": endpoint,
    }
    config = {
        "mode": "translator",
        "class": data_class,
        "listen": {
            "certificate": str(authority.folder / "translator.crt"),
            "key": str(authority.folder / "translator.key"),
            "client_ca": str(authority.path),
        },
        "allowed_clients": [GATEWAY],
        "limits": {"max_body_bytes": 65536, "connect_timeout_s": 2, "request_timeout_s": 15},
        **({"outbound": outbound} if outbound else {}),
        "models": [model, {**model, "name": GUARDED, "model_id": ACCOUNTED, "guardrail": GUARDRAIL}],
    }
    return Edge(folder, config, environment)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Edge]]:
    """A translator with dummy credentials and one without, started together, because LiteLLM starts slowly."""
    folder = tmp_path_factory.mktemp("translator")
    authority = Authority(folder)
    authority.issue("translator", "internal-translator.isthmus-internal.svc")
    authority.issue("gateway", GATEWAY)
    authority.issue("app", "app.intranet.svc")
    bedrock = FakeBedrock()
    nowhere = {"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent"}
    edge = start(folder / "one", authority, bedrock.url, {**ENVIRONMENT, **nowhere})
    poor = start(folder / "two", authority, bedrock.url, nowhere)
    client = httpx.Client(base_url=edge.url, verify=authority.client("gateway"), trust_env=False, timeout=30)
    try:
        edge.wait_until_up(180)
        poor.wait_until_up(180)
        yield Stage(authority, bedrock, edge, client), poor
    finally:
        client.close()
        edge.stop()
        poor.stop()
        bedrock.shutdown()
        bedrock.server_close()


@pytest.fixture
def stage(shared: tuple[Stage, Edge]) -> Stage:
    shared[0].bedrock.reset()
    return shared[0]


def stream_data(response: httpx.Response) -> list[str]:
    return [line.removeprefix(PREFIX) for line in response.text.split("\n") if line.startswith(PREFIX)]


def test_a_chat_becomes_a_converse_call_at_the_configured_endpoint_only(stage: Stage):
    response = stage.ask(max_tokens=50, temperature=0, user="anna", n=1, stop=["END"])
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["choices"][0]["message"]["content"] == "".join(WORDS)
    assert (answer["model"], answer["usage"]["total_tokens"]) == (NAME, 14)
    assert PROFILE not in response.text
    (path, headers, body), *other_requests = stage.bedrock.requests
    assert other_requests == []
    assert path == f"/model/{PROFILE.replace(':', '%3A')}/converse"
    assert body["inferenceConfig"] == {"maxTokens": 50, "temperature": 0, "stopSequences": ["END"]}
    signature = {key.lower(): value for key, value in headers.items()}
    assert "Credential=AKIDDUMMY/" in signature["authorization"], "signed by another identity"
    assert "/eu-central-1/bedrock/" in signature["authorization"], "signed for another region"
    assert signature["x-amz-security-token"] == "dummy-token"
    assert "anna" not in json.dumps(body)
    assert stage.bedrock.wrong == []


def test_a_bedrock_stream_becomes_events_and_ends_with_done(stage: Stage):
    data = stream_data(stage.ask(stream=True, stream_options={"include_usage": True}))
    assert data[-1] == "[DONE]"
    chunks = [json.loads(item) for item in data[:-1]]
    text = "".join(c["delta"].get("content", "") for chunk in chunks for c in chunk["choices"])
    assert text == "".join(WORDS)
    assert {chunk["model"] for chunk in chunks} == {NAME}
    assert chunks[-1]["usage"]["total_tokens"] == 14
    assert [path.rsplit("/")[-1] for path, _, _ in stage.bedrock.requests] == ["converse-stream"]
    assert stage.bedrock.wrong == []


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_that_bedrock_had_in_its_cache_are_a_part_of_the_prompt(stage: Stage, stream: bool):
    stage.bedrock.usage = {"inputTokens": 11, "outputTokens": 3, "totalTokens": 34}
    stage.bedrock.usage |= {"cacheReadInputTokens": 16, "cacheWriteInputTokens": 4}
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    response = stage.ask(**options)
    answer = json.loads(stream_data(response)[-2]) if stream else response.json()
    exchange = Exchange("POST")
    assert exchange.note_usage(answer["usage"])
    assert (exchange.prompt_tokens, exchange.cached_tokens, exchange.completion_tokens) == (31, 16, 3)
    assert stage.bedrock.wrong == []


def test_tool_definitions_and_calls_are_translated(stage: Stage):
    parameters = {"type": "object", "properties": {"iban": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "look_up", "parameters": parameters}}
    assert stage.ask(tools=[tool], tool_choice="auto").status_code == 200
    ((_, _, body),) = stage.bedrock.requests
    assert body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "look_up"
    assert stage.bedrock.wrong == []


def _texts(message: dict[str, Any]) -> list[str]:
    """The parts of a message that Bedrock's guardrail checks, and those that it does not check."""
    return [next(iter(part)) for part in message["content"]]


@pytest.mark.parametrize("stream", [False, True])
def test_a_workloads_profile_is_called_with_the_guardrail_on_every_user_text(stage: Stage, stream: bool):
    first = [{"role": "user", "content": "My card is 4111 1111 1111 1111"}]
    messages = [{"role": "assistant", "content": "Noted."}]
    last = [{"role": "user", "content": [{"type": "text", "text": "Repeat it."}]}]
    system = [{"role": "system", "content": "Be brief."}]
    response = stage.ask(model=GUARDED, stream=stream, messages=[*system, *first, *messages, *last])
    assert response.status_code == 200, response.text
    ((path, _, body),) = stage.bedrock.requests
    assert path.split("/")[2] == ACCOUNTED.replace(":", "%3A").replace("/", "%2F")
    config = body["guardrailConfig"]
    assert (config["guardrailIdentifier"], config["guardrailVersion"]) == (GUARDRAIL["id"], "3")
    assert config.get("streamProcessingMode") == ("sync" if stream else None), "words would go out unseen"
    assert [_texts(message) for message in body["messages"]] == [["guardContent"], ["text"], ["guardContent"]]
    assert stage.bedrock.wrong == []
    assert "123456789012" not in response.text


def test_an_answer_stopped_by_the_guardrail_says_so(stage: Stage):
    stage.bedrock.reset("guarded")
    choice = stage.ask(model=GUARDED).json()["choices"][0]
    assert choice["finish_reason"] == "content_filter"


@pytest.mark.parametrize("fault", [{"version": "DRAFT"}, {"id": "arn:aws:iam::123456789012:role/x"}])
def test_a_draft_or_another_resource_is_refused_as_guardrail(fault: dict[str, str]):
    from edge.config import Guardrail

    with pytest.raises(ValueError, match=next(iter(fault))):
        Guardrail(**{**GUARDRAIL, **fault})


@pytest.mark.parametrize("behaviour", ["cut", "truncated", "exception"])
def test_a_broken_bedrock_stream_ends_with_a_visible_error(stage: Stage, behaviour: str):
    stage.bedrock.reset(behaviour)
    data = stream_data(stage.ask(stream=True))
    assert "[DONE]" not in data
    assert set(json.loads(data[-1])["error"]) == {"message", "type", "code"}, data
    assert "123456789012" not in data[-1]
    assert len(stage.bedrock.requests) == 1, "a broken request was sent again"


@pytest.mark.parametrize(
    ("status", "shown_status", "code"),
    [
        (400, 400, "rejected_by_model"),
        (403, 502, "aws_refused"),
        (404, 502, "bad_gateway"),
        (429, 429, "model_busy"),
        (500, 503, "model_unavailable"),
        (503, 503, "model_unavailable"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_bedrock_failure_is_reported_without_account_or_profile(
    stage: Stage, status: int, shown_status: int, code: str, stream: bool
):
    stage.bedrock.reset(f"status-{status}")
    response = stage.ask(stream=stream)
    assert (response.status_code, code_of(response)) == (shown_status, code)
    assert "123456789012" not in response.text
    assert PROFILE not in response.text
    assert len(stage.bedrock.requests) == 1, "a failed request was sent again"


@pytest.mark.parametrize(
    "fields", [{"seed": 1}, {"logprobs": True}, {"n": 2}, {"logit_bias": {"1": 1}}, {"presence_penalty": 1}]
)
def test_a_field_that_bedrock_lacks_is_refused_and_not_dropped(stage: Stage, fields: dict[str, Any]):
    response = stage.ask(**fields)
    assert (response.status_code, code_of(response)) == (400, "unsupported_parameter")
    assert next(iter(fields)) in response.json()["error"]["message"]
    assert stage.bedrock.requests == []


@pytest.mark.parametrize(
    "field",
    [
        *("api_key", "api_base", "base_url", "aws_region_name", "aws_access_key_id", "aws_role_name"),
        *("aws_bedrock_runtime_endpoint", "extra_headers", "fallbacks", "mock_response"),
        *("model_list", "guardrailConfig", "performanceConfig", "custom_llm_provider", "thinking"),
    ],
)
def test_keys_endpoints_and_regions_in_a_request_are_refused(stage: Stage, field: str):
    response = stage.ask(**{field: "http://127.0.0.1:1"})
    assert (response.status_code, code_of(response)) == (400, "unknown_field")
    assert stage.bedrock.requests == []


@pytest.mark.parametrize(
    "model", [PROFILE, f"bedrock/converse/{PROFILE}", "gpt-4o", "us.amazon.nova-lite-v1:0"]
)
def test_a_model_that_is_not_configured_is_404(stage: Stage, model: str):
    response = stage.ask(model=model)
    assert (response.status_code, code_of(response)) == (404, "model_not_found")
    assert stage.bedrock.requests == []


def test_a_client_other_than_the_gateway_is_refused_by_the_translator(stage: Stage):
    for leaf in ("app", None):
        with (
            httpx.Client(verify=stage.authority.client(leaf), trust_env=False) as client,
            pytest.raises(httpx.TransportError),
        ):
            client.post(stage.edge.url + CHAT, json=chat())
    assert stage.bedrock.requests == []


def test_without_an_aws_identity_the_answer_is_503_at_once(stage: Stage, shared: tuple[Stage, Edge]):
    poor = shared[1]
    begin = time.monotonic()
    with httpx.Client(verify=stage.authority.client("gateway"), trust_env=False, timeout=30) as client:
        response = client.post(poor.url + CHAT, json=chat())
    assert (response.status_code, code_of(response)) == (503, "no_aws_identity")
    assert time.monotonic() - begin < 5
    assert stage.bedrock.requests == []


def test_the_log_holds_no_content_and_no_secret(stage: Stage):
    stage.ask()
    stage.bedrock.reset("cut")
    stage.ask(stream=True)
    output = stage.edge.output()
    for secret in ("Name of the client", "Anna", "dummy-secret", "dummy-token", "AKIDDUMMY"):
        assert secret not in output, f"{secret!r} is in the log"
    line = stage.edge.wait_for_line("request", code="ok", stream=False)
    assert (line["prompt_tokens"], line["completion_tokens"]) == (11, 3)


def test_the_health_port_serves_no_content_and_no_secret(stage: Stage):
    stage.ask()
    served = "".join(stage.edge.health(path).text for path in ("/metrics", "/health", "/live"))
    assert f'workload="{NAME}"' in served
    for secret in ("Name of the client", *WORDS, "dummy-secret", "dummy-token", "AKIDDUMMY", "123456789012"):
        assert secret not in served, f"{secret!r} is served to whoever reads metrics"
