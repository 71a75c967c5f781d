"""Which cluster and AWS account each site is: compared with the platform before a run, and found for a new pin.

A context is only a name on one machine, so it may lead to another cluster than the platform means. The UID of the
namespace kube-system stays for a cluster's life. AWS's provider itself compares `account_id`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from isthmus.core import aws_session
from isthmus.core.errors import EnvironmentFault, Refused
from isthmus.core.ip_addresses import is_loopback

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform, Site
    from isthmus.core.kubernetes_client import KubeClient

KUBE_SYSTEM = "/api/v1/namespaces/kube-system"


class WrongCluster(Refused):
    """A context leads to another cluster than the platform pins."""


def cluster_uid(cluster: KubeClient) -> str:
    """The UID of a cluster's namespace kube-system. Raises `EnvironmentFault` if it cannot be read."""
    return str(cluster.get(KUBE_SYSTEM)["metadata"]["uid"])


def check_clusters(platform: Platform, clusters: Mapping[str, KubeClient]) -> None:
    """Raise `WrongCluster` for a pinned site whose context leads to another cluster."""
    for site in platform.sites:
        cluster = clusters.get(site.name)
        if cluster is None or site.cluster_uid is None:
            continue
        uid = cluster_uid(cluster)
        if uid != site.cluster_uid:
            raise WrongCluster(
                f"the context `{site.kube_context or site.name}` leads to the cluster {uid} at {cluster.server}, but"
                f" site {site.name} is the cluster {site.cluster_uid}",
                where=f"sites[{site.name}].cluster_uid",
                fix="Correct the kubeconfig. If the site has a new cluster, run `isthmus trust pin`, and have the"
                " new `cluster_uid` reviewed",
            )


def unpinned_sites(platform: Platform, clusters: Mapping[str, KubeClient]) -> list[str]:
    """Names of sites whose cluster has no pin. A cluster on this machine's loopback needs none."""
    return [
        site.name
        for site in platform.sites
        if site.name in clusters and site.cluster_uid is None and not _is_local(clusters[site.name].server)
    ]


def pins(
    platform: Platform, clusters: Mapping[str, KubeClient], *, sandbox: bool
) -> Iterator[tuple[str, dict[str, str]]]:
    """Site → the fields that pin it, as found now. Raises `EnvironmentFault` if a cluster or AWS does not answer."""
    for site in platform.sites:
        fields: dict[str, str] = {}
        if site.name in clusters:
            fields["cluster_uid"] = cluster_uid(clusters[site.name])
        if site.kind == "aws":
            fields["account_id"] = _account(site, sandbox=sandbox)
        if fields:
            yield site.name, fields


def _account(site: Site, *, sandbox: bool) -> str:
    from botocore.exceptions import BotoCoreError, ClientError

    role: dict[str, Any] = {"roleArn": site.assume_role, "externalId": site.external_id}
    try:
        session = aws_session.session(
            site.region or "",
            [role] if site.assume_role else [],
            why=f"which account site {site.name} is",
            keys=aws_session.SANDBOX_KEYS if sandbox else None,
        )
        return str(aws_session.client(session, "sts").get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as error:
        raise EnvironmentFault(
            f"AWS does not say which account site {site.name} is: {error}",
            fix="Set credentials of the site's account (AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret)",
        ) from None


def _is_local(server: str) -> bool:
    return is_loopback(urlsplit(server).netloc)
