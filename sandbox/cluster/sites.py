"""What the sandbox takes from the requirements: on-prem sites, their pools, and the models to serve."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from isthmus.contracts.plan import aws_machines
from isthmus.contracts.plan import document as plan_document
from isthmus.contracts.requirements import document as requirements_document
from isthmus.core.errors import InputError


@dataclass(frozen=True)
class Pool:
    """The simulated GPU nodes of one kind at a site."""

    name: str
    """`SITE-GPU`, e.g. `fra1-h100-sxm-80gb`; its nodes are `NAME-0`, `NAME-1`, …"""
    gpu: str
    nodes: int
    gpus_per_node: int
    failure_domains: int
    made: bool = False
    """By a node group in AWS: its nodes come with the pool's label and taint."""


@dataclass(frozen=True)
class OnPremSite:
    """A site that gets a cluster: an on-prem one, or one in AWS where a plan uses EKS."""

    name: str
    context: str
    pools: tuple[Pool, ...]
    zones: str | None = None
    """How its zones are called but for their letter; None: after the site."""


@dataclass(frozen=True)
class Wanted:
    """Everything the sandbox must provide for one requirements file."""

    file: Path
    sites: tuple[OnPremSite, ...]
    models: dict[str, int]
    """Candidates that could run on GPUs, and how many classes of data name each."""
    region: str | None
    """Region of the first AWS site."""
    called: dict[str, tuple[str, ...]]
    """By region of an AWS site that allows Bedrock: the models that workloads may call by an API."""


def slug(model: str) -> str:
    """A model's id as part of a Kubernetes name: lower case, other characters as `-`."""
    return re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")


def _planned(wanted: requirements_document.Requirements, path: Path, site: str) -> tuple[Pool, ...] | None:
    """The machines that a plan beside the requirements (`NAME.plan.yaml`) has made at an AWS site; None without one."""
    file = path.with_name(path.name.replace(".requirements.", ".plan."))
    if file == path or not file.exists():
        return None
    try:
        found = aws_machines.machines(plan_document.load(file), wanted, site)
    except InputError:
        # A plan that is wrong is refused where it is used; the sandbox comes up for what it can read.
        return None
    return tuple(
        Pool(each.name, each.instance.gpu, each.nodes, each.instance.gpus, each.domains, made=True)
        for each in found
    )


def _in_aws(
    wanted: requirements_document.Requirements, path: Path, site: requirements_document.AwsSite, alone: bool
) -> OnPremSite | None:
    """The cluster of an AWS site; `alone`: there is no on-prem site."""
    if "eks" not in site.allow:
        return None
    made = _planned(wanted, path, site.name)
    # Where no plan says, a cluster stands in AWS only for those who have no other.
    if made or (made is None and alone):
        return OnPremSite(site.name, site.name, made or (), site.region)
    return None


def _on_prem(site: requirements_document.OnPremSite) -> OnPremSite:
    pools = tuple(
        Pool(f"{site.name}-{pool.gpu}", pool.gpu, pool.nodes, pool.gpus_per_node, pool.failure_domains)
        for pool in site.pools
    )
    return OnPremSite(site.name, site.kube_context, pools)


def read(path: str | os.PathLike[str]) -> Wanted:
    """Read and check the requirements; what is wrong with them is an `InputError` with its place."""
    wanted = requirements_document.load(path)
    sites: list[OnPremSite] = []
    aws = [site for site in wanted.sites if isinstance(site, requirements_document.AwsSite)]
    alone = len(aws) == len(wanted.sites)
    for site in wanted.sites:
        made = (
            _in_aws(wanted, Path(path), site, alone)
            if isinstance(site, requirements_document.AwsSite)
            else _on_prem(site)
        )
        if made is None:
            continue
        twin = next((other.name for other in sites if other.context == made.context), None)
        if twin:
            raise InputError(
                f"sites `{twin}` and `{site.name}` name the same kube_context, `{made.context}`",
                where=str(path),
                fix="Give each site a context of its own; one in AWS has its name",
            )
        sites.append(made)
    classes: dict[str, set[str]] = {}
    for workload in wanted.workloads:
        for candidate in workload.model.candidates:
            if set(candidate.scores) - {"api"}:
                classes.setdefault(candidate.id, set()).add(workload.sensitivity)
    models = {model: len(named) for model, named in classes.items()}
    apis = {
        candidate.id
        for workload in wanted.workloads
        for candidate in workload.model.candidates
        if "api" in candidate.scores and "/" not in candidate.id
    }
    called = {site.region: tuple(sorted(apis)) for site in aws if "bedrock" in site.allow}
    return Wanted(Path(path).resolve(), tuple(sites), models, aws[0].region if aws else None, called)
