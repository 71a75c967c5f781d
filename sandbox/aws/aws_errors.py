"""What AWS refused, in words: which call of which type, how often it was tried, and what to do.

botocore's standard mode tries a throttled, failing or unanswered call again. It counts the tries; whether
an earlier one may have been done, although nobody heard of it, is noted here.
"""

from __future__ import annotations

import re
import threading
from typing import Any

_NEVER_SENT = ("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError")
"""botocore's errors of a request that reached nobody."""


class CallRefused(Exception):
    """AWS, or botocore's model of it, refused a call: the message for the user, and the code.

    `unsure`: a try of the call had no answer, so it may have been done all the same.
    """

    def __init__(self, message: str, code: str = "", unsure: bool = False) -> None:
        self.code, self.unsure = code, unsure
        super().__init__(message)


class Tries(threading.local):
    """The tries of this thread's latest call."""

    count = 0
    unanswered = 0
    """Tries that ended without an answer, or with one (HTTP 5xx) that says nothing about what was done."""
    again = False
    """Whether the latest try failed in a way that is tried again."""

    def begin(self) -> None:
        self.count, self.unanswered, self.again = 0, 0, False

    def note(self, response: Any = None, caught_exception: Any = None, attempts: int = 1, **_: Any) -> None:
        """A handler of botocore's `needs-retry`, which it emits after every try; decides nothing."""
        if attempts == 1:  # of a listing, every page is a request of its own
            self.begin()
        self.count = attempts
        if caught_exception is not None:
            self.again = _transient(caught_exception)
            self.unanswered += self.again and type(caught_exception).__name__ not in _NEVER_SENT
            return
        status = response[0].status_code if response else 200
        code = response[1].get("Error", {}).get("Code", "") if response else ""
        throttled = code in _throttled()
        self.again = throttled or status in (500, 502, 503, 504)
        self.unanswered += self.again and not throttled


def _transient(error: Exception) -> bool:
    import botocore.exceptions as known

    return isinstance(error, known.ConnectionError | known.HTTPClientError)


def _throttled() -> tuple[str, ...]:
    """botocore's own list of codes, and EC2's and S3's statuses of a request without a body."""
    from botocore.retries.standard import ThrottledRetryableChecker

    return (*ThrottledRetryableChecker._THROTTLED_ERROR_CODES, "503 Slow Down")


def refusal(token: str, service: str, operation: str, error: Exception, tries: Tries) -> CallRefused:
    """`error` of botocore as one paragraph; one that was tried again says how often, and what to do."""
    import botocore.exceptions as known

    if isinstance(error, known.ParamValidationError):
        return CallRefused(f"{token}: {operation}: {_readable(error)}", "ParamValidation")
    if isinstance(error, known.ClientError):
        detail = error.response.get("Error", {})
        code = str(detail.get("Code", ""))
        said = f"{_words(detail.get('Message') or code)} ({code})"
    else:
        code = type(error).__name__
        said = _words(str(error)).rstrip(".")
    unsure = bool(tries.unanswered)
    if not tries.again:
        if unsure:
            said += f". An earlier try of {tries.count} had no answer: it may have been done by that one"
        return CallRefused(f"{token}: {operation}: {said}", code, unsure)
    heard = f"AWS answered {said}" if isinstance(error, known.ClientError) else f"no answer came: {said}"
    doubt = " Whether AWS did it is not known." if unsure else ""
    return CallRefused(
        f"{token}: {operation} of {service} failed at each of {tries.count} tries; at the last, {heard}.{doubt} "
        "Run the same command again: what is made stays, and the rest is made then. "
        "If it fails again, wait some minutes and look at the health and the quotas of the service.",
        code,
        unsure,
    )


def twice(token: str, operation: str, id: str, others: list[str]) -> str:
    """What the state says of `id` when a second one exists, or (none of `others`) nobody knows whether one does."""
    because = (
        f"an earlier try of {operation} had no answer, and AWS takes no token that would make the two one"
    )
    if others:
        named = ", ".join(f"`{other}`" for other in others)
        return (
            f"{token}: `{id}` is made, and {named} is there too, all as was asked: {because}. Delete {named} by hand, "
            "unless another resource or stack has it, then run the same command again; it goes on from here."
        )
    return (
        f"{token}: `{id}` is made, but {because}: a second one may exist, which no stack knows. Look for it by its "
        "tags and delete it by hand, then run the same command again; it goes on from here."
    )


def stranger(token: str, id: str, differing: list[str]) -> str:
    """Why what exists under the name is not taken as this run's own."""
    why = f"differs in {', '.join(differing)}" if differing else "nothing says that it is this run's"
    return (
        f"`{id}` exists, but {why}, so it is not taken over. If it is yours, "
        f"`pulumi import {token} <name> '{id}'`; if not, give the resource another name."
    )


def _words(message: str) -> str:
    """moto answers with a page where it fails itself."""
    page = "<html" in message or "<!doctype html" in message
    return "the endpoint failed inside or lacks this operation" if page else message


def _readable(error: Exception) -> str:
    """botocore's report in one line; it may quote a value, which is cut off: values can be secret."""
    lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
    return (
        "; ".join(re.sub(r", value: .*?(?=, type:|, valid|$)", "", line) for line in lines)
        or "wrong arguments"
    )
