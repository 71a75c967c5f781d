"""Sends load with vegeta and reads its results. A latency counts from the moment when the request was due."""

from __future__ import annotations

import base64
import csv
import json
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.measure import Failed

END = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Form:
    """The form of a request: its path, its fields beside the model, and what is in every complete stream."""

    path: str
    fields: Callable[[str], dict[str, Any]]
    """From the text of the prompt."""
    end: bytes


FORMS = {
    "chat": Form("/v1/chat/completions", lambda text: {"messages": [{"role": "user", "content": text}]}, END),
    "responses": Form("/v1/responses", lambda text: {"input": text}, b"event: response.completed\n"),
    "messages": Form(
        "/v1/messages",
        lambda text: {"max_tokens": 500, "messages": [{"role": "user", "content": text}]},
        b"event: message_stop\n",
    ),
}


@dataclass(frozen=True)
class Target:
    """The server that gets the load, and the credentials. Several addresses take requests in turn."""

    urls: tuple[str, ...]
    model: str
    headers: dict[str, str] = field(default_factory=dict)
    certificates: Path | None = None
    """Folder of `app.crt`, `app.key` and `ca.crt`. None means plain HTTP."""
    form: Form = FORMS["chat"]

    def options(self) -> list[str]:
        headers = [f"-header={name}: {value}" for name, value in self.headers.items()]
        if self.certificates is None:
            return headers
        folder = self.certificates
        return [
            *headers,
            f"-cert={folder / 'app.crt'}",
            f"-key={folder / 'app.key'}",
            f"-root-certs={folder / 'ca.crt'}",
        ]


@dataclass(frozen=True)
class AttackResult:
    """The answers of one attack. All of them are correct."""

    milliseconds: list[float]
    """Time of each request, from when it was due to its last byte."""
    seconds: float
    """From the first request to the last answer."""

    @property
    def per_second(self) -> float:
        return len(self.milliseconds) / self.seconds


class Generator:
    """Runs vegeta with a fixed request body."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self._folder = program, folder
        # About 1,000 tokens, like a question about a document.
        self._text = (
            "Which of these payments were rent, and which were late? " + "03-03 DE02 1203 1,250.00 " * 160
        )

    def run_at_rate(
        self, target: Target, rate: float, seconds: float, *, stream: bool = False
    ) -> AttackResult:
        """Send `rate` requests a second, evenly, even if answers are slow (open loop)."""
        return self._attack(target, stream, rate, ["-max-workers=2000"], seconds)

    def run_with_clients(
        self, target: Target, clients: int, seconds: float, *, stream: bool = False
    ) -> AttackResult:
        """Run `clients` clients that each send the next request after an answer (closed loop)."""
        return self._attack(target, stream, None, [f"-workers={clients}", f"-max-workers={clients}"], seconds)

    def _attack(
        self, target: Target, stream: bool, rate: float | None, options: Sequence[str], seconds: float
    ) -> AttackResult:
        body_file, targets_file = self._folder / "body.json", self._folder / "targets.txt"
        form = target.form
        body_fields = {"model": target.model, **form.fields(self._text)}
        body_file.write_text(json.dumps({**body_fields, "stream": True} if stream else body_fields))
        targets_file.write_text("".join(f"POST {url}{form.path}\n" for url in target.urls))
        results_file = self._folder / "results.gob"
        command = [
            str(self._program),
            # One processor. The system under test has the other one.
            "-cpus=1",
            "attack",
            f"-rate={0 if rate is None else f'{round(rate * 60)}/1m'}",
            f"-duration={seconds}s",
            f"-targets={targets_file}",
            f"-body={body_file}",
            f"-output={results_file}",
            "-http2=false",
            "-timeout=30s",
            "-header=content-type: application/json",
            *options,
            *target.options(),
        ]
        self._run(command)
        rows_file = self._folder / "results.csv"
        self._run([str(self._program), "encode", "-to=csv", f"-output={rows_file}", str(results_file)])
        return read_results(rows_file, stream=stream, rate=rate, end=form.end)

    def _run(self, command: Sequence[str]) -> None:
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode:
            raise Failed.from_command(
                command, self._folder, process.returncode, process.stdout + process.stderr
            )


def read_results(rows_file: Path, *, stream: bool, rate: float | None, end: bytes = END) -> AttackResult:
    """The results of an attack. Raises `Failed` for an answer that is not 200 or not complete."""
    requests: list[tuple[int, int, int]] = []
    for sent_at, code, latency, error, body, number in _rows(rows_file):
        if code != "200" or not (is_complete(body, end) if stream else body.startswith(b"{")):
            raise Failed(f"an answer was {code} {error}: {body[-300:]!r}")
        requests.append((sent_at, latency, number))
    if not requests:
        raise Failed("no request was sent")
    first_sent = min(sent_at for sent_at, _, _ in requests)
    last_answer = max(sent_at + latency for sent_at, latency, _ in requests)
    if rate is None:
        latencies = [latency for _, latency, _ in requests]
    else:
        # Latencies count from when a request was due, so that a delayed generator does not improve them.
        step = 1e9 / rate
        start = min(sent_at - number * step for sent_at, _, number in requests)
        latencies = [sent_at + latency - (start + number * step) for sent_at, latency, number in requests]
    return AttackResult([nanoseconds / 1e6 for nanoseconds in latencies], (last_answer - first_sent) / 1e9)


def is_complete(stream: bytes, end: bytes) -> bool:
    """Whether the last event of a stream is the one that ends it."""
    return end in b"\n" + stream.rpartition(b"\n\n")[0].rpartition(b"\n\n")[2] + b"\n\n"


def _rows(rows_file: Path) -> Iterator[tuple[int, str, int, str, bytes, int]]:
    """Rows of vegeta's CSV: time sent (ns), status, latency (ns), error, body, number. It has no header."""
    csv.field_size_limit(64 * 1024 * 1024)
    with rows_file.open(newline="") as file:
        for sent_at, code, latency, _out, _in, error, body, _name, number, *_ in csv.reader(file):
            yield int(sent_at), code, int(latency), error, base64.b64decode(body), int(number)


def percentiles(milliseconds: Sequence[float]) -> tuple[float, float, float]:
    """Median, 95th and 99th percentile."""
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]
