"""The review desk of a gateway: where people open it, who may do what there, and what they read. Data model only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError, model_validator

from edge.config.desk import (
    MOST_GUIDELINE,
    SESSION_S,
    Label,
    Language,
    People,
    PlantedAnswers,
    Role,
    SecondLookRate,
    SessionSeconds,
)
from isthmus.contracts.platform.model.people import GroupName
from isthmus.contracts.platform.model.stack_files import FilePath, check_stack_file
from isthmus.contracts.vocabulary import Cidr, DnsLabel, KubeName, Part, Sha256
from isthmus.core.errors import FieldError, InputError
from isthmus.core.yaml_files import loads

Origin = Annotated[str, StringConstraints(pattern=r"^https://[a-z0-9.-]+(:[0-9]{1,5})?$")]

MOST_PLANTED_FILE = 256 * 1024
"""Characters of a file with planted answers at most."""
_PLANTED_FIX = "Write `answers:` with name, request, answer and wrong for each (docs/desk.md#planted-answers)"


class DeskGroup(Part):
    """Groups of the sign-on whose people have a role at the desk."""

    name: DnsLabel
    """By which overrides merge."""
    groups: list[GroupName] = Field(min_length=1)
    """Groups as the sign-on's tokens name them. With Entra ID their object ids, or application roles."""
    role: Role
    """`reviewer` reads and decides; `senior` also decides what was escalated; `auditor` sees lists and acts, never
    content; `owner` sees the figures of the board alone."""
    domains: Annotated[list[DnsLabel], Field(min_length=1)] | None = None
    """Domains of the gateway's workloads (`review.domain`). Without `domains` and `workloads`: all of its answers."""
    workloads: Annotated[list[DnsLabel], Field(min_length=1)] | None = None
    """Workloads of the gateway, in place of `domains`."""

    @model_validator(mode="after")
    def _names_one_kind(self) -> DeskGroup:
        if self.domains is not None and self.workloads is not None:
            raise FieldError(
                f"group {self.name} of the desk has domains and workloads",
                "workloads",
                fix="Keep one of the two, or write two entries",
            )
        return self


class DeskReason(Part):
    """A reason that reviewers choose."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    """What the record and the application get."""
    label: Label | dict[Language, Label] = Field(examples=["Wrong amount"])
    """What reviewers read: one text, or one for each language."""


class DeskReasons(Part):
    """The reasons of one domain."""

    domain: DnsLabel
    """The domain. One without reasons takes a word of the reviewer's own."""
    codes: Annotated[list[DeskReason], Field(min_length=1, max_length=100)]
    """Its reasons, in the order in which reviewers see them."""


class DeskGuideline(Part):
    """What reviewers of some workloads go by, in Markdown: a file of the stack's folder, or a text."""

    name: DnsLabel
    """By which overrides merge."""
    workloads: list[DnsLabel] = Field(min_length=1)
    """The workloads that it is for."""
    file: FilePath | None = Field(default=None, examples=["guidelines/payments.md"])
    """Where it is, from the folder of the stack's files on."""
    digest: Sha256 | None = None
    """Of the file: another text needs another digest."""
    text: Annotated[str, Field(max_length=MOST_GUIDELINE)] | None = None
    """The text itself, without `file`; with it, read from there and never written by hand."""

    @model_validator(mode="after")
    def _has_one_source(self) -> DeskGuideline:
        if (self.file is None) != (self.digest is None):
            raise FieldError(
                f"guideline {self.name} has only one of file and digest",
                "digest" if self.digest is None else "file",
                fix="Set both (`sha256sum FILE`), or write `text`",
            )
        if self.file is not None and self.digest is not None:
            check_stack_file(self.file, self.digest, self.text)
        elif self.text is None:
            raise FieldError(
                f"guideline {self.name} has no text", "text", fix="Set file and digest, or write `text`"
            )
        return self


class DeskPlanted(Part):
    """Wrong answers of a domain that are planted among real ones, to measure how many of them reviewers detect."""

    domain: DnsLabel
    """The domain."""
    rate: Annotated[float, Field(gt=0, le=0.1, json_schema_extra={"unit": "share"})] = 0.02
    """Planted answers for each real one: 0.02 is one in 50."""
    most_per_day: Annotated[
        int, Field(ge=1, le=100, json_schema_extra={"unit": "planted answers per day"})
    ] = 5
    """Planted answers within 24 hours at most."""
    most_uses: Annotated[int, Field(ge=1, le=100, json_schema_extra={"unit": "times"})] = 5
    """How often one answer is planted at most."""
    file: FilePath = Field(examples=["planted/payments.yaml"])
    """Where the answers are, from the folder of the stack's files on."""
    digest: Sha256
    """Of the file: another text needs another digest."""
    text: Annotated[str, Field(max_length=MOST_PLANTED_FILE)] | None = None
    """The answers, read from the file and never written by hand."""

    @model_validator(mode="after")
    def _has_answers(self) -> DeskPlanted:
        check_stack_file(self.file, self.digest, self.text)
        if self.text is not None:
            self.settings()
        return self

    def settings(self) -> PlantedAnswers:
        """The planted answers as the review service reads them. Raises FieldError."""
        bounds = self.model_dump(include={"rate", "most_per_day", "most_uses"})
        try:
            return PlantedAnswers.model_validate({**loads(self.text or "", self.file).data, **bounds})
        except InputError as error:
            raise FieldError(f"`{self.file}`: {error.what}", "file", fix=_PLANTED_FIX) from None
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise FieldError(
                f"`{self.file}` {where}: {problem['msg']}".replace(" : ", ": "), "file", fix=_PLANTED_FIX
            ) from None


class ReviewDesk(Part):
    """The pages on which people who signed on decide. Its sign-on's proxy has a namespace of its own."""

    url: Origin = Field(examples=["https://reviews-restricted.bank.example"])
    """Where people open it. The sign-on redirects to `/oauth2/callback` below it."""
    client: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")] | None = None
    """Its client at the sign-on. Absent: the only one of `people.sign_on.clients`."""
    sign_on_secret: KubeName = "sign-on"  # noqa: S105 (a name)
    """Secret in the namespace of its sign-on's proxy with `client-secret` and `cookie-secret`."""
    from_cidrs: list[Cidr] = []
    """Networks from which reviewers open it."""
    from_namespaces: list[KubeName] = []
    """Namespaces from which they do, such as that of an ingress controller."""
    groups: list[DeskGroup] = Field(min_length=1)
    """Who may do what."""
    reasons: list[DeskReasons] = []
    """Reasons by domain."""
    guidelines: list[DeskGuideline] = []
    """What reviewers read beside an answer."""
    score_after_first_judgement: list[DnsLabel] = []
    """Domains whose reviewers see the model's score only after a first judgement of their own."""
    max_session_s: SessionSeconds = SESSION_S
    """Age of a sign-on after which a person signs on anew."""
    people: People = "aggregate"
    """Whose figures the board shows: nobody's, groups of five or more, or each person's under a month's pseudonym."""
    second_look_rate: SecondLookRate = Field(
        default=0.0, examples=[0.02], json_schema_extra={"unit": "share"}
    )
    """Share of decided answers that a second person judges without knowing the first decision."""
    planted: list[DeskPlanted] = []
    """Wrong answers by domain that nobody receives, to measure how many reviewers detect."""
