"""The gateway's client of the detector. An incomplete, late or implausible answer becomes a 503."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import httpx

from edge import strict_json
from edge.config import Limits, Screening
from edge.openai_api import Refusal
from edge.redaction import Detection, Finding, Reach
from edge.redaction.secrets import SECRET
from edge.upstream import WORKLOAD, Client, plain_headers, read_answer

PATH = "/v1/detect"
MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class DetectorAnswer:
    """The detector's answer about some texts."""

    version: str
    names: bool
    """Whether it looks for names in languages that have a model."""
    reach: Reach
    """Reach of the entities that answers are screened for."""
    detections: list[Detection]


class DetectorClient:
    """The detector client of a gateway."""

    def __init__(self, config: Screening, limits: Limits) -> None:
        self._config = config
        # Plain HTTP on loopback, as the configuration demands.
        self._client = Client(limits, verify=False)
        self._workload = ""

    def of(self, workload: str) -> DetectorClient:
        """A copy of the client for one workload. The detector serves workloads in turn."""
        client = copy.copy(self)
        client._workload = workload
        return client

    async def look(
        self,
        texts: Sequence[str],
        entities: Iterable[str] | None,
        later: Iterable[str] | None = None,
    ) -> DetectorAnswer:
        """Findings of the entities (None: all) in each text. Raises Refusal 503.

        The client adds a made-up key to the texts. A detector that does not find it has no rules or did not run.
        """
        made_up = f"isk_{secrets.token_hex(16)}"
        wanted_entities = None if entities is None else {*entities}
        body = _serialise(
            {
                "texts": [*texts, made_up],
                "entities": None if wanted_entities is None else sorted({*wanted_entities, SECRET}),
                "later": None if later is None else sorted(later),
                "languages": self._config.languages,
                "limit_s": self._config.limit_s,
            }
        )
        try:
            async with asyncio.timeout(self._config.limit_s):
                raw = await self._answer(body)
            response = json.loads(raw)
            if response["sha256"] != hashlib.sha256(body).hexdigest():
                raise ValueError
            answer = _check_response(response, [*texts, made_up])
            *detections, own_detection = answer.detections
            if [(finding.start, finding.end, finding.entity) for finding in own_detection.findings] != [
                (0, len(made_up), SECRET)
            ]:
                raise ValueError
        except (httpx.HTTPError, Refusal, TimeoutError, ValueError, KeyError, TypeError, RecursionError):
            raise screening_unavailable() from None
        if wanted_entities is not None and SECRET not in wanted_entities:
            detections = [_without_secrets(detection) for detection in detections]
        return DetectorAnswer(answer.version, answer.names, answer.reach, detections)

    async def _answer(self, body: bytes) -> bytes:
        response = await self._client.send(
            "POST",
            self._config.detector + PATH,
            body=body,
            headers={**plain_headers("application/json"), WORKLOAD: quote(self._workload)},
        )
        raw = await read_answer(response, MAX_BYTES)
        if response.status_code != 200:
            raise ValueError
        return raw

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def screening_unavailable() -> Refusal:
    """The error for a text that cannot be screened."""
    return Refusal(
        503,
        "screening_unavailable",
        "What passes here is looked through first, and that cannot be done now; try again later.",
    )


def _serialise(request: dict[str, Any]) -> bytes:
    try:
        return strict_json.dump(request)
    except ValueError:
        # A model server's text may hold half of a surrogate pair, which JSON can express as an escape.
        return json.dumps(request).encode()


def _check_response(response: dict[str, Any], texts: Sequence[str]) -> DetectorAnswer:
    """The checked answer for these texts. Raises ValueError, KeyError or TypeError."""
    reach = Reach(**response["reach"])
    if not isinstance(response["version"], str) or len(response["results"]) != len(texts):
        raise ValueError
    if any(type(number) is not int or number < 0 for number in (reach.widest, reach.words)) or not all(
        type(flag) is bool for flag in (reach.groups, reach.lines)
    ):
        raise ValueError
    detections = []
    for text, result in zip(texts, response["results"], strict=True):
        findings, at = [], 0
        for start, end, entity, score, rule in result["findings"]:
            if type(start) is not int or type(end) is not int or not at <= start < end <= len(text):
                raise ValueError
            if not isinstance(entity, str) or not entity.replace("_", "").isalnum() or not entity.isupper():
                raise ValueError
            findings.append(Finding(start, end, entity, float(score), str(rule)))
            at = end
        undecided = result.get("undecided")
        if undecided is not None and (type(undecided) is not int or not 0 <= undecided <= len(text)):
            raise ValueError
        patterns_only = tuple(map(str, result["patterns_only"]))
        detections.append(Detection(tuple(findings), (), patterns_only, undecided))
    return DetectorAnswer(response["version"], response["names"] is True, reach, detections)


def _without_secrets(detection: Detection) -> Detection:
    findings = tuple(finding for finding in detection.findings if finding.entity != SECRET)
    return replace(detection, findings=findings)
