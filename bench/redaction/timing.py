"""Measures milliseconds by prompt length: of detection alone, and added to a request at the edge."""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import httpx

from bench.redaction.corpus import sentences
from bench.redaction.recognizers import Recognizer, french_model, start_recognizers
from tests.edge.fake_model import FakeModel
from tests.edge.processes import Edge
from tests.edge.screening import standing

LENGTHS = (200, 1_000, 4_000, 16_000, 64_000)
MAX_ROUNDS, SECONDS = 60, 5.0
"""The most rounds for one length, and the most seconds for all of them."""


def prompt(length: int) -> str:
    """French sentences of the corpus, cut to `length` characters."""
    texts = itertools.cycle([sentence.text for sentence in sentences() if sentence.language == "fr"])
    text = ""
    while len(text) < length:
        text += next(texts) + " "
    return text[:length]


def tables() -> tuple[str, bool]:
    """The table as Markdown. There is no bound, so the second value is always True."""
    lines = [
        "| characters | " + " | ".join(str(length) for length in LENGTHS) + " |",
        "|---|" + "---|" * len(LENGTHS),
    ]
    with start_recognizers() as recognizers:
        rows: dict[str, list[str]] = {recognizer.name: [] for recognizer in recognizers}
        for length in LENGTHS:
            text = prompt(length)
            times = _measure_in_turns(
                [partial(_recognizer_ms, recognizer, text) for recognizer in recognizers]
            )
            for recognizer, recognizer_times in zip(recognizers, times, strict=True):
                rows[recognizer.name].append(_format_times(recognizer_times))
    lines += [f"| {name}: looking | " + " | ".join(cells) + " |" for name, cells in rows.items()]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        requests_of = _edge(Path(folder), stack)
        added: dict[str, list[str]] = {name: [] for name in requests_of if name != "plain"}
        for length in LENGTHS:
            text = prompt(length)
            times = dict(
                zip(
                    requests_of,
                    _measure_in_turns([partial(ask, text) for ask in requests_of.values()]),
                    strict=True,
                )
            )
            plain = statistics.median(times["plain"])
            for name in added:
                added[name].append(_format_times([milliseconds - plain for milliseconds in times[name]]))
    lines += [f"| edge, {name}: added | " + " | ".join(cells) + " |" for name, cells in added.items()]
    load = os.getloadavg()[1]
    note = "Milliseconds, median / 95th percentile: of *looking* processor time, of *added* wall time"
    return "\n".join([*lines, "", f"{note}; {os.cpu_count()} cores, a load of {load:.0f}."]), True


def _recognizer_ms(recognizer: Recognizer, text: str) -> float:
    return recognizer.analyze([text], "fr")[0][1]


def _measure_in_turns(functions: Sequence[Callable[[], float]]) -> list[list[float]]:
    """Run the functions in turn, so that other load on the machine affects all of them."""
    times: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    started = time.monotonic()
    while len(times[0]) < MAX_ROUNDS and (time.monotonic() - started < SECONDS or len(times[0]) < 5):
        for index, function in enumerate(functions):
            times[index].append(function())
    return times


def _format_times(milliseconds: list[float]) -> str:
    ordered = sorted(milliseconds)
    return (
        f"{statistics.median(ordered):.1f} / {ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]:.1f}"
    )


def _edge(folder: Path, stack: contextlib.ExitStack) -> dict[str, Callable[[str], float]]:
    """Request functions of a gateway without screening and of one with it, before the same model server."""
    authority = standing.authority_of(folder)
    model = FakeModel()
    stack.callback(model.server_close)
    stack.callback(model.shutdown)
    sidecar = Edge(folder / "sidecar", standing.sidecar_config(folder, model))
    rules = {"models": [{"file": str(french_model())}], "languages": ["fr"]}
    detector = Edge(folder / "detector", standing.detector_config(**rules))
    ports: dict[str, int] = dict.fromkeys(("own", "cloud", "judge"), sidecar.port)
    config = standing.gateway_config(folder, f"http://127.0.0.1:{detector.port}", ports)
    config["screening"] |= {"languages": ["fr"], "limit_s": 60}
    config["limits"]["request_timeout_s"] = 120
    gateway = Edge(folder / "gateway", config)
    plain = Edge(
        folder / "plain",
        {k: v for k, v in config.items() if k not in ("screening", "health")}
        | {"listen": {k: v for k, v in config["listen"].items() if k not in ("host", "port")}},
    )
    for edge in (sidecar, detector, gateway, plain):
        stack.callback(edge.stop)
    clients = {}
    for name, edge in (("plain", plain), ("screened", gateway)):
        edge.wait_until_up(120)
        clients[name] = stack.enter_context(
            httpx.Client(base_url=edge.url, verify=authority.client("app"), trust_env=False, timeout=120)
        )
    detector.wait_until_up(120)

    def asking(client: httpx.Client, workload: str) -> Callable[[str], float]:
        def ask(text: str) -> float:
            body = {"model": workload, "messages": [{"role": "user", "content": text}]}
            started = time.perf_counter()
            answer = client.post(
                "/v1/chat/completions",
                json=body,
                headers={"authorization": f"Bearer {standing.KEYS[workload]}"},
            )
            assert answer.status_code == 200, answer.text
            return (time.perf_counter() - started) * 1000

        return ask

    return {
        "plain": asking(clients["plain"], "own"),
        "secrets in the answer only": asking(clients["screened"], "own"),
        "a prompt that leaves the site": asking(clients["screened"], "cloud"),
    }
