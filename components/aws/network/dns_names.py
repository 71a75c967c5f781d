"""Lists the DNS names that a platform needs in a network in AWS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from components.aws.common.names import domain
from components.aws.network.network import vpc_names
from isthmus.contracts.platform.lookups.records import gateways_sealed_in_aws
from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.aws.eks import Cluster
from isthmus.contracts.platform.model.platform import Gateway, Platform

MACHINES = ("ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "s3", "sts")
"""Services that nodes and addons of a cluster need to start."""
_TASKS = ("ecr.api", "ecr.dkr", "logs", "s3", "secretsmanager")
"""Services that tasks on Fargate need to start."""
_HOSTS = {
    "ecr.api": "api.ecr",
    "ecr.dkr": "dkr.ecr",
    "sagemaker.runtime": "runtime.sagemaker",
    "sagemaker.api": "api.sagemaker",
}
"""Host names of services that differ from the service's name."""
_BELOW = ("ecr.dkr", "s3")
"""Services whose registries and buckets have their own names below the host."""
_ECR = re.compile(r"[0-9]{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\..*")


def needed_names(platform: Platform, network: Network) -> list[str]:
    """Names that workloads in the network resolve, and those that the organisation adds. All others are blocked."""
    region = platform.site(network.site).region or ""
    suffix = domain(region)
    names = [f"*.{region}.vpce.{suffix}", *network.dns_firewall.names]
    services = set(network.services)
    cluster = next(
        (candidate for candidate in platform.clusters if _lies_in(platform, candidate, network)), None
    )
    gateways = [gateway for gateway in platform.gateways if gateway.site == network.site]
    gateways_here = [
        gateway for gateway in gateways if cluster is not None or gateway.class_ in network.classes
    ]
    if cluster is not None:
        services |= set(MACHINES)
        # EKS generates the API server's name.
        names += [f"*.{region}.eks.{suffix}", vpc_names(region)]
    if any(gateway.runs_on == "fargate" for gateway in gateways_here):
        services |= set(_TASKS)
        # The edge reaches the translator by the load balancer's name, which AWS generates.
        names.append(f"*.elb.{region}.{suffix}")
    if services & {"ecr.api", "ecr.dkr"}:
        services.add("s3")
    mounted = {writing_gateways.name for writing_gateways in gateways_sealed_in_aws(platform, network.site)}
    if any(gateway.name in mounted for gateway in gateways_here):
        services.add("s3")
        names.append(f"*.efs.{region}.{suffix}")
    for service in services:
        names += _service_names(service, region)
    for gateway in gateways_here:
        names += _gateway_names(gateway)
    if cluster is not None:
        names += _cluster_names(platform, network.site)
    for link in platform.links:
        if link.to == network.site and set(link.classes) & set(network.classes) and link.mode != "off":
            for zone in link.zones:
                names += [zone, f"*.{zone}"]
    return sorted(set(names))


def _lies_in(platform: Platform, cluster: Cluster, network: Network) -> bool:
    if cluster.site != network.site:
        return False
    active_networks = [
        candidate
        for candidate in platform.networks
        if candidate.site == cluster.site and candidate.mode != "off"
    ]
    return cluster.network == network.name or (cluster.network is None and active_networks == [network])


def _service_names(service: str, region: str) -> list[str]:
    if service == "eks-auth":
        # This service has a name in AWS's newer form (EKS user guide, "Access Amazon EKS using AWS PrivateLink",
        # read 2026-11).
        return [f"eks-auth.{region}.api.aws"]
    host = f"{_HOSTS.get(service, service)}.{region}.{domain(region)}"
    return [host, f"*.{host}"] if service in _BELOW else [host]


def _gateway_names(gateway: Gateway) -> Iterator[str]:
    """The gateway's own name, and the host names in its settings."""
    yield from _host(f"https://{gateway.host}")
    if gateway.database is not None:
        yield from _host(f"https://{gateway.database.host}")
    if gateway.traces is not None:
        yield from _host(gateway.traces.endpoint)


def _cluster_names(platform: Platform, site: str) -> Iterator[str]:
    """Registries from which nodes pull, and stores of weights and records outside AWS's own names."""
    for prefix in platform.images.registries:
        host = prefix.partition("/")[0].partition(":")[0]
        if "." in host:
            yield host
            match = _ECR.fullmatch(host)
            if match:
                yield from _service_names("ecr.api", match[1])
    for endpoint in platform.endpoints:
        if endpoint.site == site and endpoint.weights is not None and endpoint.weights.store is not None:
            yield from _host(endpoint.weights.store.endpoint)
    for store in platform.audit:
        if store.site == site and store.endpoint:
            yield from _host(store.endpoint)
    if platform.monitoring.prometheus_url:
        yield from _host(platform.monitoring.prometheus_url)


def _host(url: str) -> Iterator[str]:
    """The host of a URL, if it is a name that the VPC's resolver must resolve."""
    host = urlsplit(url).hostname or ""
    if "." in host and not re.fullmatch(r"[0-9.]+", host) and not host.endswith((".svc", ".cluster.local")):
        yield host
