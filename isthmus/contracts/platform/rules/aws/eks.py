"""Rules for clusters in AWS and their nodes. They do not call AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.contracts.hardware.aws_instances import INSTANCES
from isthmus.contracts.platform.lookups.aws import cluster_at, network_of
from isthmus.contracts.platform.model.aws.eks import RESERVED_PURCHASES
from isthmus.contracts.platform.rules.aws.fargate import ECR_IMAGE
from isthmus.contracts.reference import handling
from isthmus.core import ip_addresses
from isthmus.core.errors import FieldError
from isthmus.core.uniqueness import unique

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.aws.eks import Cluster, NodeGroup
    from isthmus.contracts.platform.model.platform import Platform

POD_IDENTITY = "eks-pod-identity"


def clusters_are_complete(platform: Platform) -> None:
    """An AWS site has at most one cluster, with the settings of its mode, in a network of the site."""
    from isthmus.contracts.platform.lookups.names import check_name

    unique(platform.clusters, "name", "clusters")
    aws = {site.name: site for site in platform.sites if site.kind == "aws"}
    clusters: dict[str, str] = {}
    for index, cluster in enumerate(platform.clusters):
        path = ("clusters", index)
        check_name(cluster.site, aws, "site in AWS", *path, "site")
        first = clusters.setdefault(cluster.site, cluster.name)
        if first != cluster.name:
            raise FieldError(
                f"{cluster.site} has two clusters, `{first}` and `{cluster.name}`",
                *path,
                fix="Remove one of them",
            )
        unique(cluster.admins, "name", *path, "admins")
        if cluster.mode == "existing":
            if not aws[cluster.site].kube_context:
                message = f"site {cluster.site} has no kube_context for its existing cluster {cluster.name}"
                raise FieldError(message, *path, "mode", fix=f"Set `kube_context` of site {cluster.site}")
            continue
        network_of(platform, cluster)
        if cluster.version is None:
            raise FieldError(
                f"cluster {cluster.name} has no version", *path, "version", fix='Set it, like version: "1.36"'
            )
        if not cluster.admins:
            fix = "Add roles, including the one that runs `isthmus up`: `admins: [{name: platform, principal: arn:…}]`"
            raise FieldError(
                f"cluster {cluster.name} has no admins, so nobody could administer it",
                *path,
                "admins",
                fix=fix,
            )
        _check_addresses(platform, index)


def _check_addresses(platform: Platform, index: int) -> None:
    """Service and hybrid node networks overlap no other network; `access` lists private networks, or sites' own."""
    cluster, path = platform.clusters[index], ("clusters", index)
    vpc = ip_addresses.network(network_of(platform, cluster).cidr or "", *path, "network")
    sites = [
        (ip_addresses.network(text, "sites", index_of_site, "cidrs", number), site)
        for index_of_site, site in enumerate(platform.sites)
        for number, text in enumerate(site.cidrs)
    ]
    services = ip_addresses.site_network(cluster.service_cidr, *path, "service_cidr")
    for taken_network, label in [
        (vpc, "its network"),
        *((site_network, f"site {site.name}") for site_network, site in sites),
    ]:
        if services.overlaps(taken_network):
            message = f"`{services}` for services of {cluster.name} overlaps `{taken_network}` of {label}"
            raise FieldError(message, *path, "service_cidr", fix="Use addresses that no machine has")
    for number, text in enumerate(cluster.access):
        network = ip_addresses.network(text, *path, "access", number)
        is_own = any(
            network.subnet_of(parent) for parent in (vpc, *(site_network for site_network, _ in sites))
        )
        if not (is_own or ip_addresses.is_within(str(network), ip_addresses.INSIDE)):
            message = f"`{text}` in `access` of cluster {cluster.name} is public, and in no site's networks"
            own = ", ".join(str(site_network) for site_network, _ in sites) or vpc
            fix = f"Use a private network, or one within {own}"
            raise FieldError(message, *path, "access", number, fix=fix, refused=True)
    if cluster.hybrid_nodes is None:
        return
    for key in ("node_networks", "pod_networks"):
        for number, text in enumerate(getattr(cluster.hybrid_nodes, key)):
            place = (*path, "hybrid_nodes", key, number)
            network = ip_addresses.network(text, *place)
            if network.overlaps(vpc) or network.overlaps(services):
                raise FieldError(
                    f"`{text}` overlaps the VPC or service network of cluster {cluster.name}",
                    *place,
                    fix="Use other addresses",
                )
            on_prem_networks = [site_network for site_network, site in sites if site.kind == "on-prem"]
            if key == "node_networks" and not any(
                network.subnet_of(site_network) for site_network in on_prem_networks
            ):
                raise FieldError(
                    f"`{text}` is not within an on-prem site",
                    *place,
                    fix="Use a network within `cidrs` of a site",
                )


