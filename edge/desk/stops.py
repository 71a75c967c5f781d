"""The desk's page of stops: seniors stop a workload, and two people restart it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from starlette.responses import Response

from edge.desk.pages import known_text
from edge.desk.visit import Visit
from edge.openai_api import Refusal
from edge.reviews.queue import Queue
from edge.reviews.reviewers import Person
from edge.reviews.stop_desk import StopDesk
from edge.stops import MOST_MESSAGE
from edge.stops.acts import RESTART_REASON

PATH = "/stops"
_TYPED = ("workload", "reason", "message")
_ELSEWHERE = (401, 503)
"""Refusals that have the desk's own page: sign on again, or try again later."""


class StopPages:
    """The page of one desk."""

    def __init__(
        self,
        stops: StopDesk,
        queue: Queue,
        page: Callable[[Visit, str, Mapping[str, Any], int], Response],
        go: Callable[[Visit, str], Response],
    ) -> None:
        """`page`: renders a template. `go`: sends the browser to a path."""
        self._stops, self._queue, self._page, self._go = stops, queue, page, go

    async def show(self, visit: Visit) -> Response:
        """The stops in effect, and the form of a new one."""
        return await self._shown(visit)

    async def stop(self, visit: Visit) -> Response:
        """Stop a workload."""
        form = {name: visit.form.get(name, "").strip() for name in _TYPED}
        return await self._acted(visit, self._stops.stop(visit.reviewer, **form), form)

    async def restart(self, visit: Visit) -> Response:
        """Ask for a restart; the second person's question restarts the workload."""
        stop_id = visit.request.path_params["stop"]
        return await self._acted(visit, self._stops.restart(visit.reviewer, stop_id, RESTART_REASON), {})

    async def _acted(
        self, visit: Visit, act: Awaitable[dict[str, Any]], typed: Mapping[str, str]
    ) -> Response:
        try:
            done = await act
        except Refusal as refusal:
            if refusal.status in _ELSEWHERE:
                raise
            visit.request.state.exchange.code = refusal.code
            text = known_text(visit.language, "stop_refusal", refusal.code)
            problem = refusal.message if text == refusal.code else text
            return await self._shown(visit, typed=typed, problem=problem, status=refusal.status)
        return self._go(visit, f"{PATH}?done={done['outcome']}")

    async def _shown(
        self, visit: Visit, *, typed: Mapping[str, str] | None = None, problem: str = "", status: int = 200
    ) -> Response:
        person = visit.reviewer
        done = visit.request.query_params.get("done", "")
        values = {
            "list_name": "stops",
            "stops": [_listed(person, stop) for stop in await self._stops.listed(person, ended=False)],
            "may_stop": any(scope.role == "senior" and scope.domains is None for scope in person.scopes),
            "workloads": [
                name for name in await self._queue.workloads() if person.is_senior(name, domain=None)
            ],
            "typed": {**dict.fromkeys(_TYPED, ""), **(typed or {})},
            "most_message": MOST_MESSAGE,
            "problem": problem,
            "done": done if done in ("stopped", "already", "asked", "restarted") else "",
        }
        return self._page(visit, "stops.html", values, status)


def _listed(person: Person, stop: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **stop,
        "stopped_at": datetime.fromisoformat(stop["stopped_at"]),
        "acts": [{**act, "at": datetime.fromisoformat(act["at"])} for act in stop["acts"]],
        "may_restart": person.is_senior(stop["workload"], domain=None),
    }
