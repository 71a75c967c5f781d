"""Who uses the desk: the person of a verified access token, with the roles of their groups."""

from __future__ import annotations

import re
from collections.abc import Callable

from edge.callers.session import person_of_session
from edge.callers.tokens import Verifier
from edge.config.desk import Desk
from edge.config.review import REVIEWER
from edge.config.tokens import AcceptedTokens
from edge.openai_api import Refusal
from edge.reviews.identity import fold
from edge.reviews.reviewers import Person, Scope


class DeskSignOn:
    """Makes reviewers and auditors of people with tokens. Raises Refusal 401, 403 or 503."""

    def __init__(self, tokens: AcceptedTokens, desk: Desk, pseudonym: Callable[[str], str]) -> None:
        """`pseudonym`: what records have in place of a person's subject, as at the gateways."""
        self._desk, self._verifier, self._pseudonym = desk, Verifier(tokens), pseudonym

    async def visitor(self, token: str) -> Person:
        """The person of a token. A person without a role here does not get in."""
        signed_on = await person_of_session(self._verifier, token, self._desk.max_session_s)
        # One form of the name, so that one person is one approver, by a key, a certificate or a token.
        name = fold(signed_on.name)
        if not re.fullmatch(REVIEWER, name):
            raise Refusal(
                403,
                "unusable_name",
                "Your name at the sign-on cannot be used in records. Ask its operators for a name of letters a-z, "
                "digits and . _ @ + -.",
            )
        scopes = tuple(
            Scope(
                group.role,
                None if group.workloads is None else frozenset(group.workloads),
                None if group.domains is None else frozenset(group.domains),
                ", ".join(sorted(signed_on.groups.intersection(group.groups))),
            )
            for group in self._desk.groups
            if signed_on.groups.intersection(group.groups)
        )
        if not scopes:
            raise Refusal(
                403, "no_role", "None of your groups has a role at this desk. Ask whoever manages the groups."
            )
        return Person(name, f"person:{self._pseudonym(signed_on.subject)}", scopes)
