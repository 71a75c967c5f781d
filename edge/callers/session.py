"""People who signed on at the sign-on's proxy: the access token of a page's request, and the age of the session."""

from __future__ import annotations

import time

from edge.callers.tokens import Person, Verifier
from edge.openai_api import Refusal

HEADER = "x-forwarded-access-token"
"""Header in which the sign-on's proxy sends the access token. No other header about a person is read."""


async def person_of_session(verifier: Verifier, token: str, max_session_s: int) -> Person:
    """The person of a token, who signed on at most `max_session_s` ago. Raises Refusal 401 or 503."""
    if not token:
        raise Refusal(401, "not_signed_on", "Sign on first.")
    person = await verifier.person(token)
    if person.signed_on_at is None:
        raise Refusal(
            401,
            "no_sign_on_time",
            "The token does not say when you signed on (claim auth_time). Ask the sign-on's operators to add it.",
        )
    if time.time() - person.signed_on_at > max_session_s:
        raise Refusal(401, "session_over", "You signed on too long ago. Sign on again.")
    return person
