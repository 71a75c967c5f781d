"""One request of a person to the desk, as its pages need it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl

from starlette.requests import Request

from edge.config.desk import Language
from edge.desk.filters import parse_filter
from edge.desk.forms import TOKEN
from edge.reviews.queue import Filter
from edge.reviews.reviewers import Person

FILTER = "filter"
"""Field of a form with the filter of the list."""


@dataclass
class Visit:
    """One request of a person to the desk."""

    request: Request
    language: Language
    session: str
    person: Person | None = None
    form: dict[str, str] = field(default_factory=dict)

    @property
    def reviewer(self) -> Person:
        assert self.person is not None, "every handler runs for a person"
        return self.person

    @property
    def wants_json(self) -> bool:
        """Whether the desk's script sent the request."""
        return self.request.headers.get("accept", "") == "application/json"

    @property
    def held_id(self) -> str:
        return self.request.path_params["id"]

    @cached_property
    def wanted(self) -> Filter:
        """The filter with which the person works through a list. Raises Refusal 400."""
        if self.form:
            return parse_filter(dict(parse_qsl(self.form.get(FILTER, "")[:4000])))
        return parse_filter(self.request.query_params)

    @property
    def typed(self) -> dict[str, str]:
        """What the person typed or chose in the form."""
        return {name: value for name, value in self.form.items() if name != TOKEN}
