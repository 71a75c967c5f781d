"""The detector as a process: `python -m edge --config FILE` with `mode: detector`, beside a gateway in its pod.

A process of its own: looking through a long text takes tens of milliseconds, and a model seconds, in which every other
request would wait in the gateway's loop. Its memory is its own too, and what it is made of (spaCy) is not in the
gateway's image.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import json
import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from edge.config import ConfigError, DetectorConfig
from edge.journal import quiet_libraries, write_line
from edge.redaction import Detector, NoModel, Rules, TooSlow

DETECT_PATH = "/v1/detect"
MOST_CONNECTIONS = 1024
_PR_SET_PDEATHSIG = 1


def run(config: DetectorConfig) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError where a model is not the promised one."""
    from edge.server import loop_factory

    quiet_libraries()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(Detection(config).serve())


class Detection:
    """The processes that look, and the listener before them."""

    def __init__(self, config: DetectorConfig) -> None:
        self._config, self._fault = config, ""
        self._asked = self._slow = 0
        # Spawned, not forked: a forked copy of a running loop may hang.
        self._pool = ProcessPoolExecutor(
            config.workers,
            multiprocessing.get_context("spawn"),
            _begin,
            (config.rules.model_dump(mode="json"),),
        )

    async def serve(self) -> None:
        """Until a signal."""
        from edge.connections import affordable
        from edge.metrics import Metrics
        from edge.server import bind, health_listener, plain_listener
        from edge.service import Service, State, health_application

        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        try:
            versions = await asyncio.gather(
                *(loop.run_in_executor(self._pool, _version) for _ in range(self._config.workers))
            )
        except BrokenProcessPool:
            raise ConfigError("rules.models: a model cannot be used, see above.") from None
        app = Starlette(routes=[Route(DETECT_PATH, self.detect, methods=["POST"])])
        service = Service(app, {DETECT_PATH}, self._problem, self._metrics, _nothing)
        state = State(Metrics(self._config.data_class))
        main = plain_listener(app, affordable(MOST_CONNECTIONS), timeout_graceful_shutdown=10)
        health = health_listener(health_application(service, state))
        where = self._config.listen, self._config.health
        sockets = [bind(each.host, each.port, key) for each, key in zip(where, _KEYS, strict=True)]
        serving = [
            asyncio.create_task(each.serve(sockets=[socket]))
            for each, socket in zip((main, health), sockets, strict=True)
        ]
        write_line("started", mode="detector", rules=versions[0], **{"class": self._config.data_class})
        await stop.wait()
        state.draining = True
        for each, task in zip((main, health), serving, strict=True):
            each.should_exit = True
            await task
        self._pool.shutdown(cancel_futures=True)
        write_line("stopped", mode="detector", **{"class": self._config.data_class})

    async def detect(self, request: Request) -> Response:
        """Texts in, findings out. Nothing of either is written anywhere."""
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._config.max_body_bytes:
                return _error(413, "too_large")
        self._asked += 1
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._pool, look, bytes(body))
        except TooSlow:
            self._slow += 1
            return _error(503, "too_slow")
        except (ValueError, KeyError, TypeError):
            return _error(400, "malformed")
        except BrokenProcessPool:
            self._fault = "a process of the detector ended"
            return _error(500, "broken")
        return Response(answer, media_type="application/json")

    async def _problem(self) -> str | None:
        return self._fault or None

    async def _metrics(self) -> Response:
        return PlainTextResponse(
            f"# TYPE isthmus_detections_total counter\nisthmus_detections_total {self._asked}\n"
            f"# TYPE isthmus_detections_slow_total counter\nisthmus_detections_slow_total {self._slow}\n"
        )


_KEYS = ("listen.port", "health.port")
_detector: Detector | None = None
"""In a worker."""


def _begin(rules: dict[str, Any]) -> None:
    """A worker's beginning."""
    global _detector
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # it ends with its parent, however that ends
    try:
        _detector = Detector(Rules.model_validate(rules))
    except NoModel as error:
        write_line("detector_failed", reason=str(error))
        raise


def _version() -> str:
    assert _detector is not None
    return _detector.version


def look(body: bytes, detector: Detector | None = None) -> bytes:
    """The answer to a request. Raises TooSlow, and ValueError, KeyError or TypeError on one that is none."""
    using = detector or _detector
    assert using is not None
    asked = json.loads(body)
    entities = None if asked["entities"] is None else frozenset(asked["entities"])
    later = None if asked["later"] is None else frozenset(asked["later"])
    results = [
        using.detect(text, asked["languages"], entities=entities, limit_s=float(asked["limit_s"]))
        for text in asked["texts"]
    ]
    said = {
        "sha256": hashlib.sha256(body).hexdigest(),
        "version": using.version,
        "names": using.looks_for_names,
        "reach": asdict(using.reach(later)),
        "results": [
            {
                "findings": [
                    [each.start, each.end, each.entity, each.score, each.rule] for each in one.findings
                ],
                "patterns_only": one.patterns_only,
                "undecided": one.undecided,
            }
            for one in results
        ],
    }
    return json.dumps(said).encode()


async def _nothing() -> None:
    return None


def _error(status: int, code: str) -> Response:
    return JSONResponse({"error": code}, status_code=status)
