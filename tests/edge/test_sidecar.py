"""Who may call a model server through its sidecar, and which paths."""

from __future__ import annotations

import ssl

import httpx
import pytest

from tests.edge.certificates import Authority
from tests.edge.conftest import GATEWAY_NAME, Site, chat
from tests.edge.fake_model import HEALTHY, MODEL

CHAT = "/v1/chat/completions"


def ask(chain: Site, context: ssl.SSLContext, method: str = "POST", path: str = CHAT) -> httpx.Response:
    body = chat(model=MODEL) if method == "POST" else None
    with httpx.Client(verify=context, trust_env=False) as client:
        return client.request(method, chain.sidecar.url + path, json=body)


def test_the_certificate_of_the_gateway_is_admitted(chain: Site):
    assert ask(chain, chain.authority.client("gateway")).status_code == 200
    assert ask(chain, chain.authority.client("gateway"), "GET", "/v1/models").json()["data"] == [
        {"id": MODEL}
    ]


@pytest.mark.parametrize(
    "names",
    [
        ["app.payments.svc"],
        ["confidential-gateway.isthmus-confidential.svc"],
        [f"x.{GATEWAY_NAME}"],
        [f"{GATEWAY_NAME}.evil.example"],
        ["*.isthmus-restricted.svc"],
        [],
    ],
)
def test_another_certificate_of_the_same_ca_is_refused(chain: Site, names: list[str]):
    chain.authority.issue("stranger", *names)
    before = len(chain.sidecar.lines("client_refused"))
    with pytest.raises(httpx.TransportError):
        ask(chain, chain.authority.client("stranger"))
    assert chain.model.received == []
    assert len(chain.sidecar.lines("client_refused")) == before + 1


def test_the_gateways_name_from_another_ca_is_refused(chain: Site):
    foreign = Authority(chain.folder / "foreign", "other-ca")
    certificate, key = foreign.issue("gateway", GATEWAY_NAME)
    context = chain.authority.client(None)
    context.load_cert_chain(certificate, key)
    with pytest.raises(httpx.TransportError):
        ask(chain, context)
    assert chain.model.received == []


def test_a_connection_without_a_certificate_is_refused(chain: Site):
    with pytest.raises(httpx.TransportError):
        ask(chain, chain.authority.client(None))
    assert chain.model.received == []


def test_an_old_tls_version_is_refused(chain: Site):
    context = chain.authority.client("gateway")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(httpx.TransportError):
        ask(chain, context)
    assert chain.model.received == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/load_lora_adapter", 404),
        ("POST", "/sleep", 404),
        ("POST", "/reset_prefix_cache", 404),
        ("POST", "/collective_rpc", 404),
        ("POST", "/metrics", 405),
        ("GET", "/openapi.json", 404),
        ("POST", "/v1/models", 405),
        ("GET", CHAT, 405),
    ],
)
def test_other_paths_of_the_model_server_are_refused(chain: Site, method: str, path: str, status: int):
    assert ask(chain, chain.authority.client("gateway"), method, path).status_code == status
    assert chain.model.received == []


@pytest.mark.parametrize(
    ("sent", "passes"),
    [("00-" + "a" * 32 + "-" + "b" * 16 + "-01", True), ("00-IBAN-01", False), ("01-" + "a" * 52, False)],
)
def test_of_all_headers_only_a_well_formed_trace_passes(chain: Site, sent: str, passes: bool):
    with httpx.Client(verify=chain.authority.client("gateway"), trust_env=False) as client:
        headers = {"traceparent": sent, "x-other": "IBAN"}
        assert (
            client.post(chain.sidecar.url + CHAT, json=chat(model=MODEL), headers=headers).status_code == 200
        )
    head = chain.model.received[-1].split(b"\r\n\r\n")[0]
    assert (sent.encode() in head) is passes
    assert b"IBAN" not in head


def test_only_the_gateway_may_read_health_and_load(chain: Site):
    gateway = chain.authority.client("gateway")
    before = len(chain.sidecar.lines("request"))
    assert ask(chain, gateway, "GET", "/metrics").text == HEALTHY
    assert ask(chain, gateway, "GET", "/health").status_code == 200
    chain.model.reset("status-503")
    assert ask(chain, gateway, "GET", "/health").status_code == 503
    assert len(chain.sidecar.lines("request")) == before, "a probe every few seconds is no request of anybody"
    with pytest.raises(httpx.TransportError):
        ask(chain, chain.authority.client("app"), "GET", "/metrics")


def test_the_health_port_serves_only_health_and_metrics_of_the_model_server(chain: Site):
    assert chain.sidecar.health().status_code == 200
    assert chain.sidecar.health("/metrics").text == HEALTHY
    assert chain.sidecar.health("/v1/models").status_code == 404
    assert httpx.post(chain.sidecar.health_url + CHAT, json={}, trust_env=False).status_code == 404
    chain.model.reset("status-503")
    assert chain.sidecar.health().status_code == 503


def test_the_time_that_the_gateway_has_left_is_the_limit(chain: Site):
    chain.model.reset("stall")
    with httpx.Client(verify=chain.authority.client("gateway"), trust_env=False, timeout=60) as client:
        answer = client.post(
            chain.sidecar.url + CHAT, json=chat(model=MODEL), headers={"x-request-timeout": "0.5"}
        )
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "timeout"
