"""What must hold of a platform's clusters in AWS and of their machines. Rules of `platform_checks`.

Boundaries answer no (exit 1), the rest is wrong input (exit 2). Nothing here asks a cloud.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.contracts.hardware.aws_instances import INSTANCES
from isthmus.contracts.platform.lookups.aws import cluster_at, network_of
from isthmus.contracts.platform.model.aws.eks import RESERVED
from isthmus.contracts.platform.rules.aws.fargate import ECR
from isthmus.contracts.reference import handling
from isthmus.core import ip_addresses
from isthmus.core.errors import FieldError
from isthmus.core.uniqueness import unique

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.aws.eks import Cluster, NodeGroup
    from isthmus.contracts.platform.model.platform import Platform

POD_IDENTITY = "eks-pod-identity"


def clusters_are_whole(platform: Platform) -> None:
    """One cluster an AWS site, with what its mode needs, in a network of the site."""
    from isthmus.contracts.platform.lookups.names import known

    unique(platform.clusters, "name", "clusters")
    aws = {site.name: site for site in platform.sites if site.kind == "aws"}
    taken: dict[str, str] = {}
    for index, cluster in enumerate(platform.clusters):
        path = ("clusters", index)
        known(cluster.site, aws, "site in AWS", *path, "site")
        other = taken.setdefault(cluster.site, cluster.name)
        if other != cluster.name:
            raise FieldError(
                f"{cluster.site} has two clusters, `{other}` and `{cluster.name}`", *path, fix="Keep one"
            )
        unique(cluster.admins, "name", *path, "admins")
        if cluster.mode == "existing":
            if not aws[cluster.site].kube_context:
                what = f"the existing cluster {cluster.name} is reached by its site's kube_context, and there is none"
                raise FieldError(what, *path, "mode", fix=f"Name `kube_context` at site {cluster.site}")
            continue
        network_of(platform, cluster)
        if cluster.version is None:
            raise FieldError(
                f"cluster {cluster.name} names no version", *path, "version", fix='Name it, like "1.36"'
            )
        if not cluster.admins:
            fix = (
                "Name roles, that of `isthmus up` among them: `admins: [{name: platform, principal: arn:…}]`"
            )
            raise FieldError(f"nobody may administer cluster {cluster.name}", *path, "admins", fix=fix)
        _addresses(platform, index)


def _addresses(platform: Platform, index: int) -> None:
    """Services and hybrid nodes have addresses of their own; who reaches the API server comes from the sites."""
    cluster, path = platform.clusters[index], ("clusters", index)
    vpc = ip_addresses.network(network_of(platform, cluster).cidr or "", *path, "network")
    sites = [
        (ip_addresses.network(text, "sites", at, "cidrs", number), site)
        for at, site in enumerate(platform.sites)
        for number, text in enumerate(site.cidrs)
    ]
    services = ip_addresses.site_network(cluster.service_cidr, *path, "service_cidr")
    for other, whose in [(vpc, "its network"), *((each, f"site {site.name}") for each, site in sites)]:
        if services.overlaps(other):
            what = f"`{services}` for services of {cluster.name} overlaps `{other}` of {whose}"
            raise FieldError(what, *path, "service_cidr", fix="Name addresses that no machine has")
    for number, text in enumerate(cluster.access):
        found = ip_addresses.network(text, *path, "access", number)
        if not any(found.subnet_of(each) for each in (vpc, *(each for each, _ in sites))):
            what = f"`{text}` would reach the API server of {cluster.name} from outside the sites and its network"
            fix = f"Name a part of {', '.join(str(each) for each, _ in sites) or vpc}"
            raise FieldError(what, *path, "access", number, fix=fix, refused=True)
    if cluster.hybrid_nodes is None:
        return
    for key in ("node_networks", "pod_networks"):
        for number, text in enumerate(getattr(cluster.hybrid_nodes, key)):
            place = (*path, "hybrid_nodes", key, number)
            found = ip_addresses.network(text, *place)
            if found.overlaps(vpc) or found.overlaps(services):
                raise FieldError(f"`{text}` overlaps the cluster's own addresses", *place, fix="Name others")
            mine = [each for each, site in sites if site.kind == "on-prem"]
            if key == "node_networks" and not any(found.subnet_of(each) for each in mine):
                raise FieldError(
                    f"`{text}` lies in no on-prem site", *place, fix="Name a part of one's `cidrs`"
                )


def what_runs_in_aws_has_a_cluster(platform: Platform) -> None:
    """Model servers and gateways at an AWS site stand in its cluster, whose network carries their class."""
    sites = {site.name: site for site in platform.sites}
    inside = [("endpoints", at, one, one.id) for at, one in enumerate(platform.endpoints)]
    inside = [each for each in inside if each[2].target == "eks-vllm"]
    inside += [
        ("gateways", at, one, one.name)
        for at, one in enumerate(platform.gateways)
        if sites[one.site].kind == "aws" and one.runs_on == "kubernetes"
    ]
    for part, at, one, name in inside:
        cluster = cluster_at(platform, one.site)
        if cluster is None and part == "gateways":
            continue  # it may run elsewhere: `platform_fargate_checks`
        if cluster is None:
            what = f"{name} runs in Kubernetes at {one.site}, which has no cluster"
            raise FieldError(what, part, at, "site", fix=f"Add one for {one.site} to `clusters`")
        if not _may_be_in(one.class_):
            # The target's own rule says it for endpoints; nothing of the class stands in the cluster at all.
            raise FieldError(
                f"{name} of class {one.class_} in a cluster in AWS", part, at, "site", refused=True
            )
        if cluster.mode == "existing":
            continue
        network = network_of(platform, cluster)
        if one.class_ not in network.classes:
            raise FieldError(
                f"{name} stands in network {network.name}, which carries no {one.class_} work",
                *(part, at, "class"),
                fix=f"Add class {one.class_} to network {network.name}",
                refused=True,
            )


def _may_be_in(class_: str) -> bool:
    return "eks-vllm" in handling.of(class_).targets  # type: ignore[arg-type]


def pools_have_machines(platform: Platform) -> None:
    """A pool of a managed cluster says what machines to make; any other finds them there."""
    kinds = {site.name: site.kind for site in platform.sites}
    for index, pool in enumerate(platform.pools):
        path = ("pools", index)
        cluster = cluster_at(platform, pool.site)
        if kinds[pool.site] == "aws" and cluster is None:
            raise FieldError(f"pool {pool.name} is at {pool.site}, which has no cluster", *path, "site")
        managed = cluster is not None and cluster.mode == "manage"
        if not managed:
            if pool.node_group is not None:
                what = f"pool {pool.name} is in no cluster of ours, and says what machines to make"
                raise FieldError(
                    what, *path, "node_group", fix="Leave it out: machines there are the cluster's own"
                )
            continue
        if pool.node_group is None:
            what = f"pool {pool.name} says nothing of the machines to make"
            raise FieldError(what, *path, "node_group", fix="Name its instance_type and zones")
        for key, value in (("node_names", pool.node_names), ("mig", pool.mig)):
            if value:
                what = (
                    f"machines of pool {pool.name} are made and replaced by EKS: they have no names to keep"
                )
                fix = "Leave it out; GPUs are cut on machines with names only"
                raise FieldError(what, *path, key, fix=fix)
        _driver_is_the_images(platform, index)
        _group(platform, index, cluster)


def _driver_is_the_images(platform: Platform, index: int) -> None:
    """AWS's images for GPU machines have a driver: nothing may install another over it."""
    pool, operators = platform.pools[index], platform.operators
    if pool.driver is not None:
        what = f"pool {pool.name} names a driver, and the image of its machines has one"
        fix = "Leave it out; another driver comes with another `node_group.release_version`"
        raise FieldError(what, "pools", index, "driver", fix=fix)
    if operators.gpu_operator == "manage" and operators.gpu_operator_release.driver != "host":
        what = f"the GPU Operator would install drivers on machines of pool {pool.name}, whose image has one"
        raise FieldError(what, "operators", "gpu_operator_release", "driver", fix="Say `driver: host`")


