"""Data model of the requirements: workloads, sites, links and budget. The keys are a fixed interface.

`load` reads a file and checks everything that needs no planning. The parts are in `workloads` and `sites`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from isthmus.contracts.reference.handling import Exception_
from isthmus.contracts.requirements.sites import AwsSite, Link, OnPremSite, Site
from isthmus.contracts.requirements.workloads import Workload
from isthmus.contracts.vocabulary import DnsLabel, FailurePart, FilePart
from isthmus.core.errors import FieldError, InputError
from isthmus.core.uniqueness import unique

if TYPE_CHECKING:
    from isthmus.core.yaml_documents import Document

__all__ = ["AwsSite", "OnPremSite", "Requirements", "Workload", "load", "locate"]


class Objective(FilePart):
    """How plans are compared."""

    cost_basis: Literal["allocated", "cash"] = "allocated"
    """allocated: a reserved GPU bears its full cost. cash: owned hardware is sunk, what it burns counts."""
    near_tie_pct: float = Field(default=5, ge=0, le=100)
    """Within this many per cent of cost the better score wins."""


class StatedFailureMode(FilePart):
    """Your own figures of a failure mode. What is absent is the table's (docs/planning.md)."""

    rate_per_year: float | None = Field(default=None, ge=0, le=8760)
    """Failures of one such part in a year."""
    repair_hours: float | None = Field(default=None, gt=0, le=8760)
    """Mean hours from the failure until the part works again."""
    common_cause: float | None = Field(default=None, ge=0, le=1)
    """Share of the failures that hit all parts of the kind at once, 0 to 1."""
    source: str | None = None
    """Where the figures come from: incident records, a contract."""
    as_of: str | None = None
    """Of which day they are, like `2026-11-01`."""


class Planning(FilePart):
    headroom: float = Field(default=0.3, ge=0, le=10)
    """Capacity is at least peak × (1 + headroom)."""
    stress: float = Field(default=1.5, ge=1)
    """The load, as a multiple of peak, that a plan must say what it does under."""
    move_cost_usd: float = Field(default=0, ge=0)
    failures: dict[FailurePart, StatedFailureMode] = {}
    """Your own figures of failure modes, by part; they replace the planner's table."""


class Commitments(FilePart):
    max_term_months: int = Field(default=0, ge=0)


class Budget(FilePart):
    monthly_usd: float = Field(gt=0)


