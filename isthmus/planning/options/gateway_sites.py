"""Chooses the site of each class's gateway: on-prem if possible, because applications run there."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from isthmus.contracts.reference import jurisdictions
from isthmus.contracts.requirements.document import OnPremSite

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements


def home_site(requirements: Requirements, sensitivity: str) -> str | None:
    """Return the first on-prem site that every residency of the class allows, else the first AWS site, else None."""
    residencies = [
        list(workload.residency or [])
        for workload in requirements.workloads
        if workload.sensitivity == sensitivity
    ]

    def allowed(jurisdiction: str) -> bool:
        return all(jurisdictions.meets_residency(jurisdiction, residency) for residency in residencies)

    sites = [(site.name, site.jurisdiction) for site in requirements.sites if isinstance(site, OnPremSite)]
    if sensitivity != "restricted":
        sites += [
            (site.name, jurisdictions.region_jurisdiction(site.region))
            for site in requirements.sites
            if not isinstance(site, OnPremSite)
        ]
    return next((name for name, jurisdiction in sites if allowed(jurisdiction)), None)


def host_name(sensitivity: str, site: str = "", *, in_cluster: bool = True) -> str:
    """Return the host name that applications call: of a Service, or of a private DNS zone without a cluster.

    ICANN reserved the top-level domain `internal` for private use (2024). Overrides may set another name.
    """
    return (
        f"{sensitivity}-gateway.isthmus-{sensitivity}.svc"
        if in_cluster
        else f"{sensitivity}-gateway.{site}.isthmus.internal"
    )


def has_cluster(requirements: Requirements, site: str, builds: Collection[str]) -> bool:
    """Whether a gateway at the site runs in a cluster. In AWS it does if the blueprint `builds` clusters there."""
    return isinstance(requirements.site(site), OnPremSite) or "eks-vllm" in builds
