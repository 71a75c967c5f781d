"""Compares the edge's HTTP client (httpx over aiohttp) with httpx, httpcore and aiohttp.

    python -m bench.edge_clients

It measures requests a processor second of the client. Each client sends the same concurrent requests to the same model
server over mutual TLS, in turn. Like the edge, it sends one body and reads the answer in pieces.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpcore
import httpx
import uvloop

from bench.edge_systems import GENERATOR_CPU, MEASURED_CPU, Systems, pinned_to
from bench.model_server import MODEL
from edge.config import Limits, UpstreamTls
from edge.tls import client_context
from edge.upstream import Client, plain_headers
from tests.edge.conftest import MODEL_NAME

AT_ONCE, ROUNDS = 16, 5
WHOLE, STREAMS = 3000, 300
"""Requests in one round, of whole answers and of streams."""
HEADERS = plain_headers("application/json")
Ask = Callable[[bytes], Awaitable[int]]
"""Sends one body and reads the answer; its length in bytes."""


def clients(url: str, tls: UpstreamTls, stack: contextlib.AsyncExitStack) -> dict[str, Ask]:
    """The compared clients. The server's certificate has the name of the route, not the address."""
    context, extensions = client_context(tls), {"sni_hostname": MODEL_NAME}
    edge_client = Client(Limits(), context)
    httpx_client = httpx.AsyncClient(verify=context, timeout=Limits().request_timeout_s, trust_env=False)
    pool = httpcore.AsyncConnectionPool(ssl_context=context, max_connections=1000)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1000, ssl=context))
    stack.push_async_callback(edge_client.aclose)
    stack.push_async_callback(httpx_client.aclose)
    stack.push_async_callback(pool.aclose)
    stack.push_async_callback(session.close)

    async def read(response: httpx.Response) -> int:
        size = sum([len(piece) async for piece in response.aiter_bytes()])
        await response.aclose()
        return size

    async def by_httpx(body: bytes) -> int:
        request = httpx_client.build_request(
            "POST", url, content=body, headers=HEADERS, extensions=extensions
        )
        return await read(await httpx_client.send(request, stream=True))

    async def by_ours(body: bytes) -> int:
        return await read(
            await edge_client.send("POST", url, body=body, headers=HEADERS, server_name=MODEL_NAME)
        )

    async def by_httpcore(body: bytes) -> int:
        async with pool.stream(
            "POST", url, headers=list(HEADERS.items()), content=body, extensions=extensions
        ) as response:
            return sum([len(piece) async for piece in response.aiter_stream()])

    async def by_aiohttp(body: bytes) -> int:
        async with session.post(url, data=body, headers=HEADERS, server_hostname=MODEL_NAME) as response:
            return sum([len(piece) async for piece in response.content.iter_any()])

    return {
        "httpx": by_httpx,
        "httpcore": by_httpcore,
        "aiohttp": by_aiohttp,
        "the edge's": by_ours,
    }


async def burst(ask: Ask, body: bytes, requests: int) -> tuple[float, set[int]]:
    """Processor seconds of `requests` requests, and the lengths of their answers."""
    remaining = iter(range(requests))
    sizes: set[int] = set()

    async def work() -> None:
        for _ in remaining:
            sizes.add(await ask(body))

    before = time.process_time()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return time.process_time() - before, sizes


async def compare(url: str, tls: UpstreamTls) -> None:
    request: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "03-03 rent " * 400}]}
    async with contextlib.AsyncExitStack() as stack:
        asks = clients(url, tls, stack)
        for kind, requests in (("whole answers", WHOLE), ("streams", STREAMS)):
            body = json.dumps({**request, "stream": kind == "streams"}).encode()
            rates: dict[str, list[float]] = {name: [] for name in asks}
            lengths: set[int] = set()
            for round_ in range(ROUNDS + 1):
                for name, ask in asks.items():
                    seconds, sizes = await burst(ask, body, requests if round_ else AT_ONCE * 5)
                    lengths |= sizes
                    if round_:
                        rates[name].append(requests / seconds)
            assert len(lengths) == 1, "the clients did not get the same answers"
            base = statistics.median(rates["httpx"])
            print(f"clients: {kind}, {AT_ONCE} at once, {ROUNDS} rounds of {requests} in turn")
            for name, values in rates.items():
                median = statistics.median(values)
                spread = f"({min(values):,.0f} to {max(values):,.0f}), {1e6 / median:,.0f} µs each"
                print(
                    f"  {name:11} {median:7,.0f} a processor second {spread}, {median / base:.2f} times httpx"
                )


def main() -> None:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-edge-")))
        stack.enter_context(pinned_to(GENERATOR_CPU))
        url = Systems(folder, stack).direct_tls().target.urls[0] + "/v1/chat/completions"
        files = (folder / "gateway.crt", folder / "gateway.key", folder / "ca.crt")
        tls = UpstreamTls(**dict(zip(("certificate", "key", "ca"), files, strict=True)))
        with pinned_to(MEASURED_CPU):
            uvloop.run(compare(url, tls))


if __name__ == "__main__":
    main()