def aws_workloads_have_a_cluster(platform: Platform) -> None:
    """Model servers and gateways at an AWS site have a cluster whose network carries their class."""
    sites = {site.name: site for site in platform.sites}
    parts = [("endpoints", at, endpoint, endpoint.id) for at, endpoint in enumerate(platform.endpoints)]
    parts = [entry for entry in parts if entry[2].target == "eks-vllm"]
    parts += [
        ("gateways", at, gateway, gateway.name)
        for at, gateway in enumerate(platform.gateways)
        if sites[gateway.site].kind == "aws" and gateway.runs_on == "kubernetes"
    ]
    for part, at, entry, name in parts:
        cluster = cluster_at(platform, entry.site)
        if cluster is None and part == "gateways":
            continue  # it may run on Fargate: see `rules.aws.fargate`
        if cluster is None:
            message = f"{name} runs on Kubernetes at {entry.site}, which has no cluster"
            raise FieldError(message, part, at, "site", fix=f"Add a cluster for {entry.site} to `clusters`")
        if not _may_run_on_eks(entry.class_):
            # The rule for targets checks endpoints; this also refuses gateways.
            raise FieldError(
                f"{name} is of class {entry.class_}, which may not run in a cluster in AWS",
                *(part, at, "site"),
                fix="Set `site` to an on-prem site",
                refused=True,
            )
        if cluster.mode == "existing":
            continue
        network = network_of(platform, cluster)
        if entry.class_ not in network.classes:
            raise FieldError(
                f"{name} is in network {network.name}, which does not carry class {entry.class_}",
                *(part, at, "class"),
                fix=f"Add class {entry.class_} to `classes` of network {network.name}",
                refused=True,
            )


def _may_run_on_eks(class_: str) -> bool:
    return "eks-vllm" in handling.handling_of(class_).targets  # type: ignore[arg-type]


def aws_pools_have_node_groups(platform: Platform) -> None:
    """Pools of managed clusters have a node_group; other pools have none."""
    kinds = {site.name: site.kind for site in platform.sites}
    for index, pool in enumerate(platform.pools):
        path = ("pools", index)
        cluster = cluster_at(platform, pool.site)
        if kinds[pool.site] == "aws" and cluster is None:
            fix = f"Add a cluster for {pool.site} to `clusters`, or use another site"
            raise FieldError(
                f"pool {pool.name} is at {pool.site}, which has no cluster", *path, "site", fix=fix
            )
        managed = cluster is not None and cluster.mode == "manage"
        if not managed:
            if pool.node_group is not None:
                message = f"pool {pool.name} has a node_group, but its cluster is not managed by Isthmus"
                raise FieldError(
                    message, *path, "node_group", fix="Remove node_group: the cluster has its nodes already"
                )
            continue
        if pool.node_group is None:
            message = f"pool {pool.name} has no node_group"
            raise FieldError(
                message, *path, "node_group", fix="Add `node_group` with instance_type and zones"
            )
        for key, value in (("node_names", pool.node_names), ("mig", pool.mig)):
            if value:
                message = f"pool {pool.name} has `{key}`, but EKS makes and replaces its nodes, so names are not fixed"
                fix = f"Remove `{key}`: MIG needs nodes with fixed names"
                raise FieldError(message, *path, key, fix=fix)
        _check_driver(platform, index)
        _check_node_group(platform, index, cluster)


def _check_driver(platform: Platform, index: int) -> None:
    """AWS's GPU images include a driver, so nothing else may install one."""
    pool, operators = platform.pools[index], platform.operators
    if pool.driver is not None:
        message = f"pool {pool.name} has `driver`, but its node image includes a driver"
        fix = "Remove `driver`; set `node_group.release_version` to get another driver"
        raise FieldError(message, "pools", index, "driver", fix=fix)
    if operators.gpu_operator == "manage" and operators.gpu_operator_release.driver != "host":
        message = f"the GPU Operator would install drivers on pool {pool.name}, whose node image includes one"
        raise FieldError(message, "operators", "gpu_operator_release", "driver", fix="Set `driver: host`")


