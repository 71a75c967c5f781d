"""Milliseconds by a prompt's length: of looking alone, and added to a request at the edge."""

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
from bench.redaction.sides import Side, french, sides
from tests.edge.fake_model import FakeModel
from tests.edge.processes import Edge
from tests.edge.screening import standing

LENGTHS = (200, 1_000, 4_000, 16_000, 64_000)
MOST, SECONDS = 60, 5.0
"""Rounds of one length, and what they may take together."""


def prompt(length: int) -> str:
    """French sentences of the corpus, to this many characters."""
    of = itertools.cycle([one.text for one in sentences() if one.language == "fr"])
    text = ""
    while len(text) < length:
        text += next(of) + " "
    return text[:length]


def tables() -> tuple[str, bool]:
    """In Markdown; nothing here can fail."""
    lines = [
        "| characters | " + " | ".join(str(each) for each in LENGTHS) + " |",
        "|---|" + "---|" * len(LENGTHS),
    ]
    with sides() as found:
        rows: dict[str, list[str]] = {side.name: [] for side in found}
        for length in LENGTHS:
            text = prompt(length)
            made = _turns([partial(_looked, side, text) for side in found])
            for side, spent in zip(found, made, strict=True):
                rows[side.name].append(_said(spent))
    lines += [f"| {name}: looking | " + " | ".join(said) + " |" for name, said in rows.items()]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        asked = _edge(Path(folder), stack)
        added: dict[str, list[str]] = {name: [] for name in asked if name != "plain"}
        for length in LENGTHS:
            text = prompt(length)
            made = dict(zip(asked, _turns([partial(ask, text) for ask in asked.values()]), strict=True))
            plain = statistics.median(made["plain"])
            for name in added:
                added[name].append(_said([each - plain for each in made[name]]))
    lines += [f"| edge, {name}: added | " + " | ".join(said) + " |" for name, said in added.items()]
    load = os.getloadavg()[1]
    note = "Milliseconds, median / 95th percentile: of *looking* processor time, of *added* wall time"
    return "\n".join([*lines, "", f"{note}; {os.cpu_count()} cores, a load of {load:.0f}."]), True


def _looked(side: Side, text: str) -> float:
    return side.look([text], "fr")[0][1]


def _turns(sides: Sequence[Callable[[], float]]) -> list[list[float]]:
    """Each side in turn, so that what else the machine does falls upon all alike."""
    spent: list[list[float]] = [[] for _ in sides]
    for side in sides:
        side()
    started = time.monotonic()
    while len(spent[0]) < MOST and (time.monotonic() - started < SECONDS or len(spent[0]) < 5):
        for at, side in enumerate(sides):
            spent[at].append(side())
    return spent


def _said(spent: list[float]) -> str:
    ordered = sorted(spent)
    return (
        f"{statistics.median(ordered):.1f} / {ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]:.1f}"
    )


def _edge(folder: Path, stack: contextlib.ExitStack) -> dict[str, Callable[[str], float]]:
    """A gateway without screening and one with it, before the same model server."""
    authority = standing.authority_of(folder)
    model = FakeModel()
    stack.callback(model.server_close)
    stack.callback(model.shutdown)
    sidecar = Edge(folder / "sidecar", standing.sidecar_config(folder, model))
    rules = {"models": [{"file": str(french())}], "languages": ["fr"]}
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
    for each in (sidecar, detector, gateway, plain):
        stack.callback(each.stop)
    clients = {}
    for name, each in (("plain", plain), ("screened", gateway)):
        each.wait_until_up(120)
        clients[name] = stack.enter_context(
            httpx.Client(base_url=each.url, verify=authority.client("app"), trust_env=False, timeout=120)
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
