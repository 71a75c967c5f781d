"""Random bytes from clients: no 500, no lost log line, and nothing unrequested is forwarded."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.edge.conftest import KEYS, WORKLOAD, Site
from tests.edge.processes import Edge

SECRET = b"IBAN-of-nobody"

NAMES = st.sampled_from(
    [
        b"host",
        b"content-type",
        b"content-length",
        b"transfer-encoding",
        b"authorization",
        b"expect",
        b"connection",
        b"upgrade",
        b"trailer",
        b"content-encoding",
        b"x-y",
        b"traceparent",
        b"te",
        b"",
        b"a b",
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        [
            b"x",
            b"application/json",
            b"0",
            b"5",
            b"-1",
            b"99999999999999999999",
            b"5, 5",
            b"0x5",
            b"chunked",
            b"chunked, chunked",
            b"identity",
            b"gzip",
            b"close",
            b"keep-alive",
            b"100-continue",
            b"h2c",
            b" ",
            f"Bearer {KEYS[WORKLOAD]}".encode(),
            b"Bearer ",
            b"Basic x",
            b"Bearer \xff\x00",
        ]
    ),
    st.binary(max_size=40),
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
METHODS = st.sampled_from(
    [b"POST", b"GET", b"HEAD", b"OPTIONS", b"CONNECT", b"PRI", b"post", b"P\x00ST", b""]
)
PATHS = st.one_of(
    st.sampled_from(
        [
            b"/v1/chat/completions",
            b"/v1/models",
            b"/v1/chat/completions?x=%00",
            b"//v1/models",
            b"*",
            b"/%2e%2e",
            b"http://evil.example/v1/models",
            b"/v1/reviews/%00",
            b"/\xff",
            b"/v1/chat/completions/",
        ]
    ),
    st.binary(max_size=30),
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [b"0\r\n\r\n", b"5\r\n{}\r\n", b"ffffffffffffffff\r\n", b"2\r\n{}\r\n0\r\nauthorization: x\r\n\r\n"]
    ),
)
REQUESTS = st.builds(
    lambda method, path, version, headers, body: (
        method + b" " + path + b" " + version + b"\r\n"
        + b"".join(name + b": " + value + b"\r\n" for name, value in headers) + b"\r\n" + body
    ),
    METHODS, PATHS, st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b""]), HEADERS, BODIES,
)  # fmt: skip


def exchange(edge: Edge, context: ssl.SSLContext, sent: list[bytes]) -> bytes:
    """The bytes of the response, until a pause or the end of the connection."""
    answer = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", edge.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        for part in sent:
            connection.sendall(part)
        connection.settimeout(0.3)
        with contextlib.suppress(OSError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


@given(st.lists(REQUESTS, min_size=1, max_size=3), st.integers(1, 64))
@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_random_bytes_crash_the_gateway_or_lose_a_log_line(chain: Site, requests: list[bytes], size: int):
    raw = b"".join(requests)
    pieces = [
        raw[at : at + max(size, len(raw) // 20)] for at in range(0, len(raw), max(size, len(raw) // 20))
    ]
    answer = exchange(chain.gateway, chain.authority.client("app"), pieces)
    statuses = [line.split(b" ")[1] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert b"500" not in statuses, raw
    for line in answer.split(b"\r\n"):
        if line.startswith(b"x-request-id: "):
            chain.gateway.wait_for_line("request", request_id=line.partition(b": ")[2].decode())
    assert chain.gateway.process.poll() is None


@pytest.mark.parametrize("seed", range(5))
def test_the_gateway_serves_normally_after_random_bytes(chain: Site, seed: int):
    for _ in range(40):
        exchange(chain.gateway, chain.authority.client("app"), [SECRET + os.urandom(200)])
    began = time.monotonic()
    assert chain.ask().status_code == 200
    assert time.monotonic() - began < 10
    assert SECRET.decode() not in chain.gateway.output()
