"""`GET /v1/workloads`: a caller's own workloads, whether people stopped them, and for owners what they have used."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.responses import JSONResponse, Response

from edge.allowance.allowances import Allowances, MonthlyUse
from edge.callers import Caller
from edge.database import DatabaseDown
from edge.openai_api import Refusal
from edge.stops.watch import StopWatch

PATH = "/v1/workloads"


class OwnWorkloads:
    """What a gateway tells callers of their own workloads, and of no others."""

    def __init__(self, stops: StopWatch, allowances: Allowances) -> None:
        self._stops, self._allowances = stops, allowances

    async def look(self, caller: Caller) -> Response:
        """The caller's workloads. Raises Refusal 503 if an owner's figures cannot be read."""
        try:
            used = await self._allowances.this_month(caller.owned)
        except DatabaseDown:
            raise Refusal(
                503, "accounts_unavailable", "The gateway cannot read what was used now. Try again."
            ) from None
        entries = [self._entry(name, used.get(name)) for name in caller.own]
        return JSONResponse({"object": "list", "data": entries})

    def _entry(self, name: str, used: list[MonthlyUse] | None) -> dict[str, Any]:
        """A workload. `used`: what an owner sees; None for others."""
        message = self._stops.message_of(name)
        entry: dict[str, Any] = {
            "id": name,
            "object": "workload",
            "status": "stopped" if message else "in_service",
        }
        if message:
            entry["message"] = message
        if used is not None:
            entry["this_month"] = [asdict(use) for use in used]
        return entry
