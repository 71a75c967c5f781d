"""Turns refused and failed AWS calls into messages: the call, the resource type, the number of tries, and the fix.

botocore's standard mode retries a throttled, failed or unanswered call. This module counts the tries, and records
whether AWS may have executed one that had no answer.
"""

from __future__ import annotations

import re
import threading
from typing import Any

_NEVER_SENT = ("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError")
"""botocore's errors of a request that was never sent."""


class CallRefused(Exception):
    """AWS, or botocore's validation, refused a call. Holds the message for the user and the error code.

    `unsure`: a try of the call had no answer, so AWS may have executed it.
    """

    def __init__(self, message: str, code: str = "", unsure: bool = False) -> None:
        self.code, self.unsure = code, unsure
        super().__init__(message)


class Tries(threading.local):
    """The tries of this thread's last call."""

    count = 0
    unanswered = 0
    """Tries without an answer, or with HTTP 5xx: AWS may have executed the call."""
    will_retry = False
    """True if the last try failed in a way that botocore retries."""

    def begin(self) -> None:
        self.count, self.unanswered, self.will_retry = 0, 0, False

    def note(self, response: Any = None, caught_exception: Any = None, attempts: int = 1, **_: Any) -> None:
        """Handle botocore's event `needs-retry`, which comes after every try. Does not decide about the retry."""
        if attempts == 1:  # each page of a listing starts to count again
            self.begin()
        self.count = attempts
        if caught_exception is not None:
            self.will_retry = _transient(caught_exception)
            self.unanswered += self.will_retry and type(caught_exception).__name__ not in _NEVER_SENT
            return
        status = response[0].status_code if response else 200
        code = response[1].get("Error", {}).get("Code", "") if response else ""
        throttled = code in _throttled()
        self.will_retry = throttled or status in (500, 502, 503, 504)
        self.unanswered += self.will_retry and not throttled


def _transient(error: Exception) -> bool:
    import botocore.exceptions as known

    return isinstance(error, known.ConnectionError | known.HTTPClientError)


def _throttled() -> tuple[str, ...]:
    """Return the codes that botocore treats as throttling, and the status of a throttled request without a body."""
    from botocore.retries.standard import ThrottledRetryableChecker

    return (*ThrottledRetryableChecker._THROTTLED_ERROR_CODES, "503 Slow Down")


def refusal(token: str, service: str, operation: str, error: Exception, tries: Tries) -> CallRefused:
    """Return botocore's `error` as a refusal with a one-paragraph message.

    If the call was retried, the message gives the number of tries and what to do.
    """
    import botocore.exceptions as known

    if isinstance(error, known.ParamValidationError):
        return CallRefused(f"{token}: {operation}: {_readable(error)}", "ParamValidation")
    if isinstance(error, known.ClientError):
        detail = error.response.get("Error", {})
        code = str(detail.get("Code", ""))
        reason = f"{_redacted_message(detail.get('Message') or code)} ({code})"
    else:
        code = type(error).__name__
        reason = _redacted_message(str(error)).rstrip(".")
    unsure = bool(tries.unanswered)
    if not tries.will_retry:
        if unsure:
            reason += f". An earlier try of {tries.count} had no answer: AWS may have executed that one"
        return CallRefused(f"{token}: {operation}: {reason}", code, unsure)
    heard = f"AWS answered {reason}" if isinstance(error, known.ClientError) else f"no answer came: {reason}"
    doubt = " Whether AWS did it is not known." if unsure else ""
    return CallRefused(
        f"{token}: {operation} of {service} failed at each of {tries.count} tries; at the last, {heard}.{doubt} "
        "Run the same command again: resources that exist stay, and the missing ones are created. "
        "If it fails again, wait some minutes and check the health and the quotas of the service.",
        code,
        unsure,
    )


def duplicate_creation_message(token: str, operation: str, id: str, duplicate_ids: list[str]) -> str:
    """Return the message for a resource that AWS may have created twice. `duplicate_ids` is empty if unknown."""
    because = f"an earlier try of {operation} had no answer, and the call has no idempotency token against duplicates"
    if duplicate_ids:
        duplicates = ", ".join(f"`{duplicate_id}`" for duplicate_id in duplicate_ids)
        return (
            f"{token}: `{id}` is created, but {duplicates} exists too, with the same settings: {because}. "
            f"Delete {duplicates} by hand, unless another resource or stack has it, then run the same command again; "
            "it continues from here."
        )
    return (
        f"{token}: `{id}` is created, but {because}: a second one may exist that is in no stack. Find it by its "
        "tags and delete it by hand, then run the same command again; it continues from here."
    )


def foreign_resource_message(token: str, id: str, differing: list[str]) -> str:
    """Return why an existing resource of the same name is not adopted."""
    why = (
        f"it differs in {', '.join(differing)}"
        if differing
        else "it cannot be shown that this run created it"
    )
    return (
        f"`{id}` exists, but {why}, so it is not adopted. If it is yours, run "
        f"`pulumi import {token} <name> '{id}'`. If not, give the resource another name."
    )


def _redacted_message(message: str) -> str:
    """Replace the HTML page that moto returns after an internal error."""
    page = "<html" in message or "<!doctype html" in message
    return "the endpoint had an internal error or does not support this operation" if page else message


def _readable(error: Exception) -> str:
    """Return botocore's report in one line, without the values that it quotes: values can be secret."""
    lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
    return (
        "; ".join(re.sub(r", value: .*?(?=, type:|, valid|$)", "", line) for line in lines)
        or "wrong arguments"
    )
