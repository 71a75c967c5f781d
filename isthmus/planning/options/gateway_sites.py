"""Where the gateway of each class stands: at an on-prem site where there is one, since applications are there."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from isthmus.contracts.reference import jurisdictions
from isthmus.contracts.requirements.document import OnPremSite

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements


def home(requirements: Requirements, class_: str) -> str | None:
    """The site of a class's gateway: the first on-prem one that every residency of the class allows, else an AWS one.

    None where no site will do.
    """
    residencies = [
        list(each.residency or []) for each in requirements.workloads if each.sensitivity == class_
    ]

    def allowed(place: str) -> bool:
        return all(jurisdictions.meets(place, residency) for residency in residencies)

    places = [(site.name, site.jurisdiction) for site in requirements.sites if isinstance(site, OnPremSite)]
    if class_ != "restricted":
        places += [
            (site.name, jurisdictions.of_region(site.region))
            for site in requirements.sites
            if not isinstance(site, OnPremSite)
        ]
    return next((name for name, place in places if allowed(place)), None)


def host(class_: str, site: str = "", *, in_cluster: bool = True) -> str:
    """The name that applications call: of a Service, or of a private zone where there is no cluster.

    `internal` is the top-level domain that is kept for private use (ICANN, 2024); the organisation's overrides may name
    one of its own.
    """
    return (
        f"{class_}-gateway.isthmus-{class_}.svc"
        if in_cluster
        else f"{class_}-gateway.{site}.isthmus.internal"
    )


def has_cluster(requirements: Requirements, site: str, builds: Collection[str]) -> bool:
    """Whether a gateway at the site runs in a cluster: in AWS, where the blueprint `builds` clusters there."""
    return isinstance(requirements.site(site), OnPremSite) or "eks-vllm" in builds
