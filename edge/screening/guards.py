"""Guards of requests and answers. Each verdict is recorded with the version of rules or model that gave it."""

from __future__ import annotations

import json
from collections.abc import Iterable

import httpx

from edge.config import Guard, GuardModel, Limits, UpstreamTls
from edge.exchange import Exchange
from edge.openai_api import CHAT_PATH, Refusal, dump
from edge.redaction import Finding
from edge.routing.endpoint import Endpoint
from edge.screening.client import screening_unavailable
from edge.upstream import plain_headers, read_answer

MAX_BYTES = 64 * 1024


def record_verdict(exchange: Exchange, guard: str, version: str, verdict: str) -> None:
    """Record a verdict once, as `name@version: verdict`. The text is not recorded."""
    entry = f"{guard}@{version}: {verdict}"
    if entry not in exchange.verdicts:
        exchange.verdicts.append(entry)


def blocked_refusal(guard: Guard) -> Refusal:
    """The error for a request that a guard refuses. It does not tell what the guard found."""
    subject = (
        "request" if guard.on == "prompts" else "answer" if guard.on == "outputs" else "request or its answer"
    )
    return Refusal(400, "content_blocked", f"The guard {guard.name!r} does not let this {subject} pass.")


def judge_entities(
    guards: Iterable[Guard], findings: Iterable[Finding], version: str, exchange: Exchange
) -> None:
    """Apply the guards of entities to the findings. Raises Refusal 400 for the first guard that refuses."""
    found_entities = {finding.entity for finding in findings}
    for guard in guards:
        if guard.entities is None or not (matched := sorted(found_entities & {*guard.entities})):
            continue
        apply_verdict(guard, version, exchange, f" {','.join(matched)}")


def apply_verdict(guard: Guard, version: str, exchange: Exchange, detail: str = "") -> None:
    """Record the verdict of a guard that found something, and mark the answer for review or raise Refusal 400."""
    verdict = {"refuse": "refused", "redact": "redacted", "record": "seen", "review": "to be reviewed"}[
        guard.then
    ]
    record_verdict(exchange, guard.name, version, f"{verdict}{detail}")
    if guard.then == "refuse":
        raise blocked_refusal(guard)
    if guard.then == "review" and guard.name not in exchange.reviewing:
        exchange.reviewing.append(guard.name)


class Judge:
    """A guard model. It gets a chat request and answers `safe`, or `unsafe` with a reason."""

    def __init__(self, model: GuardModel, tls: UpstreamTls, limits: Limits) -> None:
        self._model, self.endpoint = model, Endpoint(model.url, model.server_name, tls, limits)

    async def judge(self, guard: Guard, conversation: list[tuple[str, str]], exchange: Exchange) -> None:
        """Raise Refusal 400 if the model says `unsafe` and the guard refuses, and 503 if it says neither word."""
        body = {
            "model": self._model.model,
            "messages": [{"role": role, "content": text} for role, text in conversation],
            "temperature": 0,
            "max_tokens": 32,
        }
        try:
            response = await self.endpoint.post(CHAT_PATH, plain_headers("application/json"), dump(body))
            raw = await read_answer(response, MAX_BYTES)
            if response.status_code != 200:
                raise ValueError
            verdict = json.loads(raw)["choices"][0]["message"]["content"].split()[0].lower()
            if verdict not in ("safe", "unsafe"):
                raise ValueError
        except (httpx.HTTPError, Refusal, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            record_verdict(exchange, guard.name, self._model.model, "no answer")
            raise screening_unavailable() from None
        if verdict == "safe":
            record_verdict(exchange, guard.name, self._model.model, "safe")
            return
        apply_verdict(guard, self._model.model, exchange)
