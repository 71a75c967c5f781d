"""Data model of the requirements: workloads, sites, links and budget. The keys are a fixed interface.

`load` reads a file and checks everything that needs no planning. The parts are in `workloads` and `sites`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from isthmus.contracts.reference.handling import Exception_, Handling
from isthmus.contracts.requirements.sites import AwsSite, Link, OnPremSite, Site
from isthmus.contracts.requirements.workloads import Workload
from isthmus.contracts.vocabulary import DnsLabel, FailurePart, FilePart, Sensitivity
from isthmus.core.errors import FieldError, IsthmusError, Refused, raise_all
from isthmus.core.uniqueness import unique
from isthmus.core.yaml_documents import Document

if TYPE_CHECKING:
    from isthmus.core.skipped_checks import FurtherCheck

__all__ = ["AwsSite", "OnPremSite", "Requirements", "Workload", "load"]


class Objective(FilePart):
    """How plans are compared."""

    cost_basis: Literal["allocated", "cash"] = "allocated"
    """What owned hardware costs. `allocated`: each GPU in use bears its share of capital, space, power and people.
    `cash`: the hardware is paid for, so only its electricity counts."""
    near_tie_pct: float = Field(default=5, ge=0, le=100, examples=[5])
    """Among plans that cost at most this much more than the cheapest, the one with the better scores wins."""


class StatedFailureMode(FilePart):
    """Your own figures of a failure mode. What is absent is the table's (docs/planning.md)."""

    rate_per_year: float | None = Field(
        default=None, ge=0, le=8760, json_schema_extra={"unit": "failures per year"}, examples=[0.5]
    )
    """Failures of one such part in a year."""
    repair_hours: float | None = Field(default=None, gt=0, le=8760, examples=[4])
    """Mean time from the failure until the part works again."""
    common_cause: float | None = Field(
        default=None, ge=0, le=1, json_schema_extra={"unit": "share of the failures"}, examples=[0.05]
    )
    """Share of the failures that hit all parts of the kind at once."""
    source: str | None = Field(default=None, examples=["service contract"])
    """Where the figures come from: incident records, a contract."""
    as_of: str | None = Field(default=None, examples=["2026-11-01"])
    """Of which day they are."""


class Planning(FilePart):
    """Reserves of a plan, and what it costs to move a workload."""

    headroom: float = Field(
        default=0.3, ge=0, le=10, json_schema_extra={"unit": "share of the peak"}, examples=[0.3]
    )
    """Reserve above the peak: capacity is at least peak × (1 + headroom)."""
    stress: float = Field(default=1.5, ge=1, json_schema_extra={"unit": "times the peak"}, examples=[1.5])
    """Load of the stress test. The plan says whether it holds at this load, and what breaks first."""
    move_cost_usd: float = Field(default=0, ge=0, examples=[500])
    """What it costs you to move one workload to another endpoint. A new plan keeps a placement unless a move saves
    more than this each month."""
    failures: dict[FailurePart, StatedFailureMode] = Field(
        default={}, examples=[{"node-on-prem": {"repair_hours": 4, "source": "service contract"}}]
    )
    """Your own figures of failure modes, by part. They replace those of the planner's table (docs/planning.md)."""


class Commitments(FilePart):
    """Contracts with AWS that a plan may rely on."""

    max_term_months: int = Field(default=0, ge=0, examples=[12])
    """The longest term for which you commit to instances. 0: on demand only. 12 allows prices like
    `g6e.12xlarge/reserved-12` under `sites[].prices`."""


class Budget(FilePart):
    """What the platform may cost."""

    monthly_usd: float = Field(gt=0, examples=[60000])
    """The most that the plan may cost a month, on the cost basis of `objective`."""


