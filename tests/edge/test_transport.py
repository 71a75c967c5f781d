"""The HTTP client of the edge: reuse of connections, and which errors mean that nothing was sent."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import os
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvloop

from edge.config import Limits
from edge.openai_api import Refusal
from edge.upstream import Client, read_answer
from tests.edge.certificates import Authority
from tests.edge.processes import free_port

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: pinned=1\r\n\r\nok"


class Server:
    """Answers each request with the next reply. Records the received requests by connection."""

    def __init__(self, *replies: bytes | None) -> None:
        self.connections: list[list[bytes]] = []
        self._replies = iter(replies)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections.append([])
            self._serve(connection, self.connections[-1])

    def _serve(self, connection: socket.socket, requests: list[bytes]) -> None:
        with connection, contextlib.suppress(OSError):  # the client may have given up
            while data := connection.recv(65536):
                requests.append(data)
                reply = next(self._replies)
                if reply is None:  # closes with the request received
                    return
                connection.sendall(reply)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def serving(*replies: bytes | None) -> Iterator[Server]:
    server = Server(*replies)
    try:
        yield server
    finally:
        server.close()


def ask(
    *urls: str, verify: ssl.SSLContext | bool = False, headers: dict[str, str] | None = None
) -> list[httpx.Response]:
    """POST to each address in turn with one edge client."""

    async def run() -> list[httpx.Response]:
        limits = Limits(connect_timeout_s=1, request_timeout_s=1)
        client, answers = Client(limits, verify), []
        try:
            for url in urls:
                answer = await client.send("POST", url, body=b"{}", headers=headers or {})
                await answer.aread()
                await answer.aclose()
                answers.append(answer)
        finally:
            await client.aclose()
        return answers

    return asyncio.run(run())


def test_a_connection_is_reused_and_cookies_are_not_sent_back():
    with serving(OK, OK) as server:
        first, second = ask(server.url, server.url)
    assert (first.content, second.content) == (b"ok", b"ok")
    assert "set-cookie" not in first.headers
    [[_, again]] = server.connections
    assert b"cookie" not in again.lower()


def test_only_headers_of_the_edge_are_sent_upstream():
    with serving(OK) as server:
        ask(server.url, headers={"content-type": "application/json", "user-agent": "isthmus-edge"})
    head, _, body = server.connections[0][0].partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    assert (line, body) == (b"POST /v1 HTTP/1.1", b"{}")
    names = [field.partition(b":")[0].lower() for field in fields]
    assert sorted(names) == sorted(set(names)), "a header is there twice"
    allowed = {
        b"host",
        b"content-type",
        b"content-length",
        b"user-agent",
        b"accept",
        b"accept-encoding",
        b"connection",
    }
    assert set(names) <= allowed


def test_a_redirect_is_not_followed():
    with serving(b"HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n") as server:
        [answer] = ask(server.url)
    assert answer.status_code == 307


@pytest.mark.parametrize(
    "replies", [(None,), (OK, None)], ids=["first", "on a connection that served before"]
)
def test_a_server_that_closes_during_a_request_is_a_read_error_and_not_retried(replies):
    with serving(*replies) as server, pytest.raises(httpx.ReadError):
        ask(*[server.url] * len(replies))
    assert sum(map(len, server.connections)) == len(replies)


def test_a_response_body_that_stalls_is_a_timeout():
    with (
        serving(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n") as server,
        pytest.raises(httpx.ReadTimeout),
    ):
        ask(server.url)


def test_a_closed_port_is_a_connection_failure():
    with pytest.raises(httpx.ConnectError):
        ask(f"http://127.0.0.1:{free_port()}/")


def test_a_server_without_a_tls_handshake_is_a_connection_failure_within_the_timeout(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(httpx.ConnectTimeout):
        ask(f"https://127.0.0.1:{deaf.getsockname()[1]}/", verify=Authority(tmp_path).client(None))


def test_connections_reset_during_setup_close_no_other_file_descriptor():
    """uvloop keeps the number of a closed file. Closing it again would close another client's connection."""

    async def run(port: int) -> int:
        client, lost = (
            Client(Limits(connect_timeout_s=1, request_timeout_s=1), ssl.create_default_context()),
            0,
        )
        for _ in range(300):
            with contextlib.suppress(httpx.HTTPError):
                await client.send("POST", f"https://127.0.0.1:{port}/", body=b"{}", headers={}, fresh=True)
            other_pipe = os.pipe()
            gc.collect()
            await asyncio.sleep(0)
            for file in other_pipe:
                try:
                    os.close(file)
                except OSError:
                    lost += 1
        await client.aclose()
        return lost

    gc.freeze()  # loaded objects are not collected repeatedly
    try:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            threading.Thread(target=_reset_all, args=[listening], daemon=True).start()
            assert uvloop.run(run(listening.getsockname()[1])) == 0
    finally:
        gc.unfreeze()


def _reset_all(listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            accepted, _ = listening.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()


def answer_of(reply: bytes, most: int) -> bytes:
    """What the edge reads of a server's reply, at most `most` bytes."""

    async def run() -> bytes:
        client = Client(Limits(connect_timeout_s=1, request_timeout_s=5), verify=False)
        try:
            return await read_answer(await client.send("POST", server.url, body=b"{}", headers={}), most)
        finally:
            await client.aclose()

    with serving(reply) as server:
        return asyncio.run(run())


def test_an_oversized_response_is_aborted():
    large = b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n" + b"x" * 300_000
    assert len(answer_of(large, 300_000)) == 300_000
    with pytest.raises(Refusal, match="too large"):
        answer_of(large, 100_000)


def test_a_response_that_decompresses_beyond_the_limit_is_aborted():
    packed = gzip.compress(b"0" * 10_000_000)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n".encode()
    with pytest.raises(Refusal, match="too large"):
        answer_of(head + packed, 1_000_000)
