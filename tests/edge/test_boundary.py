"""Requests that the gateway refuses. After every refusal the model server has received nothing."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest

from tests.edge import asking
from tests.edge.conftest import KEYS, WORKLOAD, Site, bearer, callers_text, chat, code_of
from tests.edge.fake_model import MODEL

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("key", [None, "wrong", "two words", KEYS[WORKLOAD] + "x", KEYS[WORKLOAD].upper()])
def test_no_key_or_a_wrong_one_is_401(chain: Site, key: str | None):
    response = chain.ask(key=key)
    assert (response.status_code, code_of(response)) == (401, "invalid_api_key")
    assert chain.client.get("/v1/models", headers=bearer(key)).status_code == 401
    assert chain.model.received == []


def test_a_key_in_another_header_or_twice_is_401(chain: Site):
    good = KEYS[WORKLOAD]
    for headers in (
        [("authorization", f"Basic {good}")],
        [("api-key", good)],
        [("x-api-key", good), ("x-api-key", "wrong")],
        [("x-api-key", good), ("authorization", "Bearer wrong")],
        [("authorization", f"Bearer {good}"), ("authorization", "Bearer wrong")],
    ):
        assert chain.client.post(CHAT, json=chat(), headers=headers).status_code == 401
    assert chain.client.post(f"{CHAT}?api_key={good}", json=chat()).status_code == 401
    assert chain.model.received == []


@pytest.mark.parametrize("model", [*asking.OTHER_MODELS, WORKLOAD.upper()])
def test_a_model_of_another_key_is_404(chain: Site, model: str):
    response = chain.ask(model=model)
    assert (response.status_code, code_of(response)) == (404, "model_not_found")
    assert chain.model.received == []


def test_a_key_whose_workload_has_no_route_is_refused(chain: Site):
    assert chain.ask(key=KEYS["unrouted"], model="unrouted").status_code == 404
    assert chain.client.get("/v1/models", headers=bearer(KEYS["unrouted"])).json()["data"] == []


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", f"Token {KEYS[WORKLOAD]}")],
        [("authorization", KEYS[WORKLOAD])],
        [("authorization", f"Bearer {KEYS[WORKLOAD]}, Bearer {KEYS['claims']}")],
        [("authorization", f"Bearer\t\t{KEYS['claims']} {KEYS[WORKLOAD]}")],
        [("proxy-authorization", f"Bearer {KEYS[WORKLOAD]}")],
        [("x-authorization", f"Bearer {KEYS[WORKLOAD]}")],
        [("cookie", f"authorization=Bearer {KEYS[WORKLOAD]}")],
        [("x-forwarded-client-cert", f'Subject="CN={WORKLOAD}";DNS={WORKLOAD}')],
        [("ssl-client-verify", "SUCCESS"), ("ssl-client-subject-dn", f"CN={WORKLOAD}")],
        [("x-isthmus-workload", WORKLOAD), ("x-forwarded-user", WORKLOAD), ("x-remote-user", WORKLOAD)],
    ],
)
def test_only_a_single_bearer_key_identifies_a_caller(chain: Site, headers: list[tuple[str, str]]):
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    response = chain.client.post(CHAT, json=chat(), headers=raw)
    assert (response.status_code, code_of(response)) == (401, "invalid_api_key")
    assert chain.model.received == []


@pytest.mark.parametrize(
    "header", ["x-isthmus-workload", "x-isthmus-class", "x-forwarded-user", "openai-project"]
)
def test_a_header_cannot_change_the_workload_of_a_key(chain: Site, header: str):
    headers = {**bearer(KEYS["claims"]), header: WORKLOAD}
    refused = chain.client.post(CHAT, json=chat(model=WORKLOAD), headers=headers)
    assert (refused.status_code, code_of(refused)) == (404, "model_not_found")
    assert chain.model.received == []
    assert chain.client.post(CHAT, json=chat(model="claims"), headers=headers).status_code == 200


@pytest.mark.parametrize("field", asking.DATA_MOVING_FIELDS)
def test_a_field_that_moves_data_is_refused_in_every_place(chain: Site, field: str):
    for value in ("https://evil.example", {"url": "https://evil.example"}, True):
        variants: tuple[dict[str, Any], ...] = (
            {field: value},
            {"extra_body": {field: value}},
            {"stream": True, field: value},
        )
        for fields in variants:
            response = chain.ask(**fields)
            assert (response.status_code, code_of(response)) == (400, "unknown_field"), fields
    assert chain.model.received == []


@pytest.mark.parametrize("field", asking.UNKNOWN_FIELDS)
def test_a_field_outside_the_allow_list_is_400_and_named(chain: Site, field: str):
    response = chain.ask(**{field: "cloud"})
    assert (response.status_code, code_of(response)) == (400, "unknown_field")
    assert field in response.json()["error"]["message"]
    assert chain.model.received == []


@pytest.mark.parametrize("field", asking.HARMLESS_FIELDS)
def test_a_harmless_field_is_accepted_and_dropped(chain: Site, field: str):
    value: Any = ["text"] if field == "modalities" else {"a": "DE89 3704 0044 0532 0130 00"}
    assert chain.ask(**{field: value}).status_code == 200
    assert set(chain.model.last_body()) == {"model", "messages"}


@pytest.mark.parametrize("field", ["audio", "function_call", "functions", "moderation", "web_search_options"])
def test_a_field_for_an_unsupported_feature_is_accepted_only_as_null(chain: Site, field: str):
    fields: dict[str, Any] = {field: None}
    assert chain.ask(**fields).status_code == 200
    fields[field] = {}
    assert chain.ask(**fields).status_code == 400


def test_a_conversation_is_accepted_back_as_it_was_returned(chain: Site):
    messages: list[Any] = [{"role": "user", "content": "a"}]
    message = chain.ask(messages=messages).json()["choices"][0]["message"]
    of_other_servers = {
        "annotations": [],
        "audio": None,
        "function_call": None,
        "reasoning": "Let me see",
        "reasoning_content": None,
        "refusal": None,
        "tool_calls": [],
        "confidence": {"score": 0.9},
    }
    messages += [message, {"role": "user", "content": "b"}, {**message, **of_other_servers}]
    answer = chain.ask(messages=[*messages, {"role": "user", "content": "c"}])
    assert answer.status_code == 200, answer.text
    assistant = {"role": "assistant", "content": message["content"]}
    assert chain.model.last_body()["messages"] == [
        {"role": "user", "content": "a"},
        assistant,
        {"role": "user", "content": "b"},
        assistant,
        {"role": "user", "content": "c"},
    ]


def test_a_caller_sees_only_its_own_model(chain: Site):
    models = chain.client.get("/v1/models", headers=bearer(KEYS[WORKLOAD])).json()["data"]
    own_answer = chain.client.get(f"/v1/models/{WORKLOAD}", headers=bearer(KEYS[WORKLOAD]))
    assert (own_answer.status_code, own_answer.json()) == (200, models[0])
    for name in ("claims", MODEL, "%00", "..%2f..%2fmetrics"):
        other_answer = chain.client.get(f"/v1/models/{name}", headers=bearer(KEYS[WORKLOAD]))
        assert (other_answer.status_code, code_of(other_answer)) == (404, "model_not_found"), name
    assert chain.client.get(f"/v1/models/{WORKLOAD}").status_code == 401


@pytest.mark.parametrize("fields", asking.LEADING_OUT)
def test_a_malformed_request_or_one_that_leads_outside_is_400(chain: Site, fields: dict[str, Any]):
    answer = chain.ask(**fields)
    assert answer.status_code == 400
    assert code_of(answer) == "unknown_field" or code_of(answer).startswith("invalid_")
    assert chain.model.received == []


@pytest.mark.parametrize(
    "url", ["https://evil.example/x.png", "file:///etc/passwd", "http://169.254.169.254/"]
)
def test_an_image_by_url_is_refused_and_an_inline_image_is_accepted(chain: Site, url: str):
    def image(address: str) -> httpx.Response:
        part = {"type": "image_url", "image_url": {"url": address}}
        return chain.ask(messages=[{"role": "user", "content": [part, {"type": "text", "text": "what?"}]}])

    assert code_of(image(url)) == "invalid_content"
    assert chain.model.received == [], "the model server would have fetched an address"
    assert image("data:image/png;base64,AAAA").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/v1/completions", 404),
        ("POST", "/v1/embeddings", 404),
        ("POST", f"/v1/models/{WORKLOAD}", 405),
        ("DELETE", f"/v1/models/{WORKLOAD}", 405),
        ("GET", "/v1/models/", 404),
        ("POST", "/v1/chat/completions/", 404),
        ("POST", "/v1/../v1/load_lora_adapter", 404),
        ("POST", "/v1/load_lora_adapter", 404),
        ("GET", "/metrics", 404),
        ("GET", "/health", 404),
        ("GET", "/docs", 404),
        ("GET", "/", 404),
        ("POST", "//v1/chat/completions", 404),
        *(
            (method, path, 404)
            for method in ("GET", "POST")
            for path in (
                *(
                    "/v1/responses",
                    "/v1/messages",
                    "/v1/files",
                    "/v1/batches",
                    "/v1/uploads",
                    "/v1/vector_stores",
                ),
                *(
                    "/v1/audio/transcriptions",
                    "/v1/images/generations",
                    "/v1/fine_tuning/jobs",
                    "/v1/threads",
                ),
                *("/v1/score", "/v2/rerank", "/v1/unload_lora_adapter", "/v1/reviews/" + "0" * 32),
                *("/tokenize", "/detokenize", "/pooling", "/classify", "/invocations", "/sleep", "/wake_up"),
                *(
                    "/reset_prefix_cache",
                    "/collective_rpc",
                    "/start_profile",
                    "/server_info",
                    "/version",
                    "/load",
                ),
                *("/key/generate", "/config/update", "/spend/logs", "/openapi.json", "/debug", "/live"),
                *("/v1/chat/completions%2f..%2fmetrics", "/V1/chat/completions", "/v1/chat/completions%00"),
            )
        ),
    ],
)
def test_any_other_route_is_refused(chain: Site, method: str, path: str, status: int):
    response = chain.client.request(method, chain.gateway.url + path, headers=bearer(KEYS[WORKLOAD]))
    assert response.status_code == status
    assert method == "HEAD" or code_of(response) in ("not_found", "method_not_allowed")
    assert chain.model.received == []


def post_raw(chain: Site, content: Any, **headers: str) -> httpx.Response:
    sent = {"content-type": "application/json", **bearer(KEYS[WORKLOAD]), **headers}
    return chain.client.post(CHAT, content=content, headers=sent)


def test_an_oversized_body_is_413_with_or_without_a_declared_length(chain: Site):
    big = json.dumps(chat(messages=[{"role": "user", "content": "x" * 70_000}])).encode()
    for content in (big, iter([big[:40_000], big[40_000:]])):  # the second body is chunked, without a length
        response = post_raw(chain, content)
        assert (response.status_code, code_of(response)) == (413, "request_too_large")
    assert chain.model.received == []


HALF_A_LETTER = json.dumps(chat(messages=[{"role": "user", "content": "\ud800"}])).encode()


@pytest.mark.parametrize("content", [*asking.NOT_JSON, HALF_A_LETTER])
def test_a_body_that_is_not_json_is_400(chain: Site, content: bytes):
    response = post_raw(chain, content)
    assert (response.status_code, code_of(response)) == (400, "malformed_json")
    assert chain.model.received == []


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400 + ".0"])
def test_an_infinite_number_is_400(chain: Site, number: str):
    tool = '{"type": "function", "function": {"name": "x", "parameters": {"default": NUMBER}}}'
    for field in ('"temperature": NUMBER', f'"tools": [{tool}]', '"logit_bias": {"1": NUMBER}'):
        body = json.dumps(chat())[:-1] + ", " + field.replace("NUMBER", number) + "}"
        response = post_raw(chain, body)
        assert response.status_code == 400, field
    assert chain.model.received == []


def test_another_content_type_or_an_encoded_body_is_415(chain: Site):
    body = json.dumps(chat()).encode()
    assert post_raw(chain, body, **{"content-type": "text/plain"}).status_code == 415
    assert post_raw(chain, body, **{"content-encoding": "gzip"}).status_code == 415
    assert chain.model.received == []


TEXT_IN_JSON = json.dumps(chat())


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (TEXT_IN_JSON.encode("utf-16"), "application/json; charset=utf-16"),
        (TEXT_IN_JSON.encode("utf-16-le"), "application/json"),
        (TEXT_IN_JSON.encode("utf-32"), "application/json; charset=utf-32"),
        (TEXT_IN_JSON.encode("utf-7").replace(b'"IBAN', b'"+AEk-BAN\xff'), "application/json; charset=utf-7"),
        (TEXT_IN_JSON.encode("utf-8-sig"), "application/json"),
        (TEXT_IN_JSON.replace("IBAN", "\xe9").encode("latin-1"), "application/json; charset=iso-8859-1"),
        (TEXT_IN_JSON.encode().replace(b"IBAN", b"\xc1\x89BAN"), "application/json"),
        (TEXT_IN_JSON.encode().replace(b"IBAN", b"\xed\xa0\x80"), "application/json"),
        (TEXT_IN_JSON.encode() + b"\x00", "application/json"),
        (TEXT_IN_JSON.encode() + TEXT_IN_JSON.encode(), "application/json"),
    ],
    ids=[
        *("utf-16", "utf-16 unsaid", "utf-32", "utf-7", "a byte order mark", "latin-1", "an overlong letter"),
        *("half a pair", "a NUL behind it", "two bodies"),
    ],
)
def test_a_body_in_another_encoding_than_utf8_is_400(chain: Site, content: bytes, kind: str):
    """A model server must not read another text than the gateway has screened."""
    response = post_raw(chain, content, **{"content-type": kind})
    assert (response.status_code, code_of(response)) == (400, "malformed_json")
    assert chain.model.received == []


@pytest.mark.parametrize(
    "coding", ["gzip", "GZIP", "br", "deflate", "zstd", "identity, gzip", "gzip, identity", "x"]
)
def test_a_body_with_any_content_encoding_is_415(chain: Site, coding: str):
    for content in (gzip.compress(TEXT_IN_JSON.encode()), TEXT_IN_JSON.encode()):
        response = post_raw(chain, content, **{"content-encoding": coding})
        assert (response.status_code, code_of(response)) == (415, "unsupported_encoding")
    assert chain.model.received == []


def test_a_duplicate_json_key_is_400(chain: Site):
    body = json.dumps(chat()).replace('"messages"', '"model": "gpt-4o", "messages"')
    response = post_raw(chain, body)
    assert (response.status_code, code_of(response)) == (400, "malformed_json")
    assert chain.model.received == []


def test_headers_that_request_the_cloud_are_not_forwarded(chain: Site):
    response = chain.client.post(
        CHAT, json=chat(), headers={**bearer(KEYS[WORKLOAD]), **asking.CLOUD_HEADERS}
    )
    assert response.status_code == 200
    head = chain.model.received[-1].split(b"\r\n\r\n")[0].decode().lower()
    names = {line.split(":")[0] for line in head.split("\r\n")[1:]}
    assert names == {
        "host",
        "content-type",
        "content-length",
        "accept",
        "accept-encoding",
        "user-agent",
    }
    assert all(value not in head for value in ("amazonaws", "evil", "cloud", "app/1", KEYS[WORKLOAD]))


def test_a_client_without_a_certificate_is_refused(chain: Site):
    with (
        httpx.Client(verify=chain.authority.client(None), trust_env=False) as client,
        pytest.raises(httpx.TransportError),
    ):
        client.post(chain.gateway.url + CHAT, json=chat(), headers=bearer(KEYS[WORKLOAD]))
    assert chain.model.received == []


def test_plain_http_on_the_tls_port_is_not_served(chain: Site):
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{chain.gateway.port}/v1/models", trust_env=False)


@pytest.mark.parametrize(
    "text",
    [
        "callers: [",
        "callers: {}",
        "callers:\n  - {key_sha256: abc, workload: claims}\n",
        "callers: []\nextra: 1\n",
        callers_text() + f"  - {{key_sha256: '{'0' * 64}'}}\n",
        None,
    ],
)
def test_a_broken_callers_file_admits_nobody_until_it_is_repaired(chain: Site, text: str | None):
    good = chain.callers.read_text()
    try:
        if text is None:
            chain.callers.unlink()
        else:
            chain.callers.write_text(text)
        for key in (KEYS[WORKLOAD], "wrong"):
            response = chain.ask(key=key)
            assert (response.status_code, code_of(response)) == (503, "callers_unreadable")
        assert chain.ask(key=None).status_code == 401, "who shows nothing is nobody, whatever the file says"
        assert chain.client.get("/v1/models", headers=bearer(KEYS[WORKLOAD])).status_code == 503
        assert chain.gateway.health().status_code == 503
        assert chain.model.received == []
    finally:
        chain.callers.write_text(good)
    assert chain.ask().status_code == 200


def test_a_removed_key_is_refused_at_once(chain: Site):
    good = chain.callers.read_text()
    try:
        other_lines = [line for line in good.splitlines() if WORKLOAD not in line]
        chain.callers.write_text("\n".join(other_lines) + "\n")
        assert chain.ask().status_code == 401
        assert chain.ask(key=KEYS["claims"], model="claims").status_code == 200
    finally:
        chain.callers.write_text(good)


def test_the_log_holds_no_content_and_no_key(chain: Site):
    chain.ask()
    chain.ask(key="a-wrong-key")
    chain.ask(secret_field="IBAN")
    chain.client.get("/secret-path-IBAN", headers=bearer(KEYS[WORKLOAD]))
    for process in (chain.gateway, chain.sidecar):
        output = process.output()
        for secret in ("IBAN", "Muster", "a-wrong-key", *KEYS.values()):
            assert secret not in output, f"{secret!r} is in the log"