class Requirements(FilePart):
    """The requirements of one platform."""

    isthmus: Literal["v1"]
    """Version of the file's format."""
    name: DnsLabel = Field(examples=["helpdesk"])
    """Name of the platform. Names of resources begin with it."""
    objective: Objective = Objective.model_construct()
    """How plans are compared."""
    planning: Planning = Planning.model_construct()
    """Reserves of the plan."""
    commitments: Commitments = Commitments.model_construct()
    """Contracts with AWS that the plan may rely on."""
    budget: Budget | None = None
    """What the platform may cost. Absent: no limit."""
    workloads: list[Workload] = Field(min_length=1)
    """What the language models are used for."""
    sites: list[Site] = Field(min_length=1)
    """Where models may run: on-prem clusters and AWS regions."""
    links: list[Link] = []
    """Private links between on-prem sites and AWS sites. Workloads on-prem reach models in AWS over them."""
    handling: dict[str, dict[str, Any]] = Field(
        default={}, examples=[{"internal": {"records_months_min": 24}}]
    )
    """The organisation's handling of data, as `{class: {field: value}}`. It may only be stricter than the default
    (docs/contracts.md, Handling)."""
    exceptions: list[Exception_] = []
    """Recorded exceptions, which let a confidential workload use Bedrock."""

    _digest: str = PrivateAttr(default="")
    _document: Document | None = PrivateAttr(default=None)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the file's content as sorted JSON, no defaults filled in; a plan names it."""
        return self._digest

    @property
    def document(self) -> Document:
        """The file's content with the lines of its values, for errors."""
        return self._document or Document(self.model_dump(by_alias=True), "requirements")

    def workload(self, name: str) -> Workload | None:
        """The workload of that name, if there is one."""
        return next((workload for workload in self.workloads if workload.name == name), None)

    def site(self, name: str) -> OnPremSite | AwsSite | None:
        """The site of that name, if there is one."""
        return next((site for site in self.sites if site.name == name), None)

    @model_validator(mode="after")
    def _names(self) -> Requirements:
        unique(self.workloads, "name", "workloads")
        return self

    @model_validator(mode="after")
    def _site_names(self) -> Requirements:
        unique(self.sites, "name", "sites")
        return self

    @model_validator(mode="after")
    def _links(self) -> Requirements:
        raise_all(_wrong_links(self))
        return self

    @model_validator(mode="after")
    def _networks(self) -> Requirements:
        raise_all(_overlapping_networks(self))
        return self

    @model_validator(mode="after")
    def _handling(self) -> Requirements:
        """The organisation's table is only stricter; regimes agree with it and with each other."""
        from isthmus.contracts.reference import handling

        try:
            table = handling.stricter_only(self.handling)
        except IsthmusError as error:
            raise_all(_wrong_handling(error))
            raise
        raise_all([*_contradicting_regimes(self, table), *_undecidable_criteria(self, table)])
        return self

    @model_validator(mode="after")
    def _exceptions(self) -> Requirements:
        raise_all(_wrong_exceptions(self))
        return self


def _wrong_links(requirements: Requirements) -> Iterator[FieldError]:
    """A link names two sites of different kinds, which no other link joins."""
    from isthmus.core.validation_errors import did_you_mean

    kinds = {site.name: site.kind for site in requirements.sites}
    joined: set[frozenset[str]] = set()
    for index, link in enumerate(requirements.links):
        unknown = [(key, end) for key, end in (("from", link.from_), ("to", link.to)) if end not in kinds]
        for key, end in unknown:
            yield FieldError(
                f"the link names `{end}`, which is not a site",
                *("links", index, key),
                fix=f"{did_you_mean(end, kinds)} Sites: {', '.join(kinds)}".strip(),
            )
        if unknown:
            continue
        if kinds[link.from_] == kinds[link.to]:
            yield FieldError(
                f"the link joins two {kinds[link.from_]} sites, `{link.from_}` and `{link.to}`",
                *("links", index, "to"),
                fix="Set `from` and `to` to an on-prem site and an AWS site",
            )
        ends = frozenset((link.from_, link.to))
        if ends in joined:
            yield FieldError(
                f"`{link.from_}` and `{link.to}` are linked twice",
                *("links", index, "to"),
                fix="Remove one link",
            )
        joined.add(ends)