def _group(platform: Platform, index: int, cluster: Cluster | None) -> None:
    pool = platform.pools[index]
    group, path = pool.node_group, ("pools", index, "node_group")
    assert group is not None
    assert cluster is not None
    network = network_of(platform, cluster)
    region = platform.site(pool.site).region or ""
    for at, zone in enumerate(group.zones):
        if zone[:-1] != region or (network.mode == "manage" and zone not in network.zones):
            listed = ", ".join(network.zones) if network.mode == "manage" else f"like {region}a"
            what = f"`{zone}` is no zone of network {network.name}"
            raise FieldError(what, *path, "zones", at, fix=f"Its zones are {listed}")
        if zone in group.zones[:at]:
            raise FieldError(f"pool {pool.name} names zone `{zone}` twice", *path, "zones", at)
    if network.mode == "existing" and len(group.zones) > len(network.subnets):
        what = f"pool {pool.name} lies in more zones than network {network.name} has subnets"
        raise FieldError(what, *path, "zones")
    known = INSTANCES.get(group.instance_type)
    if known is not None and (known.gpu, known.gpus) != (pool.gpu, pool.gpus_per_node):
        what = f"a {group.instance_type} has {known.gpus} x {known.gpu}, and pool {pool.name} states "
        raise FieldError(
            f"{what}{pool.gpus_per_node} x {pool.gpu}", *path, "instance_type", fix="Correct one of the two"
        )
    if pool.failure_domains != len(group.zones):
        what = f"pool {pool.name} has {pool.failure_domains} failure domains and {len(group.zones)} zones"
        raise FieldError(
            what, "pools", index, "failure_domains", fix=f"Say {len(group.zones)}: they are the zones"
        )
    if pool.nodes < len(group.zones):
        what = f"pool {pool.name} has {pool.nodes} machines for {len(group.zones)} zones"
        raise FieldError(what, "pools", index, "nodes", fix="Name fewer zones, or more machines")
    least, most = group.min_nodes, group.max_nodes
    if (least is not None and least > pool.nodes) or (most is not None and most < pool.nodes):
        what = f"pool {pool.name} has {pool.nodes} machines, outside min_nodes and max_nodes"
        raise FieldError(what, *path, "max_nodes" if most is not None and most < pool.nodes else "min_nodes")
    _bought(platform, index, group)


