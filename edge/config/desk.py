"""Settings `desk` of `mode: reviews`: the pages on which people decide, and who may do what there."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from edge.config.base import Listen, Name, Strict

Role = Literal["reviewer", "senior", "auditor", "owner"]
SEEING_ROLES: tuple[Role, ...] = ("reviewer", "senior", "auditor")
"""Roles that see the desk's lists."""
BOARD_ROLES: tuple[Role, ...] = ("senior", "auditor", "owner")
"""Roles that read the board."""
Language = Literal["en", "de"]
Label = Annotated[str, Field(min_length=1, max_length=80)]
SessionSeconds = Annotated[int, Field(ge=300, le=86400)]
SESSION_S = 28800
People = Literal["none", "aggregate", "pseudonymous"]
"""How much the board says of people: nothing, of groups of five or more, or of each under a month's pseudonym."""
SecondLookRate = Annotated[float, Field(ge=0, le=0.1)]
MOST_GUIDELINE = 64 * 1024
"""Characters of a guideline at most."""
MOST_PLANTED = 32 * 1024
"""Characters of the request or the answer of a planted answer at most."""


class DeskGroup(Strict):
    """Groups of the sign-on whose people have a role for the answers of some domains or workloads."""

    groups: Annotated[list[Name], Field(min_length=1)]
    """Groups of the claim `tokens.groups_claim`. A person needs one of them."""
    domains: Annotated[list[Name], Field(min_length=1)] | None = None
    """Domains of the answers (`review.domain` of the workload)."""
    workloads: Annotated[list[Name], Field(min_length=1)] | None = None
    """Workloads of the answers. Without `domains` and `workloads`: all answers of the class."""
    role: Role
    """`reviewer` decides; `senior` also decides escalated answers; `auditor` reads lists and acts, never content;
    `owner` reads the figures of the board alone."""

    @model_validator(mode="after")
    def _names_one_kind(self) -> DeskGroup:
        if self.domains is not None and self.workloads is not None:
            raise ValueError("set domains or workloads, not both. Write two entries")
        return self


class ReasonCode(Strict):
    """A reason that reviewers of a domain choose from."""

    code: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    """What the record and the application get."""
    label: Label | dict[Language, Label]
    """What people read: one text, or one for each language."""

    def text(self, language: Language) -> str:
        """The label in a language, or the first one that there is."""
        if isinstance(self.label, str):
            return self.label
        return self.label.get(language) or next(iter(self.label.values()), self.code)


class PlantedAnswer(Strict):
    """A request with a wrong answer, which measures whether reviewers detect what is wrong."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    """Another name is another planted answer. Nobody gets the same one twice."""
    workloads: Annotated[list[Name], Field(min_length=1)] | None = None
    """Workloads of the domain among whose answers it fits. Absent: all of them."""
    request: Annotated[str, Field(min_length=1, max_length=MOST_PLANTED)]
    """What the person asks, as the last message. The messages of the application before it are a real request's."""
    answer: Annotated[str, Field(min_length=1, max_length=MOST_PLANTED)]
    """The wrong answer, in the form in which the workload answers."""
    wrong: Annotated[str, Field(min_length=1, max_length=2000)]
    """What is wrong. Reviewers read it after their decision."""
    score: Annotated[float, Field(ge=0, le=1)] | None = None
    """The model's score as it is shown. Absent, or where a low score is the reason: about that of a real answer."""


class PlantedAnswers(Strict):
    """The planted answers of a domain, and how often they come."""

    rate: Annotated[float, Field(gt=0, le=0.1)] = 0.02
    """Planted answers for each real one: 0.02 is one in 50."""
    most_per_day: Annotated[int, Field(ge=1, le=100)] = 5
    """Planted answers within 24 hours at most, however many real ones there are."""
    most_uses: Annotated[int, Field(ge=1, le=100)] = 5
    """How often one answer is planted at most."""
    answers: Annotated[list[PlantedAnswer], Field(min_length=1, max_length=500)]

    @model_validator(mode="after")
    def _has_one_answer_of_each_name(self) -> PlantedAnswers:
        names = [answer.name for answer in self.answers]
        twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
        if twice is not None:
            raise ValueError(f"the planted answer {twice!r} stands twice. Give one another name")
        return self


class Desk(Strict):
    """The review desk: pages for people who signed on."""

    listen: Listen
    """Where the sign-on's proxy sends people's requests: another port than the API's. `client_ca` is optional here."""
    url: str
    """Where people open the desk, such as https://reviews.bank.example. Forms are accepted from its pages only."""
    groups: Annotated[list[DeskGroup], Field(min_length=1)]
    reasons: dict[Name, Annotated[list[ReasonCode], Field(min_length=1, max_length=100)]] = {}
    """Reason codes by domain. A domain without codes takes a free word."""
    guidelines: dict[Name, Annotated[str, Field(max_length=MOST_GUIDELINE)]] = {}
    """Guidelines by workload, in Markdown. HTML in them is shown as text, and an image as a link."""
    score_after_first_judgement: list[Name] = []
    """Domains whose reviewers see the model's score only after a first judgement of their own."""
    planted: dict[Name, PlantedAnswers] = {}
    """Planted wrong answers by domain. They are never delivered."""
    second_look_rate: SecondLookRate = 0.0
    """Share of decided answers that a second person judges without knowing the first decision. It changes nothing."""
    people: People = "aggregate"
    """Whose figures the board shows. `none` stores nothing by person."""
    max_session_s: SessionSeconds = SESSION_S
    """Seconds after which a person signs on anew (claim `auth_time`)."""

    @field_validator("url")
    @classmethod
    def _is_an_origin(cls, url: str) -> str:
        address = urlsplit(url)
        if (
            address.scheme != "https"
            or not address.hostname
            or address.path not in ("", "/")
            or address.query
            or address.fragment
            or address.username
            or address.port == 443
        ):
            raise ValueError(
                "must be https:// with a host and without path and :443, such as https://reviews.bank.example"
            )
        return url.rstrip("/").lower()

    @model_validator(mode="after")
    def _has_one_label_of_each_code(self) -> Desk:
        for domain, reasons in self.reasons.items():
            codes = [reason.code for reason in reasons]
            if len(set(codes)) < len(codes):
                raise ValueError(f"reasons.{domain}: a code stands twice. Remove one")
        return self
