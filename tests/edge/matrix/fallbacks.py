"""Fallbacks to another model: within the class, in the cloud, and of another class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.edge.matrix.answers import Answer, ask, chat
from tests.edge.matrix.lanes import SPARE_MODEL, Lane, MatrixSetup, server_name

CAUSE = "model_unavailable"
"""Code of the refusal for which the request goes to the fallback."""


def within_class(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """The second model of the class answers, and journal and audit record say why."""
    for stream in (False, True):
        answer = ask(lane, chat(lane, marker, "fallback", stream=stream), kind="fallback")
        yield answer if _is_recorded(lane, answer) else replace(answer, says=f"{answer.status} unrecorded")


def other_class(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """The file names a server of another class. The gateway connects to it, and it refuses the connection."""
    for name, server in _foreign_servers(lane, setup):
        for stream in (False, True):
            body = {**chat(lane, marker, stream=stream), "model": f"{lane.workload('stray')}-{name}"}
            answer = ask(lane, body, kind="stray")
            tried = [record["to"]["server"] for record in _records(lane, answer, "intent")]
            yield (
                answer if server in tried else replace(answer, says=f"{answer.status} {server} was not tried")
            )


def _foreign_servers(lane: Lane, setup: MatrixSetup) -> Iterator[tuple[str, str]]:
    """End of the route's name and the server's name, for each server of another class."""
    for other in setup.models:
        if other == lane.data_class:
            continue
        yield other, server_name(other, "sidecar")
        if other in setup.lanes and setup.lanes[other].translated:
            yield f"{other}-cloud", server_name(other, "translator")


def _is_recorded(lane: Lane, answer: Answer) -> bool:
    line = lane.gateway.wait_for_line("request", request_id=answer.request_id)
    return line.get("fallback") == CAUSE and [
        (outcome.get("fallback"), outcome["ran"]["model"]) for outcome in _records(lane, answer, "outcome")
    ] == [(CAUSE, SPARE_MODEL)]


def _records(lane: Lane, answer: Answer, kind: str) -> list[dict[str, Any]]:
    assert answer.request_id is not None
    return [record for record in lane.audited.of(answer.request_id) if record["kind"] == kind]