def _bought(platform: Platform, index: int, group: NodeGroup) -> None:
    """A reservation has an id and one zone. What AWS takes back at two minutes' notice promises nothing.

    Spot machines of a type and a zone go together when their owner wants them, so a replica elsewhere in the
    pool is no second chance: whatever must outlive a loss stands on machines that stay.
    """
    pool, path = platform.pools[index], ("pools", index, "node_group")
    if group.purchase in RESERVED:
        if group.reservation is None:
            what = f"pool {pool.name} launches into a {group.purchase}, and names none"
            raise FieldError(what, *path, "reservation", fix="Name its id (cr-…)")
        if len(group.zones) > 1:
            raise FieldError(
                f"a {group.purchase} lies in one zone, and pool {pool.name} names {len(group.zones)}",
                *path,
                "zones",
            )
    elif group.reservation is not None:
        what = f"pool {pool.name} is bought {group.purchase}, and names a reservation"
        fix = "Say `purchase: capacity-reservation` or `capacity-block`, or leave it out"
        raise FieldError(what, *path, "purchase", fix=fix)
    if group.purchase != "spot":
        return
    for at, endpoint in enumerate(platform.endpoints):
        if endpoint.pool == pool.name and endpoint.survive != "none":
            raise FieldError(
                f"endpoint {endpoint.id} must survive the loss of a {endpoint.survive}, and AWS may take back all "
                f"spot machines of pool {pool.name} at once",
                *("endpoints", at, "pool"),
                fix=f"Buy pool {pool.name} on demand or reserved, or say `survive: none` for what may stop",
                refused=True,
            )


