"""Asks each model of a gateway a fixed question in turn, so that a model that hangs is noticed while nobody calls it.

A probe goes the way of a caller's request: the same certificate, sidecar or translator. It is no request: it has no
caller, takes no caller's place, and is in no metric of requests, account, trace or record.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import httpx

from edge.config import ModelProbes
from edge.config.routes import Canary
from edge.deadlines import TIMEOUT
from edge.journal import write_line
from edge.metrics import ModelProbeMetrics
from edge.openai_api import Refusal, dump
from edge.routing import Endpoint, RoutedModel, Router
from edge.routing.replica import Replica
from edge.tasks import TASKS, Task
from edge.upstream import WORKLOAD, plain_headers, read_answer

QUESTIONS: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 1},
    "embedding": {"input": "yes"},
    "rerank": {"query": "yes", "documents": ["yes"]},
}
"""The question by the task of a route. It holds no fields that a model might not take."""
SIGN_OF_LIFE = 2
"""Intervals after its last answer to a caller in which a full model counts as busy. After that it is asked in any case:
a model that hangs is full, too."""
MOST_BYTES = 1024 * 1024
"""Maximum size of an answer. Vectors are the largest."""

Outcome = Literal["ok", "not_needed", "busy", "refused", "failed"]
"""`not_needed`: it has answered a caller. `refused`: the server takes no such question (400 or 422)."""


class _Failed(Exception):
    """A probe failed. The message says how, without an address."""


@dataclass
class ProbedModel:
    """A model at an endpoint, and the routes that lead to it."""

    endpoint: Endpoint
    model: str
    """Its name there."""
    task: Task
    question: dict[str, Any]
    routes: list[tuple[RoutedModel, bool]] = field(default_factory=list)
    """Each with whether it leads there as to its canary."""
    since: float = field(default_factory=time.monotonic)
    failures: int | None = None
    """Probes in a row that no replica answered. None: nothing is known of it."""
    told: tuple[bool | None, dict[str, str], bool] = (None, {}, False)
    """What the journal has of it: `answers`, why replicas failed by their address, whether it refuses the question."""

    @property
    def answers(self) -> bool | None:
        """Whether a replica answered the last probe. None: unknown."""
        return None if self.failures is None else self.failures == 0


class ModelProber:
    """The probes of one gateway. Belongs to one event loop."""

    def __init__(
        self,
        config: ModelProbes,
        router: Router,
        metrics: ModelProbeMetrics,
        is_used: Callable[[RoutedModel, bool], bool],
    ) -> None:
        """`is_used`: whether callers can reach a route's model now, or with True its canary."""
        self._config, self._metrics, self._is_used = config, metrics, is_used
        self.models = probed_models(router)

    @property
    def background(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Loops that a gateway runs: one for each model."""
        return [partial(self._probing, model) for model in self.models]

    async def _probing(self, model: ProbedModel) -> None:
        """Probe a model in a loop. The copies of a gateway begin at different times."""
        await asyncio.sleep(random.uniform(0, self._config.interval_s))  # noqa: S311 (no secret)
        while True:
            began = time.monotonic()
            await self.probe(model)
            await asyncio.sleep(max(0.0, began + self._config.interval_s - time.monotonic()))

    async def probe(self, model: ProbedModel) -> None:
        """Ask each healthy replica of a model once, or each one if none is healthy, and export what came of it."""
        used = [route for route, is_canary in model.routes if self._is_used(route, is_canary)]
        if not used:
            self._forget(model)
            return
        headers = plain_headers("application/json") | {TIMEOUT: f"{self._config.timeout_s:.3f}"}
        if used[0].route.named:
            headers[WORKLOAD] = used[0].route.workload
        replicas = model.endpoint.replicas
        asked = [replica for replica in replicas if replica.health.good] or replicas
        failed: dict[str, str] = {}
        outcomes = await asyncio.gather(
            *(self._outcome(model, replica, headers, failed) for replica in asked)
        )
        self._note(model, Counter(outcomes), failed)

    async def _outcome(
        self, model: ProbedModel, replica: Replica, headers: dict[str, str], failed: dict[str, str]
    ) -> Outcome:
        """Ask one replica, unless it has answered a caller or is full. Adds to `failed` why it failed."""
        seconds: float | None = None
        idle_s = replica.answered_s(model.model)
        alive_s = min(idle_s, time.monotonic() - model.since)
        may_be_busy = alive_s < SIGN_OF_LIFE * self._config.interval_s
        window = model.endpoint.window
        if idle_s < self._config.interval_s:
            outcome: Outcome = "not_needed"
        elif may_be_busy and window is not None and not window.room(batch=False):
            outcome = "busy"
        else:
            began = time.monotonic()
            try:
                outcome = await self._ask(model, replica, headers)
                seconds = time.monotonic() - began if outcome == "ok" else None
            except (TimeoutError, httpx.TimeoutException):
                outcome = "busy" if may_be_busy and replica.waiting else "failed"
                if outcome == "failed":
                    failed[replica.address] = "no answer in time"
            except (httpx.HTTPError, Refusal, _Failed) as error:
                outcome = "failed"
                failed[replica.address] = _reason(error)
        self._metrics.add(model.endpoint.name, model.model, outcome, seconds)
        return outcome

    async def _ask(
        self, model: ProbedModel, replica: Replica, headers: dict[str, str]
    ) -> Literal["ok", "busy", "refused"]:
        """Send the question over a new connection and check the answer. Raises _Failed, TimeoutError, httpx.HTTPError
        or Refusal.
        """
        body = dump({**model.question, "model": model.model})
        async with asyncio.timeout(self._config.timeout_s):
            response = await model.endpoint.post(
                model.task.sent_to, headers, body, replica=replica, fresh=True
            )
            raw = await read_answer(response, MOST_BYTES)
        if response.status_code == 429:
            return "busy"
        if response.status_code in (400, 422):
            return "refused"
        if response.status_code != 200:
            raise _Failed(f"status {response.status_code}")
        try:
            answer = model.task.answer.validate_python(json.loads(raw))
        except (ValueError, RecursionError):
            raise _Failed("an answer that cannot be read") from None
        if not answer[model.task.holds]:
            raise _Failed("an empty answer")
        return "ok"

    def _note(self, model: ProbedModel, outcomes: Counter[Outcome], failed: dict[str, str]) -> None:
        if outcomes["ok"] or outcomes["not_needed"]:
            model.failures = 0
        elif failed and not outcomes["busy"]:
            model.failures = (model.failures or 0) + 1
        elif not outcomes["busy"]:  # the server refuses the question, so nothing is known of the model
            model.failures = None
        answers, refuses = model.answers, outcomes["refused"] > 0
        if (answers, failed, refuses) != model.told:
            model.told = answers, failed, refuses
            place = {"endpoint": model.endpoint.name, "model": model.model}
            write_line("model_probe", **place, answers=answers, failed=failed, refused=refuses)
        if model.failures is None:
            self._metrics.forget(model.endpoint.name, model.model)
        else:
            self._metrics.note(
                model.endpoint.name, model.model, failures=model.failures, replicas=len(failed)
            )

    def _forget(self, model: ProbedModel) -> None:
        model.failures, model.told = None, (None, {}, False)
        self._metrics.forget(model.endpoint.name, model.model)


def _reason(error: Exception) -> str:
    if isinstance(error, _Failed):
        return str(error)
    if isinstance(error, Refusal):
        return "an answer that is too large"
    return "no connection" if isinstance(error, httpx.ConnectError) else "a broken connection"


def probed_models(router: Router) -> list[ProbedModel]:
    """The models that a gateway asks: each model at each endpoint once. One that any place leaves out is left out."""
    found: dict[tuple[Endpoint, str], ProbedModel] = {}
    left_out: set[tuple[Endpoint, str]] = set()
    for routed_model in router.models:
        for upstream in routed_model.upstreams:
            task, place = routed_model.route.task, upstream.place
            key = upstream.endpoint, place.model
            if not place.is_probed:
                left_out.add(key)
                continue
            model = found.setdefault(
                key, ProbedModel(upstream.endpoint, place.model, TASKS[task], QUESTIONS[task])
            )
            model.routes.append((routed_model, isinstance(place, Canary)))
    return [model for key, model in found.items() if key not in left_out]
