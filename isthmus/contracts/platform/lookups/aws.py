"""Answers questions about a platform's places in AWS: networks, clusters, sites that the provider reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.aws.eks import Cluster
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform, Site


def network_for(platform: Platform, site: str, class_: Sensitivity) -> Network | None:
    """The network of an AWS site that carries a class; None if there is none or it is off."""
    networks = (
        network
        for network in platform.networks
        if network.site == site and class_ in network.classes and network.mode != "off"
    )
    return next(networks, None)


def cluster_at(platform: Platform, site: str) -> Cluster | None:
    """The cluster of an AWS site, or None."""
    return next((cluster for cluster in platform.clusters if cluster.site == site), None)


def kubernetes_sites(platform: Platform) -> list[Site]:
    """Sites with a cluster for the platform: on-prem sites, and AWS sites whose cluster has stage `platform`."""
    sites: list[Site] = []
    for site in platform.sites:
        cluster = cluster_at(platform, site.name)
        if site.kind == "on-prem" or (cluster is not None and cluster.stage == "platform"):
            sites.append(site)
    return sites


def sites_with_known_api_server(platform: Platform) -> list[Site]:
    """Kubernetes sites that have a kubeconfig context. The address of a new cluster is known in the stack only."""
    return [site for site in kubernetes_sites(platform) if site.kind == "on-prem" or site.kube_context]


def provider_key(site: Site) -> str:
    """Key of a site's Kubernetes provider. The site's name alone is the key of the AWS provider at an AWS site."""
    return site.name if site.kind == "on-prem" else f"{site.name}/kubernetes"


def has_cluster(platform: Platform, site: Site) -> bool:
    """Whether a site has a Kubernetes cluster for a gateway to run in."""
    return site.kind == "on-prem" or cluster_at(platform, site.name) is not None


def network_of(platform: Platform, cluster: Cluster) -> Network:
    """The network of a managed cluster. Raises `FieldError` if there is none, or several and none is chosen."""
    from isthmus.contracts.platform.lookups.names import check_name

    path = ("clusters", platform.clusters.index(cluster), "network")
    networks = {
        network.name: network
        for network in platform.networks
        if network.site == cluster.site and network.mode != "off"
    }
    if cluster.network is not None:
        check_name(cluster.network, networks, f"network of {cluster.site}", *path)
        return networks[cluster.network]
    if len(networks) != 1:
        message = (
            f"cluster {cluster.name} needs one network at {cluster.site}, which has {len(networks) or 'none'}"
        )
        raise FieldError(
            message,
            *path,
            fix=f"Set `network` to one of {', '.join(networks)}" if networks else "Add one to `networks`",
        )
    return next(iter(networks.values()))
