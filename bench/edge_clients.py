"""The edge's HTTP client (httpx over aiohttp) beside httpx, httpcore and aiohttp as they are.

    python -m bench.edge_clients

Requests a processor second of the client itself: the same requests to the same model server over mutual TLS, so many at
once, in turn; each client is used as the edge would: one body sent, the answer read piece by piece.
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

from bench.edge_sides import GENERATOR_CPU, MEASURED_CPU, Sides, on
from bench.model_server import MODEL
from edge.config import Limits, UpstreamTls
from edge.tls import client_context
from edge.upstream import Client, plain_headers
from tests.edge.conftest import MODEL_NAME

AT_ONCE, ROUNDS = 16, 5
WHOLE, STREAMS = 3000, 300
"""Requests a round."""
HEADERS = plain_headers("application/json")
Ask = Callable[[bytes], Awaitable[int]]
"""Sends one body and reads the answer; its length in bytes."""


def clients(url: str, tls: UpstreamTls, stack: contextlib.AsyncExitStack) -> dict[str, Ask]:
    """Those that are compared; the server's certificate bears the route's name, not its address."""
    context, named = client_context(tls), {"sni_hostname": MODEL_NAME}
    ours = Client(Limits(), context)
    usual = httpx.AsyncClient(verify=context, timeout=Limits().request_timeout_s, trust_env=False)
    pool = httpcore.AsyncConnectionPool(ssl_context=context, max_connections=1000)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1000, ssl=context))
    stack.push_async_callback(ours.aclose)
    stack.push_async_callback(usual.aclose)
    stack.push_async_callback(pool.aclose)
    stack.push_async_callback(session.close)

    async def read(response: httpx.Response) -> int:
        size = sum([len(piece) async for piece in response.aiter_bytes()])
        await response.aclose()
        return size

    async def by_httpx(body: bytes) -> int:
        request = usual.build_request("POST", url, content=body, headers=HEADERS, extensions=named)
        return await read(await usual.send(request, stream=True))

    async def by_ours(body: bytes) -> int:
        return await read(await ours.send("POST", url, body=body, headers=HEADERS, server_name=MODEL_NAME))

    async def by_httpcore(body: bytes) -> int:
        async with pool.stream(
            "POST", url, headers=list(HEADERS.items()), content=body, extensions=named
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
    """Processor seconds of so many requests, and the lengths of their answers."""
    left = iter(range(requests))
    sizes: set[int] = set()

    async def work() -> None:
        for _ in left:
            sizes.add(await ask(body))

    before = time.process_time()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return time.process_time() - before, sizes


async def compare(url: str, tls: UpstreamTls) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "03-03 rent " * 400}]}
    async with contextlib.AsyncExitStack() as stack:
        each = clients(url, tls, stack)
        for kind, requests in (("whole answers", WHOLE), ("streams", STREAMS)):
            body = json.dumps({**asked, "stream": kind == "streams"}).encode()
            found: dict[str, list[float]] = {name: [] for name in each}
            lengths: set[int] = set()
            for round_ in range(ROUNDS + 1):
                for name, ask in each.items():
                    seconds, sizes = await burst(ask, body, requests if round_ else AT_ONCE * 5)
                    lengths |= sizes
                    if round_:
                        found[name].append(requests / seconds)
            assert len(lengths) == 1, "the clients did not get the same answers"
            base = statistics.median(found["httpx"])
            print(f"clients: {kind}, {AT_ONCE} at once, {ROUNDS} rounds of {requests} in turn")
            for name, values in found.items():
                median = statistics.median(values)
                told = f"({min(values):,.0f} to {max(values):,.0f}), {1e6 / median:,.0f} µs each"
                print(
                    f"  {name:11} {median:7,.0f} a processor second {told}, {median / base:.2f} times httpx"
                )


def main() -> None:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-edge-")))
        stack.enter_context(on(GENERATOR_CPU))
        url = Sides(folder, stack).direct_tls().target.urls[0] + "/v1/chat/completions"
        files = (folder / "gateway.crt", folder / "gateway.key", folder / "ca.crt")
        tls = UpstreamTls(**dict(zip(("certificate", "key", "ca"), files, strict=True)))
        with on(MEASURED_CPU):
            uvloop.run(compare(url, tls))


if __name__ == "__main__":
    main()