def images_can_be_pulled(platform: Platform) -> None:
    """Nodes in a network without a way out pull from Amazon ECR in their region only, or over a link to a site.

    An internet gateway does not help: nodes get no public address. An existing network may have ways out that only
    its owner knows.
    """
    for cluster in platform.clusters:
        if cluster.mode == "existing" or network_of(platform, cluster).mode != "manage":
            continue
        region = platform.site(cluster.site).region or ""
        linked = any(link.to == cluster.site and link.mode != "off" for link in platform.links)
        for reference, path in _pulled_at(platform, cluster.site):
            match = ECR.match(reference)
            if match is not None and match[2] == region:
                continue
            if match is None and linked:
                continue
            raise FieldError(
                f"nodes of cluster {cluster.name} cannot pull `{reference}`: their network has private endpoints of "
                f"Amazon ECR in {region} and no other way to a registry",
                *path,
                fix=f"Mirror it to ACCOUNT.dkr.ecr.{region}.amazonaws.com (docs/airgap.md), and name that in "
                "`images.registry` and `registries`; or name a network of yours that has a way out (`mode: existing`)",
            )


def _pulled_at(platform: Platform, site: str) -> list[tuple[str, tuple[str | int, ...]]]:
    """References that nodes of a site's cluster pull, each with the path of its setting."""
    gateways = [one for one in platform.gateways if one.site == site and one.runs_on == "kubernetes"]
    endpoints = [one for one in platform.endpoints if one.site == site and one.target == "eks-vllm"]
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


def models_fit_eks(platform: Platform) -> None:
    """A replica in AWS stands on one machine: no fabric between machines is set up there."""
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.target == "eks-vllm" and endpoint.nodes_per_replica > 1:
            raise FieldError(
                f"a replica of {endpoint.id} over {endpoint.nodes_per_replica} machines in AWS is not built: "
                "there is no fabric (EFA) between them",
                *("endpoints", index, "nodes_per_replica"),
                fix="Take a machine with more GPUs",
            )


def pod_identities_have_pods(platform: Platform) -> None:
    """An identity by pod identity belongs to a gateway in the cluster of its own site, and has no certificate."""
    for index, identity in enumerate(platform.identities):
        if identity.assumed_by != POD_IDENTITY:
            continue
        path = ("identities", index)
        cluster = cluster_at(platform, identity.site)
        if cluster is None:
            what = f"identity {identity.name} is borne by pods at {identity.site}, which has no cluster"
            raise FieldError(what, *path, "assumed_by", fix="Say `roles-anywhere` for pods elsewhere")
        if cluster.mode == "existing" and cluster.eks_name is None:
            what = f"identity {identity.name} is bound to a cluster by its name in EKS, and {cluster.name} has none"
            fix = f"Name `eks_name` of cluster {cluster.name}"
            raise FieldError(what, *path, "assumed_by", fix=fix)
        for key in ("trust", "certificate_secret"):
            if getattr(identity, key) is not None:
                what = f"identity {identity.name} needs no certificate: its pods are known by where they run"
                raise FieldError(what, *path, key, fix="Leave it out")
        for gateway in platform.gateways:
            if gateway.identity == identity.name and gateway.site != identity.site:
                what = (
                    f"gateway {gateway.name} at {gateway.site} cannot bear identity {identity.name}: pods of "
                )
                raise FieldError(
                    f"{what}{identity.site}'s cluster do", *path, "assumed_by", fix="Say `roles-anywhere`"
                )


FIRST: tuple[Callable[[Platform], None], ...] = (clusters_are_whole, what_runs_in_aws_has_a_cluster)
"""Before the rules of what stands in a cluster."""
CHECKS: tuple[Callable[[Platform], None], ...] = (
    pools_have_machines,
    images_can_be_pulled,
    models_fit_eks,
    pod_identities_have_pods,
)
