"""The detector as a process: `python -m edge --config FILE` with `mode: detector`, beside a gateway in its pod.

It is a separate process because a long text takes tens of milliseconds and a model takes seconds. In the gateway's
event loop every other request would wait for that. It also has its own memory limit, and its libraries (spaCy) are
not in the gateway's image.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import time
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from edge.config import ConfigError, DetectorConfig
from edge.deadlines import ClientLeft, while_connected
from edge.detector_processes import Look, LookBroken, LookMalformed, LookSlow, Workers
from edge.journal import quiet_libraries, write_line
from edge.redaction import Detector, NoModel, Rules, TooSlow
from edge.reload import Reloading

DETECT_PATH = "/v1/detect"
MAX_CONNECTIONS = 1024
WORKLOAD = "x-isthmus-workload"
"""Header with the workload that sent the texts; the detector serves workloads in turn. The same value as in
`edge.upstream`, which this image does not contain."""


def run(config: DetectorConfig, reloading: Reloading) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError if a model's file has the wrong digest."""
    from edge.listeners import loop_factory

    quiet_libraries()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(Detection(config).serve(reloading))


class Detection:
    """The worker processes of the detector, and its HTTP listener."""

    def __init__(self, config: DetectorConfig) -> None:
        self._config = config
        self._asked = self._slow = self._left = 0
        self._workers = Workers(_begin, config.rules.model_dump(mode="json"), config.workers)

    async def serve(self, reloading: Reloading) -> None:
        """Serve until a signal."""
        from edge.connections import affordable_connections
        from edge.listeners import bind, health_listener, plain_listener
        from edge.metrics import Metrics
        from edge.service import Service, State, health_application

        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        reloading.listen(stop)
        try:
            version = await self._workers.start()
        except LookBroken:
            raise ConfigError("rules.models: a model cannot be used, see above.") from None
        app = Starlette(routes=[Route(DETECT_PATH, self.detect, methods=["POST"])])
        service = Service(app, {DETECT_PATH}, self._problem, self._metrics, _do_nothing)
        state = State(Metrics(self._config.data_class))
        main = plain_listener(app, affordable_connections(MAX_CONNECTIONS), timeout_graceful_shutdown=10)
        health = health_listener(health_application(service, state))
        addresses = self._config.listen, self._config.health
        sockets = [
            bind(address.host, address.port, key) for address, key in zip(addresses, _KEYS, strict=True)
        ]
        serving = [
            asyncio.create_task(listener.serve(sockets=[socket]))
            for listener, socket in zip((main, health), sockets, strict=True)
        ]
        write_line("started", mode="detector", rules=version, **{"class": self._config.data_class})
        await stop.wait()
        state.draining = True
        for listener, task in zip((main, health), serving, strict=True):
            listener.should_exit = True
            await task
        self._workers.close()
        write_line("stopped", mode="detector", **{"class": self._config.data_class})

    async def detect(self, request: Request) -> Response:
        """Return the findings for the texts of a request. Neither is logged. If the client disconnects, the work is
        stopped.
        """
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._config.max_body_bytes:
                return _error(413, "too_large")
        self._asked += 1
        try:
            async with while_connected(request.receive):
                answer = await self._workers.look(request.headers.get(WORKLOAD, "")[:200], bytes(body))
        except ClientLeft:
            self._left += 1
            return _error(499, "client_closed_request")
        except LookSlow:
            self._slow += 1
            return _error(503, "too_slow")
        except LookMalformed:
            return _error(400, "malformed")
        except LookBroken:
            return _error(500, "broken")
        return Response(answer, media_type="application/json")

    async def _problem(self) -> str | None:
        return None if self._workers.alive else "the process with the rules ended"

    async def _metrics(self) -> Response:
        counts = {
            "detections_total counter": self._asked,
            "detections_slow_total counter": self._slow,
            "detections_left_total counter": self._left,
            "detections_lost_total counter": self._workers.lost,
            "detections_running gauge": self._workers.busy,
        }
        lines = [
            f"# TYPE isthmus_{name}\nisthmus_{name.split()[0]} {value}\n" for name, value in counts.items()
        ]
        return PlainTextResponse("".join(lines))


_KEYS = ("listen.port", "health.port")
_FIRST_TEXT = (
    "Frau Muster, 4111 1111 1111 1111, a@example.com: Grüße.\nPaid to Jane Doe, DE02 1203 0000.\n" * 20
)


def _begin(rules: dict[str, Any]) -> tuple[str, Look]:
    """Load the rules and models, in the process from which workers are forked. Returns the version and the look
    function.
    """
    try:
        detector = Detector(Rules.model_validate(rules))
    except NoModel as error:
        write_line("detector_failed", reason=str(error))
        raise SystemExit(1) from None

    # RE2 builds a pattern's automaton for the first text, which takes a second. Doing it before the fork saves each
    # worker that time.
    detector.detect(_FIRST_TEXT)

    def looking(body: bytes) -> bytes:
        try:
            return detect_texts(body, detector)
        except TooSlow:
            raise TimeoutError from None

    return detector.version, looking


def detect_texts(body: bytes, detector: Detector) -> bytes:
    """The response body for a request body. Raises TooSlow; ValueError, KeyError or TypeError if the request is
    malformed.
    """
    request = json.loads(body)
    until = time.monotonic() + float(
        request["limit_s"]
    )  # for all texts together: it is how long the gateway waits
    entities = None if request["entities"] is None else frozenset(request["entities"])
    later = None if request["later"] is None else frozenset(request["later"])
    results = []
    for text in request["texts"]:
        if (left_s := until - time.monotonic()) <= 0:
            raise TooSlow
        results.append(detector.detect(text, request["languages"], entities=entities, limit_s=left_s))
    response = {
        "sha256": hashlib.sha256(body).hexdigest(),
        "version": detector.version,
        "names": detector.looks_for_names,
        "reach": asdict(detector.reach(later)),
        "results": [
            {
                "findings": [
                    [finding.start, finding.end, finding.entity, finding.score, finding.rule]
                    for finding in detection.findings
                ],
                "patterns_only": detection.patterns_only,
                "undecided": detection.undecided,
            }
            for detection in results
        ],
    }
    return json.dumps(response).encode()


async def _do_nothing() -> None:
    return None


def _error(status: int, code: str) -> Response:
    return JSONResponse({"error": code}, status_code=status)
