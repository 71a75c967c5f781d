"""Answers questions about a platform's places in AWS: networks, clusters, sites that the provider reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.aws.eks import Cluster
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Gateway, Platform, Site


def network_for(platform: Platform, site: str, class_: Sensitivity) -> Network | None:
    """The network of an AWS site that carries a class; None where there is none, or it is off."""
    found = (
        one for one in platform.networks if one.site == site and class_ in one.classes and one.mode != "off"
    )
    return next(found, None)


def cluster_at(platform: Platform, site: str) -> Cluster | None:
    """The cluster of an AWS site."""
    return next((each for each in platform.clusters if each.site == site), None)


def kubernetes_sites(platform: Platform) -> list[Site]:
    """Sites whose cluster the platform lives in: on-prem ones, and those in AWS with a cluster that is ready."""
    found: list[Site] = []
    for site in platform.sites:
        cluster = cluster_at(platform, site.name)
        if site.kind == "on-prem" or (cluster is not None and cluster.stage == "platform"):
            found.append(site)
    return found


def reached_sites(platform: Platform) -> list[Site]:
    """Of those, the ones that a kubeconfig's context leads to; a new cluster's address is known in the stack only."""
    return [site for site in kubernetes_sites(platform) if site.kind == "on-prem" or site.kube_context]


def provider_key(site: Site) -> str:
    """Under what a site's Kubernetes provider is found: an AWS site has one of AWS under its own name."""
    return site.name if site.kind == "on-prem" else f"{site.name}/kubernetes"


def has_cluster(platform: Platform, site: Site) -> bool:
    """Whether a site has a Kubernetes cluster for a gateway to run in."""
    return site.kind == "on-prem" or cluster_at(platform, site.name) is not None


def on_fargate(platform: Platform, class_: str, site: str) -> Gateway | None:
    """The gateway of a class at a site, if it runs on Fargate."""
    found = (
        one
        for one in platform.gateways
        if one.runs_on == "fargate" and (one.class_, one.site) == (class_, site)
    )
    return next(found, None)


def network_of(platform: Platform, cluster: Cluster) -> Network:
    """The network of a managed cluster. Raises `FieldError` where there is none, or its site has several."""
    from isthmus.contracts.platform.lookups.names import known

    path = ("clusters", platform.clusters.index(cluster), "network")
    there = {one.name: one for one in platform.networks if one.site == cluster.site and one.mode != "off"}
    if cluster.network is not None:
        known(cluster.network, there, f"network of {cluster.site}", *path)
        return there[cluster.network]
    if len(there) != 1:
        what = f"cluster {cluster.name} lies in a network of {cluster.site}, which has {len(there) or 'none'}"
        raise FieldError(
            what, *path, fix=f"Name one of {', '.join(there)}" if there else "Add one to `networks`"
        )
    return next(iter(there.values()))
