"""Who uses the chat: the person of a verified access token, and the workloads of their groups."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from edge.callers.session import person_of_session
from edge.callers.tokens import Person, Verifier
from edge.config.chat import ChatConfig
from edge.openai_api import Refusal

COOKIE = "isthmus_access_token"
"""Cookie in which the token goes to the chat, and with each question back from it."""


@dataclass(frozen=True)
class Visitor:
    """A person with a verified token."""

    person: Person
    token: str
    workloads: frozenset[str]

    @property
    def account(self) -> str:
        """The name of the person's account in the chat: made of issuer and subject, so that nobody inherits histories
        with a mail address."""
        return f"{hashlib.sha256(self.person.subject.encode()).hexdigest()[:32]}@person.invalid"


class SignOn:
    """Verifies tokens for the chat. Raises Refusal 401, 403 or 503."""

    def __init__(self, config: ChatConfig) -> None:
        self._config, self._verifier = config, Verifier(config.tokens)

    async def visitor(self, token: str) -> Visitor:
        """The person of a token. A person without a workload here does not get in."""
        person = await person_of_session(self._verifier, token, self._config.max_session_s)
        workloads = frozenset(
            grant.workload
            for grant in self._config.tokens.workloads
            if person.groups.intersection(grant.groups)
        )
        if not workloads:
            raise Refusal(
                403,
                "no_workload",
                f"None of your groups may use this chat of class {self._config.data_class}. Ask whoever manages the "
                "groups.",
            )
        return Visitor(person, token, workloads)
