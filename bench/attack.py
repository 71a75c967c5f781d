"""Load by vegeta, and what came of it: latencies from the moment at which each request was due."""

from __future__ import annotations

import base64
import csv
import json
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import Failed

END = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Target:
    """Whom to ask, and as whom. Several addresses are asked in turn."""

    urls: tuple[str, ...]
    model: str
    headers: dict[str, str] = field(default_factory=dict)
    certificates: Path | None = None
    """Folder of `app.crt`, `app.key` and `ca.crt`; None: plain HTTP."""

    def options(self) -> list[str]:
        named = [f"-header={name}: {value}" for name, value in self.headers.items()]
        if self.certificates is None:
            return named
        at = self.certificates
        return [*named, f"-cert={at / 'app.crt'}", f"-key={at / 'app.key'}", f"-root-certs={at / 'ca.crt'}"]


@dataclass(frozen=True)
class Seen:
    """Answers of one attack, all of them good."""

    milliseconds: list[float]
    """Of each request, from when it was due to its last byte."""
    seconds: float
    """From the first request to the last answer."""

    @property
    def per_second(self) -> float:
        return len(self.milliseconds) / self.seconds


class Generator:
    """vegeta, with the body that it sends."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self._folder = program, folder
        # About 1,000 tokens, as a document that is asked about.
        self._text = (
            "Which of these payments were rent, and which were late? " + "03-03 DE02 1203 1,250.00 " * 160
        )

    def at_rate(self, target: Target, rate: float, seconds: float, *, stream: bool = False) -> Seen:
        """So many a second, evenly, however slow the answers are: as callers who know nothing of each other."""
        return self._attack(target, stream, rate, ["-max-workers=2000"], seconds)

    def at_once(self, target: Target, clients: int, seconds: float, *, stream: bool = False) -> Seen:
        """So many clients, each of which asks again when it has its answer: as much as there is to have."""
        return self._attack(target, stream, None, [f"-workers={clients}", f"-max-workers={clients}"], seconds)

    def _attack(
        self, target: Target, stream: bool, rate: float | None, options: Sequence[str], seconds: float
    ) -> Seen:
        body, targets = self._folder / "body.json", self._folder / "targets.txt"
        asked = {"model": target.model, "messages": [{"role": "user", "content": self._text}]}
        body.write_text(json.dumps({**asked, "stream": True} if stream else asked))
        targets.write_text("".join(f"POST {url}/v1/chat/completions\n" for url in target.urls))
        results = self._folder / "results.gob"
        command = [
            str(self._program),
            # One processor: what is measured has the other.
            "-cpus=1",
            "attack",
            f"-rate={0 if rate is None else f'{round(rate * 60)}/1m'}",
            f"-duration={seconds}s",
            f"-targets={targets}",
            f"-body={body}",
            f"-output={results}",
            "-http2=false",
            "-timeout=30s",
            "-header=content-type: application/json",
            *options,
            *target.options(),
        ]
        self._run(command)
        rows = self._folder / "results.csv"
        self._run([str(self._program), "encode", "-to=csv", f"-output={rows}", str(results)])
        return read(rows, stream=stream, rate=rate)

    def _run(self, command: Sequence[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed.of(command, self._folder, done.returncode, done.stdout + done.stderr)


def read(rows: Path, *, stream: bool, rate: float | None) -> Seen:
    """The results of an attack; raises `Failed` where an answer was not 200, whole, or to its `[DONE]`."""
    sent: list[tuple[int, int, int]] = []
    for at, code, latency, error, body, number in _rows(rows):
        if code != "200" or not (body.endswith(END) if stream else body.startswith(b"{")):
            raise Failed(f"an answer was {code} {error}: {body[-300:]!r}")
        sent.append((at, latency, number))
    if not sent:
        raise Failed("no request was sent")
    began = min(at for at, _, _ in sent)
    ended = max(at + latency for at, latency, _ in sent)
    if rate is None:
        late = [latency for _, latency, _ in sent]
    else:
        # A generator that was held up has not made the answers quicker: each counts from when it was due.
        step = 1e9 / rate
        start = min(at - number * step for at, _, number in sent)
        late = [at + latency - (start + number * step) for at, latency, number in sent]
    return Seen([each / 1e6 for each in late], (ended - began) / 1e9)


def _rows(rows: Path) -> Iterator[tuple[int, str, int, str, bytes, int]]:
    """Time sent (ns), status, latency (ns), error, body, number; vegeta writes no header."""
    csv.field_size_limit(64 * 1024 * 1024)
    with rows.open(newline="") as file:
        for at, code, latency, _out, _in, error, body, _name, number, *_ in csv.reader(file):
            yield int(at), code, int(latency), error, base64.b64decode(body), int(number)


def percentiles(milliseconds: Sequence[float]) -> tuple[float, float, float]:
    """Median, 95th and 99th."""
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]
