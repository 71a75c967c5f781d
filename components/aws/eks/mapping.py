"""Builds the arguments of an EKS cluster and its nodes from the platform's contract."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.aws.common.image_pull import PULL
from components.aws.common.names import partition
from components.aws.eks import roles as eks_roles
from components.aws.eks.cluster import EksClusterArgs
from components.aws.eks.node_group import EksNodeGroupArgs
from components.aws.identity.pod_identity import PodIdentity
from components.aws.network.private_endpoints import EndpointGrant
from components.base.platform_lookups import boundary_argument, region_at, tags
from components.cluster.objects import class_namespace, sealer_namespace
from isthmus.contracts.hardware.system_nodes import nodes_by_zone
from isthmus.contracts.platform.lookups.records import gateways_sealed_in_aws, has_managed_share
from isthmus.contracts.platform.lookups.system_nodes import system_nodes_size
from isthmus.contracts.platform.model.aws.eks import Cluster

if TYPE_CHECKING:
    import pulumi

    from isthmus.contracts.platform.model.aws.account import Network
    from isthmus.contracts.platform.model.platform import Gateway, Identity, Platform, Pool

_ECR = re.compile(r"([0-9]{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.[a-z.]+/(.*)")


@dataclass(frozen=True)
class ClusterAccess:
    """The address and credentials of a cluster in AWS, for a Kubernetes provider."""

    name: pulumi.Input[str]
    """Name of the cluster in EKS."""
    endpoint: pulumi.Input[str]
    certificate_authority: pulumi.Input[str]
    """Base64 of its PEM."""


def cluster_args(platform: Platform, cluster: Cluster, subnets: Any) -> EksClusterArgs:
    site = platform.site(cluster.site)
    fields = cluster.model_dump(
        include={
            *("name", "version", "kms_key", "log_retention_days", "admins", "access", "service_cidr"),
            *("hybrid_nodes", "addon_account", "addons"),
        },
        exclude_none=True,
    )
    arguments: dict[str, Any] = {
        **fields,
        "region": region_at(platform, cluster.site),
        "subnet_ids": subnets,
        "repositories": repositories(platform),
        "tags": tags(platform),
        **({"mounts_shares": True} if shares_at(platform, cluster) else {}),
        **boundary_argument(site),
    }
    return arguments  # type: ignore[return-value]


def shares_at(platform: Platform, cluster: Cluster) -> list[Gateway]:
    """Gateways in the cluster whose share of records is created here."""
    gateways = gateways_sealed_in_aws(platform, cluster.site)
    return [gateway for gateway in gateways if gateway.runs_on == "kubernetes" and has_managed_share(gateway)]


def repositories(platform: Platform) -> list[str]:
    """The platform's own repositories if its registry is Amazon's. Nodes pull from other registries without
    permissions.
    """
    matches = [match for registry in platform.images.registries if (match := _ECR.fullmatch(registry))]
    return [
        f"arn:{partition(region)}:ecr:{region}:{account}:repository/{path or 'isthmus/'}*"
        for account, region, path in (match.groups() for match in matches)
    ]


def _common_arguments(platform: Platform, cluster: Any) -> dict[str, Any]:
    return {
        "cluster": cluster.cluster_name,
        "node_role": cluster.node_role,
        "kms_key": cluster.kms_key,
        "tags": tags(platform),
    }


def system_args(
    platform: Platform, cluster: Cluster, cluster_resource: Any, subnets: dict[str, Any]
) -> EksNodeGroupArgs:
    """Arguments of the nodes without GPUs, in every zone of the network, and of the addons that need nodes."""
    size = system_nodes_size(platform, cluster)
    nodes = nodes_by_zone(size.nodes, list(subnets))
    zones = [zone for zone, count in nodes.items() if count]
    addon_names = ["coredns", *(["aws-ebs-csi-driver"] if cluster.ebs_csi_role else [])]
    addon_names += ["aws-efs-csi-driver"] if shares_at(platform, cluster) else []
    versions: dict[str, str] = {str(name): version for name, version in cluster.addons.items()}
    args: dict[str, Any] = {
        **_common_arguments(platform, cluster_resource),
        "name": "system",
        "subnets": {zone: subnets[zone] for zone in zones},
        "nodes": {zone: nodes[zone] for zone in zones},
        "instance_type": size.instance_type,
        "volume_gib": cluster.system_nodes.volume_gib,
        "addons": {name: versions.get(name, "") for name in addon_names},
    }
    if cluster.ebs_csi_role:
        args["addon_roles"] = {"aws-ebs-csi-driver": cluster.ebs_csi_role}
    return args  # type: ignore[return-value]


def pool_machines_args(
    platform: Platform, pool: Pool, cluster_resource: Any, subnets: dict[str, Any]
) -> EksNodeGroupArgs:
    """Arguments of a pool's nodes, as many in each zone as the contract's domains say."""
    group = pool.node_group
    assert group is not None
    group_fields = group.model_dump(
        include={*("instance_type", "purchase", "reservation", "ami_type", "release_version", "volume_gib")},
        exclude_none=True,
    )
    args: dict[str, Any] = {
        **_common_arguments(platform, cluster_resource),
        **group_fields,
        "name": pool.name,
        "subnets": {zone: subnets[zone] for zone in group.zones},
        "nodes": nodes_by_zone(pool.nodes, list(group.zones)),
        "gpu": True,
    }
    for key in ("min_nodes", "max_nodes"):
        if getattr(group, key) is not None:
            args[key] = nodes_by_zone(getattr(group, key), list(group.zones))
    return args  # type: ignore[return-value]


def subnets_by_zone(network: Network, zones: list[str], subnets: list[Any]) -> dict[str, Any]:
    """A private subnet of each zone. A network that is created here knows its zones; others use the order of the
    names.
    """
    return dict(
        zip(sorted(network.zones) if network.mode == "manage" else sorted(zones), subnets, strict=False)
    )


def cluster_grants(
    platform: Platform, cluster: Cluster, cluster_resource: Any, account: pulumi.Input[str]
) -> list[EndpointGrant]:
    """Calls that nodes need before they work, each through a private endpoint that admits them."""
    region = region_at(platform, cluster.site)
    images = [*eks_roles.addon_repositories(region, cluster.addon_account), *repositories(platform)]
    node, cni = cluster_resource.node_role, cluster_resource.cni_role

    def grant(service: str, principals: list[Any], actions: list[str], resources: Any) -> EndpointGrant:
        return {"service": service, "principals": principals, "actions": actions, "resources": resources}

    log_in = ["ecr:GetAuthorizationToken"]
    return [
        grant("ec2", [node, cni], eks_roles.CNI_LOOKS, ["*"]),
        grant("ec2", [cni], eks_roles.CNI_CHANGES, eks_roles.cni_resources(region, account)),
        grant("ecr.api", [node], log_in, ["*"]),
        grant("ecr.api", [node], PULL, images),
        grant("ecr.dkr", [node], PULL, images),
        grant("eks", [node], ["eks:DescribeCluster"], [cluster_resource.cluster_arn]),
        grant("eks-auth", [node], ["eks-auth:AssumeRoleForPodIdentity"], [cluster_resource.cluster_arn]),
        grant("sts", [node, cni], ["sts:GetCallerIdentity"], ["*"]),
    ]


def pod_of(identity: Identity, name: Any, arn: Any) -> PodIdentity:
    """The translators with an identity. Their ServiceAccount has their name."""
    return {
        "cluster": name,
        "cluster_arn": arn,
        "namespace": class_namespace(identity.class_),
        "service_account": f"{identity.class_}-translator",
    }


def sealer_pod(gateway: Gateway, name: Any, arn: Any) -> PodIdentity:
    """The sealer pods of a gateway's records."""
    return {
        "cluster": name,
        "cluster_arn": arn,
        "namespace": sealer_namespace(gateway.class_),
        "service_account": f"{gateway.class_}-sealer",
    }