class Requirements(FilePart):
    """The requirements of one platform."""

    isthmus: Literal["v1"]
    name: DnsLabel
    objective: Objective = Objective.model_construct()
    planning: Planning = Planning.model_construct()
    commitments: Commitments = Commitments.model_construct()
    budget: Budget | None = None
    workloads: list[Workload] = Field(min_length=1)
    sites: list[Site] = Field(min_length=1)
    links: list[Link] = []
    handling: dict[str, dict[str, Any]] = {}
    """The organisation's handling, by class: only stricter than the default."""
    exceptions: list[Exception_] = []
    """Recorded exceptions: confidential work on Bedrock."""

    _digest: str = PrivateAttr(default="")

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the file's content as sorted JSON, no defaults filled in; a plan names it."""
        return self._digest

    def workload(self, name: str) -> Workload | None:
        """The workload of that name, if there is one."""
        return next((workload for workload in self.workloads if workload.name == name), None)

    def site(self, name: str) -> OnPremSite | AwsSite | None:
        """The site of that name, if there is one."""
        return next((site for site in self.sites if site.name == name), None)

    @model_validator(mode="after")
    def _names(self) -> Requirements:
        unique(self.workloads, "name", "workloads")
        unique(self.sites, "name", "sites")
        return self

    @model_validator(mode="after")
    def _links(self) -> Requirements:
        from isthmus.core.validation_errors import did_you_mean

        kinds = {site.name: site.kind for site in self.sites}
        joined: set[frozenset[str]] = set()
        for index, link in enumerate(self.links):
            for key, end in (("from", link.from_), ("to", link.to)):
                if end not in kinds:
                    hint = did_you_mean(end, kinds)
                    raise FieldError(
                        f"the link names `{end}`, which is not a site",
                        *("links", index, key),
                        fix=f"{hint} Sites: {', '.join(kinds)}".strip(),
                    )
            if kinds[link.from_] == kinds[link.to]:
                raise FieldError(
                    f"the link joins two {kinds[link.from_]} sites, `{link.from_}` and `{link.to}`",
                    *("links", index, "to"),
                    fix="Set `from` and `to` to an on-prem site and an AWS site",
                )
            ends = frozenset((link.from_, link.to))
            if ends in joined:
                raise FieldError(
                    f"`{link.from_}` and `{link.to}` are linked twice",
                    *("links", index, "to"),
                    fix="Remove one link",
                )
            joined.add(ends)
        return self

    @model_validator(mode="after")
    def _networks(self) -> Requirements:
        """No two sites share an address: routes between them would be ambiguous."""
        import ipaddress

        networks: list[tuple[Any, str]] = []
        for index, site in enumerate(self.sites):
            for path, text in site.networks():
                network = ipaddress.ip_network(text)
                for earlier, owner in networks:
                    if owner != site.name and network.overlaps(earlier):
                        raise FieldError(
                            f"`{text}` overlaps `{earlier}` of site `{owner}`",
                            *("sites", index, *path),
                            fix="Use addresses that do not overlap",
                        )
                networks.append((network, site.name))
        return self

    @model_validator(mode="after")
    def _handling(self) -> Requirements:
        """The organisation's table is only stricter; regimes agree with it and with each other."""
        from isthmus.contracts.reference import handling
        from isthmus.core.errors import IsthmusError, Refused

        try:
            table = handling.stricter_only(self.handling)
        except IsthmusError as error:
            path = error.where.split(".") if error.where else ["handling"]
            is_refused = isinstance(error, Refused)
            raise FieldError(error.what, *path, fix=error.fix, refused=is_refused) from None
        for index, workload in enumerate(self.workloads):
            try:
                handling.overlay(workload.sensitivity, workload.regimes, table[workload.sensitivity])
            except IsthmusError as error:
                raise FieldError(error.what, *("workloads", index, "regimes"), fix=error.fix) from None
        return self

    @model_validator(mode="after")
    def _exceptions(self) -> Requirements:
        names = [workload.name for workload in self.workloads]
        for index, exception in enumerate(self.exceptions):
            workload = self.workload(exception.workload)
            if workload is None:
                from isthmus.core.validation_errors import did_you_mean

                raise FieldError(
                    f"the exception names `{exception.workload}`, which is not a workload",
                    *("exceptions", index, "workload"),
                    fix=did_you_mean(exception.workload, names) or f"Workloads: {', '.join(names)}",
                )
            if workload.sensitivity == "restricted":
                raise FieldError(
                    f"workload `{workload.name}` is restricted, so an exception for {exception.target} is not possible",
                    *("exceptions", index, "target"),
                    fix="Remove the exception: restricted work runs on-prem only",
                    refused=True,
                )
        return self


def load(path: str | os.PathLike[str]) -> Requirements:
    """Read and check a requirements file.

    Raises `InputError` (or `Refused`) with file, line, path, value and what is allowed.
    """
    from isthmus.core import yaml_files

    return parse(yaml_files.load(path))


def locate(error: InputError, path: str | os.PathLike[str]) -> InputError:
    """The planner's error with file and line, where it names a place as `sites.0.prices.logs`."""
    from isthmus.core import yaml_files

    match = _PLACE.fullmatch(error.where)
    if match is None:
        return error
    name, index, keys = match.groups()
    # Names of models hold dots, so only the first of the keys is split off.
    inner = keys.split(".", 1) if name == "sites" else keys.split(".")
    where = yaml_files.load(path).where((name, int(index), *map(_index, inner)))
    return InputError(error.what, where=where, fix=error.fix)


def _index(key: str) -> str | int:
    return int(key) if key.isdecimal() else key


_PLACE = re.compile(r"(sites|workloads)\.(\d+)\.(.+)")


def parse(document: Document) -> Requirements:
    """Requirements of a document, with the digest of what it holds. Raises what `load` raises."""
    from isthmus.core import yaml_files

    requirements = yaml_files.parse(Requirements, document)
    requirements._digest = yaml_files.digest(document.data)
    return requirements
