"""Reads from the requirements what the sandbox simulates: sites, their GPU pools, and the models to serve."""

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
    from_node_group: bool = False
    """True if a node group in AWS creates the nodes: they then have the pool's label and taint."""


@dataclass(frozen=True)
class OnPremSite:
    """A site that gets a cluster: on-prem, or in AWS if the plan uses EKS."""

    name: str
    context: str
    pools: tuple[Pool, ...]
    zones: str | None = None
    """Zone names without the final letter. None: zones are named after the site."""


@dataclass(frozen=True)
class SandboxSpec:
    """All that the sandbox provides for one requirements file."""

    file: Path
    sites: tuple[OnPremSite, ...]
    models: dict[str, int]
    """Candidate models that can run on GPUs, and the number of sensitivities that name each."""
    region: str | None
    """Region of the first AWS site."""
    api_models: dict[str, tuple[str, ...]]
    """Models that workloads may call by an API, by region of an AWS site that allows Bedrock."""


def slug(model: str) -> str:
    """Return a model's id as part of a Kubernetes name: lower case, other characters replaced by `-`."""
    return re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")


def _planned_pools(
    requirements: requirements_document.Requirements, path: Path, site: str
) -> tuple[Pool, ...] | None:
    """Return the GPU pools that `NAME.plan.yaml` beside the requirements plans at an AWS site. None without a plan."""
    file = path.with_name(path.name.replace(".requirements.", ".plan."))
    if file == path or not file.exists():
        return None
    try:
        machines = aws_machines.aws_machines(plan_document.load(file), requirements, site)
    except InputError:
        # Commands that use the plan report its errors. The sandbox starts without it.
        return None
    return tuple(
        Pool(
            machine.name,
            machine.instance.gpu,
            machine.nodes,
            machine.instance.gpus,
            machine.domains,
            from_node_group=True,
        )
        for machine in machines
    )


def _aws_site(
    requirements: requirements_document.Requirements,
    path: Path,
    site: requirements_document.AwsSite,
    has_no_on_prem: bool,
) -> OnPremSite | None:
    """Return the cluster of an AWS site, or None if it gets none."""
    if "eks" not in site.allow:
        return None
    pools = _planned_pools(requirements, path, site.name)
    # Without a plan, an AWS site gets a cluster only if there is no on-prem site.
    if pools or (pools is None and has_no_on_prem):
        return OnPremSite(site.name, site.name, pools or (), site.region)
    return None


def _on_prem_site(site: requirements_document.OnPremSite) -> OnPremSite:
    pools = tuple(
        Pool(f"{site.name}-{pool.gpu}", pool.gpu, pool.nodes, pool.gpus_per_node, pool.failure_domains)
        for pool in site.pools
    )
    return OnPremSite(site.name, site.kube_context, pools)


def read(path: str | os.PathLike[str]) -> SandboxSpec:
    """Read and check the requirements file. Raises `InputError` if it is invalid."""
    requirements = requirements_document.load(path)
    sites: list[OnPremSite] = []
    aws_sites = [site for site in requirements.sites if isinstance(site, requirements_document.AwsSite)]
    has_no_on_prem = len(aws_sites) == len(requirements.sites)
    for site in requirements.sites:
        cluster_site = (
            _aws_site(requirements, Path(path), site, has_no_on_prem)
            if isinstance(site, requirements_document.AwsSite)
            else _on_prem_site(site)
        )
        if cluster_site is None:
            continue
        same_context = next(
            (earlier.name for earlier in sites if earlier.context == cluster_site.context), None
        )
        if same_context:
            raise InputError(
                f"sites `{same_context}` and `{site.name}` have the same kube_context, `{cluster_site.context}`",
                where=str(path),
                fix="Set a different kube_context for each on-prem site; an AWS site uses its own name as context",
            )
        sites.append(cluster_site)
    sensitivities_by_model: dict[str, set[str]] = {}
    for workload in requirements.workloads:
        for candidate in workload.model.candidates:
            if set(candidate.scores) - {"api"}:
                sensitivities_by_model.setdefault(candidate.id, set()).add(workload.sensitivity)
    models = {model: len(sensitivities) for model, sensitivities in sensitivities_by_model.items()}
    api_model_ids = {
        candidate.id
        for workload in requirements.workloads
        for candidate in workload.model.candidates
        if "api" in candidate.scores and "/" not in candidate.id
    }
    api_models = {site.region: tuple(sorted(api_model_ids)) for site in aws_sites if "bedrock" in site.allow}
    return SandboxSpec(
        Path(path).resolve(), tuple(sites), models, aws_sites[0].region if aws_sites else None, api_models
    )