def _check_node_group(platform: Platform, index: int, cluster: Cluster | None) -> None:
    pool = platform.pools[index]
    group, path = pool.node_group, ("pools", index, "node_group")
    assert group is not None
    assert cluster is not None
    network = network_of(platform, cluster)
    region = platform.site(pool.site).region or ""
    for position, zone in enumerate(group.zones):
        if zone[:-1] != region or (network.mode == "manage" and zone not in network.zones):
            listed = ", ".join(network.zones) if network.mode == "manage" else f"like {region}a"
            message = f"`{zone}` is not a zone of network {network.name}"
            raise FieldError(message, *path, "zones", position, fix=f"Use zones {listed}")
        if zone in group.zones[:position]:
            message = f"zone `{zone}` of pool {pool.name} appears twice"
            raise FieldError(message, *path, "zones", position, fix="Remove one of them")
    if network.mode == "existing" and len(group.zones) > len(network.subnets):
        message = f"pool {pool.name} has more zones than network {network.name} has subnets"
        raise FieldError(message, *path, "zones", fix="Remove zones, or add subnets to the network")
    instance = INSTANCES.get(group.instance_type)
    if instance is not None and (instance.gpu, instance.gpus) != (pool.gpu, pool.gpus_per_node):
        message = (
            f"a {group.instance_type} has {instance.gpus} x {instance.gpu}, but pool {pool.name} states "
        )
        raise FieldError(
            f"{message}{pool.gpus_per_node} x {pool.gpu}",
            *path,
            "instance_type",
            fix="Correct instance_type, or gpu and gpus_per_node",
        )
    if pool.failure_domains != len(group.zones):
        message = f"pool {pool.name} has {pool.failure_domains} failure domains, but {len(group.zones)} zones"
        raise FieldError(
            message,
            "pools",
            index,
            "failure_domains",
            fix=f"Set failure_domains to {len(group.zones)}, the number of zones",
        )
    if pool.nodes < len(group.zones):
        message = f"pool {pool.name} has {pool.nodes} nodes for {len(group.zones)} zones"
        raise FieldError(message, "pools", index, "nodes", fix="Use fewer zones, or more nodes")
    min_nodes, max_nodes = group.min_nodes, group.max_nodes
    if (min_nodes is not None and min_nodes > pool.nodes) or (
        max_nodes is not None and max_nodes < pool.nodes
    ):
        message = f"pool {pool.name} has {pool.nodes} nodes, outside min_nodes and max_nodes"
        raise FieldError(
            message, *path, "max_nodes" if max_nodes is not None and max_nodes < pool.nodes else "min_nodes"
        )
    _check_purchase(platform, index, group)


def _check_purchase(platform: Platform, index: int, group: NodeGroup) -> None:
    """A reservation has an id and one zone, and endpoints that must survive a loss do not run on spot nodes.

    AWS can take back all spot instances of a type and zone at once with two minutes' notice, so replicas on other spot
    nodes of the pool do not help.
    """
    pool, path = platform.pools[index], ("pools", index, "node_group")
    if group.purchase in RESERVED_PURCHASES:
        if group.reservation is None:
            message = f"pool {pool.name} has `purchase: {group.purchase}`, but no reservation"
            raise FieldError(message, *path, "reservation", fix="Set `reservation` to its id (cr-…)")
        if len(group.zones) > 1:
            raise FieldError(
                f"a {group.purchase} is in one zone, but pool {pool.name} has {len(group.zones)} zones",
                *path,
                "zones",
                fix="Set `zones` to the zone of the reservation",
            )
    elif group.reservation is not None:
        message = f"pool {pool.name} has a reservation, but `purchase: {group.purchase}`"
        fix = "Set `purchase` to capacity-reservation or capacity-block, or remove `reservation`"
        raise FieldError(message, *path, "purchase", fix=fix)
    if group.purchase != "spot":
        return
    for at, endpoint in enumerate(platform.endpoints):
        if endpoint.pool == pool.name and endpoint.survive != "none":
            raise FieldError(
                f"endpoint {endpoint.id} must survive the loss of a {endpoint.survive}, but AWS may take back all spot "
                f"nodes of pool {pool.name} at once",
                *("endpoints", at, "pool"),
                fix=f"Set `purchase` of pool {pool.name} to on-demand or a reservation, or set `survive: none`",
                refused=True,
            )


