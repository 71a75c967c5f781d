"""The translator as a real process, against a fake SageMaker runtime endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.config import TranslatorConfig
from tests.edge.certificates import Authority
from tests.edge.conftest import code_of
from tests.edge.fake_bedrock import WORDS
from tests.edge.fake_sagemaker import SERVED, FakeSageMaker
from tests.edge.processes import Edge
from tests.edge.test_translator import CHAT, ENVIRONMENT, GATEWAY, stream_data

NAME = "confidential-qwen--kyc-extraction"
ENDPOINT = "bank-dev-confidential-qwen-0a1b2c3d"
MODEL = {
    **{"name": NAME, "provider": "sagemaker", "region": "eu-central-1"},
    **{"endpoint": ENDPOINT, "model": SERVED},
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeSageMaker, Edge, httpx.Client]]:
    folder = tmp_path_factory.mktemp("translator")
    authority = Authority(folder)
    authority.issue("translator", "confidential-translator.isthmus-confidential.svc")
    authority.issue("gateway", GATEWAY)
    sagemaker = FakeSageMaker()
    config = {
        **{"mode": "translator", "class": "confidential", "allowed_clients": [GATEWAY]},
        "listen": {
            "certificate": str(authority.folder / "translator.crt"),
            "key": str(authority.folder / "translator.key"),
            "client_ca": str(authority.path),
        },
        "limits": {"max_body_bytes": 65536, "connect_timeout_s": 2, "request_timeout_s": 15},
        "models": [{**MODEL, "endpoint_url": sagemaker.url}],
    }
    nowhere = {"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent"}
    edge = Edge(folder / "one", config, {**ENVIRONMENT, **nowhere})
    client = httpx.Client(base_url=edge.url, verify=authority.client("gateway"), trust_env=False, timeout=30)
    try:
        edge.wait_until_up(180)
        yield sagemaker, edge, client
    finally:
        client.close()
        edge.stop()
        sagemaker.shutdown()
        sagemaker.server_close()


def ask(client: httpx.Client, **fields: Any) -> httpx.Response:
    chat = {"model": NAME, "messages": [{"role": "user", "content": "Name of the client?"}], **fields}
    return client.post(CHAT, json=chat)


def test_a_chat_is_sent_to_the_configured_endpoint_with_its_servers_model_name(shared: Any):
    sagemaker, _, client = shared
    sagemaker.reset()
    response = ask(client, max_tokens=50, temperature=0, user="anna", seed=7)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["choices"][0]["message"]["content"] == "".join(WORDS)
    assert (answer["model"], answer["usage"]["total_tokens"]) == (NAME, 14)
    assert ENDPOINT not in response.text
    ((path, headers, body),) = sagemaker.requests
    assert path == f"/endpoints/{ENDPOINT}/invocations"
    assert (body["model"], body["max_tokens"], body["seed"]) == (SERVED, 50, 7)
    signature = {key.lower(): value for key, value in headers.items()}
    assert "Credential=AKIDDUMMY/" in signature["authorization"], "signed by another identity"
    assert "/eu-central-1/sagemaker/" in signature["authorization"], "signed for another region or service"
    assert signature["x-amz-security-token"] == "dummy-token"
    assert "anna" not in json.dumps(body)
    assert "aws" not in json.dumps(body), "keys or addresses were sent to the container"


def test_a_sagemaker_stream_is_forwarded_as_it_arrives_and_ends_with_done(shared: Any):
    sagemaker, _, client = shared
    sagemaker.reset()
    data = stream_data(ask(client, stream=True, stream_options={"include_usage": True}))
    assert data[-1] == "[DONE]"
    chunks = [json.loads(item) for item in data[:-1]]
    assert "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"]) == "".join(
        WORDS
    )
    assert {chunk["model"] for chunk in chunks} == {NAME}
    assert chunks[-1]["usage"]["total_tokens"] == 14
    assert [path for path, _, _ in sagemaker.requests] == [
        f"/endpoints/{ENDPOINT}/invocations-response-stream"
    ]


def test_a_broken_sagemaker_stream_ends_with_a_visible_error(shared: Any):
    sagemaker, _, client = shared
    sagemaker.reset("cut")
    data = stream_data(ask(client, stream=True))
    assert "[DONE]" not in data
    assert set(json.loads(data[-1])["error"]) == {"message", "type", "code"}, data
    assert len(sagemaker.requests) == 1, "a broken request was sent again"


@pytest.mark.parametrize(
    ("status", "shown_status", "code"),
    [
        (400, 400, "rejected_by_model"),
        (403, 502, "aws_refused"),
        (424, 400, "rejected_by_model"),
        (429, 429, "model_busy"),
        (500, 503, "model_unavailable"),
        (503, 503, "model_unavailable"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_sagemaker_failure_is_reported_without_account_or_log(
    shared: Any, status: int, shown_status: int, code: str, stream: bool
):
    sagemaker, _, client = shared
    sagemaker.reset(f"status-{status}")
    response = ask(client, stream=stream)
    assert (response.status_code, code_of(response)) == (shown_status, code)
    assert "123456789012" not in response.text
    assert ENDPOINT not in response.text
    assert "Bedrock" not in response.text
    assert len(sagemaker.requests) == 1, "a failed request was sent again"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"endpoint": "a/b"}, "endpoint"),
        ({"provider": "vertex"}, "bedrock"),
        ({"inference_profile": "eu.amazon.nova-lite-v1:0"}, "inference_profile"),
    ],
)
def test_invalid_sagemaker_model_settings_are_refused_with_their_key(fault: dict[str, str], message: str):
    from edge.config import ConfigError, check

    document = {
        **{"mode": "translator", "class": "internal", "allowed_clients": [GATEWAY]},
        "listen": {"host": "0.0.0.0", "port": 1, "certificate": "c", "key": "k", "client_ca": "ca"},  # noqa: S104
        "health": {"host": "0.0.0.0", "port": 2},  # noqa: S104
        "models": [MODEL],
    }
    assert isinstance(check(document, Path("f")), TranslatorConfig)
    with pytest.raises(ConfigError, match=message) as raised:
        check({**document, "models": [{**MODEL, **fault}]}, Path("f"))
    assert "models.0." in str(raised.value)
    assert "models.0.sagemaker" not in str(raised.value), "the provider is no key of the file"