def _overlapping_networks(requirements: Requirements) -> Iterator[FieldError]:
    """No two sites share an address: routes between them would be ambiguous."""
    import ipaddress

    networks: list[tuple[Any, str]] = []
    for index, site in enumerate(requirements.sites):
        for path, text in site.networks():
            network = ipaddress.ip_network(text)
            for earlier, owner in networks:
                if owner != site.name and network.overlaps(earlier):
                    yield FieldError(
                        f"`{text}` overlaps `{earlier}` of site `{owner}`",
                        *("sites", index, *path),
                        fix="Use addresses that do not overlap",
                    )
            networks.append((network, site.name))


def _wrong_handling(error: IsthmusError) -> Iterator[FieldError]:
    """The errors of the organisation's table as errors of its fields."""
    for single in (error, *error.others):
        path = single.where.split(".") if single.where else ["handling"]
        yield FieldError(single.what, *path, fix=single.fix, refused=isinstance(single, Refused))


def _contradicting_regimes(
    requirements: Requirements, table: Mapping[Sensitivity, Handling]
) -> Iterator[FieldError]:
    from isthmus.contracts.reference import handling

    for index, workload in enumerate(requirements.workloads):
        try:
            handling.overlay(workload.sensitivity, workload.regimes, table[workload.sensitivity])
        except IsthmusError as error:
            yield FieldError(error.what, *("workloads", index, "regimes"), fix=error.fix)


def _undecidable_criteria(
    requirements: Requirements, table: Mapping[Sensitivity, Handling]
) -> Iterator[FieldError]:
    """A criterion on adoption in a class whose usage names no people: it would stay open for ever."""
    for index, workload in enumerate(requirements.workloads):
        pilot = workload.value.pilot if workload.value is not None else None
        if pilot is None or table[workload.sensitivity].usage_by_person:
            continue
        for rule in ("scale", "stop"):
            for number, criterion in enumerate(getattr(pilot, rule)):
                if criterion.measure == "adoption":
                    yield FieldError(
                        f"adoption is never known in class {workload.sensitivity}, because its usage names no people",
                        *("workloads", index, "value", "pilot", rule, number, "measure"),
                        fix="Use another measure (handling `usage_by_person`)",
                    )


def _wrong_exceptions(requirements: Requirements) -> Iterator[FieldError]:
    """An exception names a workload that is not restricted."""
    from isthmus.core.validation_errors import did_you_mean

    names = [workload.name for workload in requirements.workloads]
    for index, exception in enumerate(requirements.exceptions):
        workload = requirements.workload(exception.workload)
        if workload is None:
            yield FieldError(
                f"the exception names `{exception.workload}`, which is not a workload",
                *("exceptions", index, "workload"),
                fix=did_you_mean(exception.workload, names) or f"Workloads: {', '.join(names)}",
            )
        elif workload.sensitivity == "restricted":
            yield FieldError(
                f"workload `{workload.name}` is restricted, so an exception for {exception.target} is not possible",
                *("exceptions", index, "target"),
                fix="Remove the exception: restricted work runs on-prem only",
                refused=True,
            )


def load(path: str | os.PathLike[str], further: FurtherCheck | None = None) -> Requirements:
    """Read and check a requirements file; `further` is another check of the whole, such as of names of models.

    Raises `InputError` (or `Refused`) with file, line, path, value and what is allowed, for every mistake.
    """
    from isthmus.core import yaml_files

    return parse(yaml_files.load(path), further)


def parse(document: Document, further: FurtherCheck | None = None) -> Requirements:
    """Requirements of a document, with the digest of what it holds. Raises what `load` raises."""
    from isthmus.core import yaml_files

    requirements = yaml_files.parse(Requirements, document, further)
    requirements._digest = yaml_files.digest(document.data)
    requirements._document = document
    if any(
        candidate.scores_from
        for workload in requirements.workloads
        for candidate in workload.model.candidates
    ):
        from isthmus.contracts.requirements.measured_scores import with_measured_scores

        workloads = with_measured_scores(requirements.workloads, document)
        return requirements.model_copy(update={"workloads": workloads})
    return requirements