def images_can_be_pulled(platform: Platform) -> None:
    """Nodes in a managed network pull images from Amazon ECR in their region, or over a link to a site.

    An internet gateway does not help, because nodes get no public address. Existing networks are not checked: they may
    have routes that Isthmus does not know.
    """
    for cluster in platform.clusters:
        if cluster.mode == "existing" or network_of(platform, cluster).mode != "manage":
            continue
        region = platform.site(cluster.site).region or ""
        linked = any(link.to == cluster.site and link.mode != "off" for link in platform.links)
        for reference, path in _image_references(platform, cluster.site):
            match = ECR_IMAGE.match(reference)
            if match is not None and match[2] == region:
                continue
            if match is None and linked:
                continue
            raise FieldError(
                f"nodes of cluster {cluster.name} cannot pull `{reference}`: their network reaches Amazon ECR in "
                f"{region} only",
                *path,
                fix=f"Mirror it to ACCOUNT.dkr.ecr.{region}.amazonaws.com (docs/airgap.md), and set "
                "`images.registry` and `registries` to it; or use an existing network with a route to the registry",
            )


def _image_references(platform: Platform, site: str) -> list[tuple[str, tuple[str | int, ...]]]:
    """References that nodes of a site's cluster pull, each with the path of its setting."""
    gateways = [
        gateway for gateway in platform.gateways if gateway.site == site and gateway.runs_on == "kubernetes"
    ]
    endpoints = [
        endpoint for endpoint in platform.endpoints if endpoint.site == site and endpoint.target == "eks-vllm"
    ]
    names = [
        *(["edge"] if gateways or endpoints else []),
        *(["translator"] if gateways else []),
        *(["resolver"] if gateways and platform.site(site).cluster_dns.filter else []),
        *(["detector"] if any(gateway.screening for gateway in gateways) else []),
        *(["vllm"] if any(endpoint.engine == "gpu" for endpoint in endpoints) else []),
        *(["vllm_cpu"] if any(endpoint.engine == "cpu" for endpoint in endpoints) else []),
    ]
    images = [(getattr(platform.images, name), ("images", name)) for name in names]
    pulled: list[tuple[str, tuple[str | int, ...]]] = [(image, path) for image, path in images if image]
    for endpoint in endpoints:
        uri = endpoint.weights.uri if endpoint.weights else ""
        if uri.startswith("oci://"):
            path = ("endpoints", platform.endpoints.index(endpoint), "weights", "uri")
            pulled.append((uri.removeprefix("oci://"), path))
    return pulled


def eks_replicas_fit_one_machine(platform: Platform) -> None:
    """A replica in AWS runs on one node: EFA is not supported."""
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.target == "eks-vllm" and endpoint.nodes_per_replica > 1:
            raise FieldError(
                f"endpoint {endpoint.id} has nodes_per_replica {endpoint.nodes_per_replica}, but replicas in "
                "AWS run on one "
                "node (EFA is not supported)",
                *("endpoints", index, "nodes_per_replica"),
                fix="Set nodes_per_replica to 1, and use an instance type with more GPUs",
            )


def pod_identities_have_a_cluster(platform: Platform) -> None:
    """Pod identities belong to gateways in the cluster of their own site, and have no certificate."""
    for index, identity in enumerate(platform.identities):
        if identity.assumed_by != POD_IDENTITY:
            continue
        path = ("identities", index)
        cluster = cluster_at(platform, identity.site)
        if cluster is None:
            message = f"identity {identity.name} is for pods at {identity.site}, which has no cluster"
            raise FieldError(
                message, *path, "assumed_by", fix="Set `assumed_by: roles-anywhere` for pods elsewhere"
            )
        if cluster.mode == "existing" and cluster.eks_name is None:
            message = f"cluster {cluster.name} has no eks_name, which identity {identity.name} needs"
            fix = f"Set `eks_name` of cluster {cluster.name}"
            raise FieldError(message, *path, "assumed_by", fix=fix)
        for key in ("trust", "certificate_secret"):
            if getattr(identity, key) is not None:
                message = f"identity {identity.name} uses pod identity, which does not support `{key}`"
                raise FieldError(message, *path, key, fix=f"Remove `{key}`")
        for gateway in platform.gateways:
            if gateway.identity == identity.name and gateway.site != identity.site:
                message = (
                    f"gateway {gateway.name} at {gateway.site} cannot use identity {identity.name}, which is for "
                    "pods of "
                )
                raise FieldError(
                    f"{message}the cluster at {identity.site}",
                    *path,
                    "assumed_by",
                    fix="Set `assumed_by: roles-anywhere`",
                )


EARLY_CHECKS: tuple[Callable[[Platform], None], ...] = (clusters_are_complete, aws_workloads_have_a_cluster)
"""Rules that run before those of the parts in a cluster."""
CHECKS: tuple[Callable[[Platform], None], ...] = (
    aws_pools_have_node_groups,
    images_can_be_pulled,
    eks_replicas_fit_one_machine,
    pod_identities_have_a_cluster,
)
