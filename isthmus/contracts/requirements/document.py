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
from isthmus.contracts.vocabulary import DnsLabel, FilePart
from isthmus.core.errors import FieldError, InputError
from isthmus.core.uniqueness import unique

if TYPE_CHECKING:
    from isthmus.core.yaml_documents import Document

__all__ = ["AwsSite", "OnPremSite", "Requirements", "Workload", "load", "locate"]


class Objective(FilePart):
    """How plans are compared."""

    cost_basis: Literal["allocated", "cash"] = "allocated"
    """What owned hardware costs. `allocated`: each GPU in use bears its share of capital, space, power and people.
    `cash`: the hardware is paid for, so only its electricity counts."""
    near_tie_pct: float = Field(default=5, ge=0, le=100, examples=[5])
    """Among plans that cost at most this much more than the cheapest, the one with the better scores wins."""


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
    name: DnsLabel = Field(examples=["bank"])
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
