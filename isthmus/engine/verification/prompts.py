"""Sends a prompt through a gateway as an application does, follows a held answer, and finds the sealed record."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import httpx

from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.engine.verification.access import Client, GatewayAccess, RecordAccess, Reviewer

PROMPT = "Please write one short English sentence that greets Anna Schmidt of Hamburg."
"""Names a person, so that you see what is redacted before it leaves the site."""
ANSWER_S = 120.0
SEALED_S = 60.0
"""Seconds until the record must be in a seal. Sealers seal every few seconds."""
Outcome = Literal["answered", "approved", "held", "refused", "missing"]


@dataclass
class Verified:
    """What one prompt showed."""

    data_class: str
    site: str
    workload: str
    outcome: Outcome
    """`approved`: it was held, and people approved it. `missing`: there is no answer."""
    text: str = ""
    """The answer, or why there is none."""
    held_because: list[str] = field(default_factory=list)
    model: str = ""
    target: str = ""
    server: str = ""
    """The model's server, as the record names it."""
    verdicts: list[str] = field(default_factory=list)
    score: float | None = None
    """Share of such answers that are right, by the calibration; None without one."""
    request_id: str = ""
    seal: int | None = None
    """Number of the seal that holds the record."""
    seconds: float = 0.0
    """From the request to the answer or the refusal."""

    @property
    def well(self) -> bool:
        """Whether the gateway answered as it should, and the record is sealed."""
        return self.outcome != "missing" and (self.seal is not None or not self.record_wanted)

    record_wanted: bool = True


def send_prompt(access: GatewayAccess, prompt: str) -> Verified:
    """Send one prompt, and let the reviewers of the access approve the answer if it is held.

    Raises `InputError` if a file that the access names cannot be read.
    """
    found = Verified(access.data_class, access.site, access.workload, "missing")
    found.record_wanted = access.record is not None
    try:
        with open_client(access) as http:
            _ask(http, access, prompt, found)
            if found.outcome == "held" and access.reviewers:
                _let_approve(http, access, found)
    except httpx.HTTPError as error:
        request = error.request.url if getattr(error, "_request", None) else access.url
        found.outcome, found.text = "missing", f"{request}: {str(error).splitlines()[0]}"
    return found


def _ask(http: httpx.Client, access: GatewayAccess, prompt: str, found: Verified) -> None:
    began = time.monotonic()
    path, request = "/v1/chat/completions", dict[str, object](model=access.workload)
    if access.task == "embedding":
        path, request["input"] = "/v1/embeddings", prompt
    else:
        request |= {"messages": [{"role": "user", "content": prompt}], "max_tokens": 60}
    headers = {"authorization": f"Bearer {_read(access.key).strip()}"}
    response = http.post(path, json=request, headers=headers)
    found.seconds = time.monotonic() - began
    found.request_id = response.headers.get("x-request-id", "")
    _take(response, found)


def _take(response: httpx.Response, found: Verified) -> None:
    """Read a response of the gateway."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    if response.status_code == 200 and body.get("choices"):
        found.outcome = "answered"
        found.text = str(body["choices"][0]["message"].get("content") or "")
        found.model = str(body.get("model", ""))
        return
    if response.status_code == 200 and body.get("data"):
        found.outcome = "answered"
        found.text = f"a vector of {len(body['data'][0]['embedding'])} numbers"
        found.model = str(body.get("model", ""))
        return
    if response.status_code == 202:
        found.outcome, found.text = "held", f"people decide until {body.get('decide_by', 'the deadline')}"
        return
    error = body.get("error") or {}
    found.text = f"{response.status_code}: {error.get('message') or response.text[:200]}"
    # A refusal of this prompt by policy is an answer of the gateway; everything else is none.
    if response.status_code in (400, 422) and error.get("code") not in (None, "invalid_request"):
        found.outcome = "refused"


def _let_approve(http: httpx.Client, access: GatewayAccess, found: Verified) -> None:
    """Let the reviewers read and approve the held answer one after the other, and fetch it."""
    for reviewer in access.reviewers:
        if _approve(reviewer, found.request_id):
            break
    headers = {"authorization": f"Bearer {_read(access.key).strip()}"}
    response = http.get(f"/v1/reviews/{found.request_id}", headers=headers)
    _take(response, found)
    if found.outcome == "answered":
        found.outcome = "approved"


def _approve(reviewer: Reviewer, request_id: str) -> bool:
    """Whether nobody else needs to approve. Raises httpx.HTTPError."""
    with open_client(reviewer) as http:
        claimed = http.post(f"/v1/reviews/{request_id}/claim").raise_for_status().json()
        decision = {"version": claimed["version"], "sha256": claimed["sha256"]}
        approved = http.post(f"/v1/reviews/{request_id}/approve", json=decision).raise_for_status().json()
        return bool(approved.get("status") == "approved")


def find_record(record: RecordAccess, store: Any, found: Verified) -> None:
    """Wait until the request's record is sealed, and read from it what served the request.

    `store`: the opened store (`edge.audit.stores`). The whole record before is verified too.

    Raises:
        InputError: the public key cannot be read.
        EnvironmentFault: the store does not answer, or the record is not proven.
    """
    from edge.audit.seal_format import read_pem
    from edge.audit.stores import StoreFault
    from edge.audit.verify import verify

    try:
        keys = read_pem(record.public_key)
    except (OSError, ValueError) as error:
        raise InputError(f"the public key cannot be read: {error}", where=str(record.public_key)) from None

    def look(entry: dict[str, Any], seal: Any) -> None:
        if seal is not None and entry["kind"] == "outcome" and entry["id"] == found.request_id:
            _take_record(entry, seal.number, found)

    end = time.monotonic() + SEALED_S
    while found.seal is None and time.monotonic() < end:
        try:
            proof = verify(store, keys, now=datetime.now(UTC), on_record=look)
        except StoreFault as error:
            raise EnvironmentFault(str(error), where=record.store) from None
        if proof.findings:
            raise EnvironmentFault(
                f"the record is not proven: {proof.findings[0]}",
                where=record.store,
                fix="Run `isthmus audit verify` on it",
            )
        if found.seal is None:
            time.sleep(1)


def _take_record(outcome: Mapping[str, Any], seal: int, found: Verified) -> None:
    found.seal, found.verdicts = seal, list(outcome["verdicts"])
    found.held_because = list((outcome["held"] or {}).get("why", []))
    found.score = (outcome["confidence"] or {}).get("score")
    if ran := outcome["ran"]:
        found.model, found.target, found.server = ran["model"], ran["target"] or "", ran["server"]


@contextmanager
def open_client(access: Client) -> Iterator[httpx.Client]:
    """An HTTP client with the certificate of whoever calls. Raises `InputError` if a file cannot be read."""
    try:
        tls = ssl.create_default_context(cafile=str(access.ca) if access.ca else None)
        if access.certificate is not None:
            tls.load_cert_chain(access.certificate, access.certificate_key)
    except (OSError, ssl.SSLError) as error:
        where = str(access.certificate or access.ca)
        raise InputError(f"the certificate cannot be read: {error}", where=where) from None
    with httpx.Client(base_url=access.url, verify=tls, timeout=ANSWER_S, trust_env=False) as client:
        yield client


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the key cannot be read: {error}", where=str(file)) from None
