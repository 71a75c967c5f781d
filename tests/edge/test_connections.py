"""Slow connections do not delay others, whatever their number and their client."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.edge.conftest import KEYS, WORKLOAD, Site, bearer, chat, gateway_config
from tests.edge.processes import Edge

CHAT = "/v1/chat/completions"
HURRIED = "tests.edge.hurried"
FEW_FILES = ("prlimit", "--nofile=256:256")
Start = Callable[..., Edge]


@pytest.fixture
def start(chain: Site, tmp_path: Path) -> Iterator[Start]:
    """Starts a separate gateway in front of the shared sidecar."""
    started: list[Edge] = []

    def starting(within: tuple[str, ...] = (), program: str = "edge", **limits: Any) -> Edge:
        config = gateway_config(chain.folder, chain.sidecar.port)
        config["limits"].update(limits)
        started.append(Edge(tmp_path / f"own-{len(started)}", config, within=within, program=program))
        return started[-1].wait_until_up()

    yield starting
    for edge in started:
        edge.stop()


@pytest.fixture(scope="module")
def hurried(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """A gateway with a fifth of the normal client timeouts, in front of the shared sidecar."""
    config = gateway_config(site.folder, site.sidecar.port)
    edge = Edge(tmp_path_factory.mktemp("hurried"), config, program=HURRIED)
    try:
        yield edge.wait_until_up()
    finally:
        edge.stop()


def open_connection(edge: Edge, context: ssl.SSLContext, stack: ExitStack) -> ssl.SSLSocket:
    plain = stack.enter_context(socket.create_connection(("127.0.0.1", edge.port), timeout=20))
    return stack.enter_context(context.wrap_socket(plain, server_hostname="127.0.0.1"))


def is_served(chain: Site, edge: Edge) -> bool:
    with httpx.Client(verify=chain.authority.client("app"), trust_env=False, timeout=10) as client:
        return client.post(edge.url + CHAT, json=chat(), headers=bearer(KEYS[WORKLOAD])).status_code == 200


def seconds_until_closed(connection: socket.socket, drip: bytes = b"", interval: float = 0.5) -> float:
    """Seconds until the server closes a connection whose client sends `drip` every `interval` seconds."""
    began = time.monotonic()
    connection.settimeout(interval)
    while time.monotonic() - began < 60:
        try:
            if drip:
                connection.sendall(drip)
            if not connection.recv(4096):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


def head(length: int) -> bytes:
    lines = [
        f"POST {CHAT} HTTP/1.1",
        "host: x",
        "content-type: application/json",
        f"authorization: Bearer {KEYS[WORKLOAD]}",
        f"content-length: {length}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def test_five_hundred_connections_with_unfinished_headers_block_nobody(chain: Site, start: Start):
    edge, context = start(FEW_FILES), chain.authority.client("app")
    with ExitStack() as stack:
        for number in range(500):
            with contextlib.suppress(OSError):
                connection = open_connection(edge, context, stack)
                connection.sendall(b"POST / HTTP/1.1\r\n" if number % 2 else b"P")
            if number % 100 == 99:
                assert is_served(chain, edge)
                assert edge.health().status_code == 200
        assert is_served(chain, edge)


def test_connections_without_a_tls_handshake_block_nobody(chain: Site, start: Start):
    edge = start(FEW_FILES)
    with ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(socket.create_connection(("127.0.0.1", edge.port)))
        assert is_served(chain, edge)
        assert edge.health().status_code == 200


def test_slow_connections_to_the_health_port_block_nobody(chain: Site, start: Start):
    edge = start(FEW_FILES)
    with ExitStack() as stack:
        for _ in range(500):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", edge.health_port)))
            with contextlib.suppress(OSError):
                connection.sendall(b"GET /hea")
        assert edge.health().status_code == 200
        assert is_served(chain, edge)


@pytest.mark.parametrize(
    ("first", "drip"),
    [(b"POST / HTTP/1.1\r\nhost: x\r\n", b"a: b\r\n"), (b"", b"\r\n"), (b"G", b"")],
    ids=["headers without end", "empty lines", "one letter"],
)
def test_request_headers_have_one_time_limit_in_total(chain: Site, hurried: Edge, first: bytes, drip: bytes):
    with ExitStack() as stack:
        connection = open_connection(hurried, chain.authority.client("app"), stack)
        if first:
            connection.sendall(first)
        assert 2 < seconds_until_closed(connection, drip) < 6


@pytest.mark.soak
def test_the_time_limit_for_request_headers_is_fifteen_seconds(chain: Site):
    with ExitStack() as stack:
        connection = open_connection(chain.gateway, chain.authority.client("app"), stack)
        assert 10 < seconds_until_closed(connection, b"\r\n") < 22


def test_the_second_request_of_a_connection_has_the_same_time_limit(chain: Site, hurried: Edge):
    with ExitStack() as stack:
        connection = open_connection(hurried, chain.authority.client("app"), stack)
        connection.sendall(b"GET /v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 404")
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert 2 < seconds_until_closed(connection, b"a: b\r\n") < 6


@pytest.mark.parametrize("key", [KEYS[WORKLOAD], "nobody"])
def test_a_body_that_arrives_byte_by_byte_is_dropped(chain: Site, start: Start, key: str):
    edge = start(program=HURRIED, request_timeout_s=120)
    with ExitStack() as stack:
        connection = open_connection(edge, chain.authority.client("app"), stack)
        connection.sendall(head(60_000).replace(KEYS[WORKLOAD].encode(), key.encode()))
        assert seconds_until_closed(connection, b" ") < 10


def test_a_client_that_does_not_read_is_dropped_and_its_model_request_cancelled(chain: Site, start: Start):
    edge = start(program=HURRIED, request_timeout_s=120)
    chain.model.reset("flood")
    body = b'{"model":"%s","messages":[{"role":"user","content":"x"}],"stream":true}' % WORKLOAD.encode()
    with ExitStack() as stack:
        connection = open_connection(edge, chain.authority.client("app"), stack)
        connection.sendall(head(len(body)) + body)
        assert chain.model.cancelled.wait(60), "the model writes for ever"


def test_one_client_cannot_take_all_connections(chain: Site, start: Start):
    edge = start(max_connections=40, max_connections_per_client=20)
    context = chain.authority.client("app")
    with ExitStack() as stack:
        for _ in range(60):
            plain = stack.enter_context(socket.socket())
            plain.bind(("127.0.0.2", 0))
            plain.connect(("127.0.0.1", edge.port))
            with contextlib.suppress(OSError):
                stack.enter_context(context.wrap_socket(plain, server_hostname="127.0.0.1"))
        lines = Path(f"/proc/{edge.process.pid}/net/tcp").read_text().splitlines()
        local_address = f"0100007F:{edge.port:04X}"
        established = [line for line in lines if line.split()[1] == local_address and line.split()[3] == "01"]
        assert len(established) <= 20
        assert is_served(chain, edge)


def test_an_idle_connection_can_be_reused_within_its_time(chain: Site, hurried: Edge):
    """The connection is idle for longer than a header block may take."""
    with httpx.Client(verify=chain.authority.client("app"), trust_env=False, timeout=10) as client:
        for pause in (0, 4):
            time.sleep(pause)
            answer = client.post(hurried.url + CHAT, json=chat(), headers=bearer(KEYS[WORKLOAD]))
            assert answer.status_code == 200


def test_trailers_are_not_treated_as_headers(chain: Site):
    """The gateway ignores identities in trailers, and forwards no trailer."""
    body = b'{"model":"%s","messages":[{"role":"user","content":"x"}]}' % WORKLOAD.encode()
    trailers = f"authorization: Bearer {KEYS[WORKLOAD]}\r\ntraceparent: 00-{'a' * 32}-{'b' * 16}-01\r\n"
    lines = [
        f"POST {CHAT} HTTP/1.1",
        "host: x",
        "content-type: application/json",
        "transfer-encoding: chunked",
        "trailer: authorization",
        "connection: close",
    ]
    for key, status in ((None, b"401"), (KEYS[WORKLOAD], b"200")):
        chain.model.reset()
        trailer_lines = [*lines, *([f"authorization: Bearer {key}"] if key else [])]
        with ExitStack() as stack:
            connection = open_connection(chain.gateway, chain.authority.client("app"), stack)
            connection.sendall("\r\n".join(trailer_lines).encode() + b"\r\n\r\n")
            connection.sendall(b"%x\r\n" % len(body) + body + b"\r\n0\r\n" + trailers.encode() + b"\r\n")
            answer = b""
            with contextlib.suppress(OSError):
                while piece := connection.recv(65536):
                    answer += piece
        assert answer.split(b" ")[1] == status, answer
        assert all(b"a" * 32 not in raw for raw in chain.model.received)


INNER = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "content-length: 0\r\ncontent-length: 5\r\n\r\n",
        "content-length: +5\r\n\r\nhello",
        "content-length: 5, 5\r\n\r\nhello",
        "content-length : 0\r\n\r\n",
        "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        "x: y\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n1;x=\n0\r\n\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
        "content-length: 0\n\n",
    ],
)
def test_a_request_with_ambiguous_framing_is_refused(chain: Site, framing: str):
    """The bytes after the end are never served as a request, and none of them reaches the model."""
    chain.model.reset()
    start = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    with ExitStack() as stack:
        connection = open_connection(chain.gateway, chain.authority.client("app"), stack)
        connection.sendall((start + f"authorization: Bearer {KEYS[WORKLOAD]}\r\n" + framing + INNER).encode())
        connection.settimeout(1)
        answer = b""
        with contextlib.suppress(OSError):
            while piece := connection.recv(65536):
                answer += piece
    statuses = [line.split(b" ")[1] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert b"200" not in statuses
    assert b"500" not in statuses
    assert chain.model.received == []


@pytest.mark.parametrize(
    "coding",
    [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: deflate,chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked;q=1",
        "transfer-encoding: identity, chunked",
    ],
)
def test_a_transfer_coding_other_than_chunked_is_refused_and_the_connection_closed(chain: Site, coding: str):
    """The gateway decodes no other coding. A server that does could read another body."""
    chain.model.reset()
    body = b'{"model":"%s","messages":[{"role":"user","content":"x"}]}' % WORKLOAD.encode()
    lines = [f"POST {CHAT} HTTP/1.1", "host: x", "content-type: application/json", coding]
    head = "\r\n".join([*lines, f"authorization: Bearer {KEYS[WORKLOAD]}"]).encode() + b"\r\n\r\n"
    request = head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    with ExitStack() as stack:
        connection = open_connection(chain.gateway, chain.authority.client("app"), stack)
        connection.sendall(request)
        connection.settimeout(5)
        answer = b""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := connection.recv(65536):  # a connection that stays open raises a timeout error
                answer += piece
    assert answer.split(b" ")[1] in (b"400", b"501"), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert chain.model.received == []


def test_a_chunked_body_is_served_in_any_spelling_of_chunked(chain: Site):
    for encoding in ("chunked", "Chunked"):
        chain.model.reset()
        headers = {"authorization": f"Bearer {KEYS[WORKLOAD]}", "content-type": "application/json"}
        body = b'{"model":"%s","messages":[{"role":"user","content":"x"}]}' % WORKLOAD.encode()
        answer = chain.client.post(
            CHAT, content=iter([body]), headers={**headers, "transfer-encoding": encoding}
        )
        assert answer.status_code == 200, answer.text
