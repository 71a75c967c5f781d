"""Creates the EKS cluster of one AWS site in steps. It is not a resource itself.

Control plane and roles come first, then the private endpoints that nodes need to start (`components.sites.aws`),
then the nodes and the addons that need them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pulumi

from components.aws.eks import mapping as arguments
from components.aws.eks.mapping import ClusterAccess
from isthmus.contracts.platform.lookups.aws import network_of

if TYPE_CHECKING:
    from components.aws.identity.pod_identity import PodIdentity
    from isthmus.contracts.platform.model.aws.eks import Cluster
    from isthmus.contracts.platform.model.platform import Gateway, Identity, Platform, Site

At = Callable[..., pulumi.ResourceOptions]


class AwsCluster:
    """A managed cluster with all of its AWS resources, or the settings of an existing one."""

    def __init__(
        self,
        name: str,
        platform: Platform,
        site: Site,
        cluster: Cluster,
        networks: dict[str, Any],
        options_at: At,
    ) -> None:
        self._name, self._platform, self._site, self._at = name, platform, site, options_at
        self._cluster = cluster
        self.control: Any = None
        """The EksCluster, if it is managed."""
        self.network = ""
        """Name of its network."""
        self.machines: dict[str, pulumi.Resource] = {}
        """By pool: resources that must exist before pods can run. `""`: the nodes without GPUs."""
        self.retained: list[Any] = []
        self._network: Any = None
        if cluster.mode == "manage":
            from components.aws.eks.cluster import EksCluster

            network = network_of(platform, cluster)
            self.network, self._network = network.name, networks[network.name]
            self.control = EksCluster(
                f"{name}-{cluster.name}-eks",
                arguments.cluster_args(platform, cluster, self._network.subnets),
                options_at(site.name, [self._network] if isinstance(self._network, pulumi.Resource) else []),
            )
            self.retained.append(self.control.retained)

    def access(self) -> ClusterAccess | None:
        """The address of its API server. None: a kubeconfig context is used."""
        if self.control is None:
            return None
        control = self.control
        return ClusterAccess(control.cluster_name, control.endpoint, control.certificate_authority)

    def grants(self, account: pulumi.Input[str]) -> list[Any]:
        """Permissions of its nodes at private endpoints of its network."""
        if self.control is None or not self._cluster.endpoints:
            return []
        return arguments.cluster_grants(self._platform, self._cluster, self.control, account)

    def pods(self, identity: Identity, account: pulumi.Input[str]) -> PodIdentity:
        """The pods that have an identity in it."""
        return arguments.pod_of(identity, *self._name_and_arn(account))

    def sealer(self, gateway: Gateway, account: pulumi.Input[str]) -> PodIdentity:
        """The pods that seal a gateway's records."""
        return arguments.sealer_pod(gateway, *self._name_and_arn(account))

    @property
    def node_role(self) -> Any:
        """ARN of its nodes' role. None: the nodes belong to the organisation."""
        return self.control.node_role if self.control is not None else None

    def _name_and_arn(self, account: pulumi.Input[str]) -> tuple[Any, Any]:
        """Its name in EKS and its ARN."""
        if self.control is not None:
            return self.control.cluster_name, self.control.cluster_arn
        from components.aws.common.names import partition
        from components.base.platform_lookups import region_at

        eks_name, region = self._cluster.eks_name or "", region_at(self._platform, self._site.name)
        arn = pulumi.Output.format(
            "arn:{}:eks:{}:{}:cluster/{}", partition(region), region, account, eks_name
        )
        return eks_name, arn

    def raise_machines(self, endpoints: list[pulumi.Resource]) -> None:
        """Create the nodes, after the private endpoints that they need to start."""
        if self.control is None:
            return
        from components.aws.eks.node_group import EksNodeGroup

        platform, prefix = self._platform, f"{self._name}-{self._cluster.name}-eks"
        network = network_of(platform, self._cluster)
        pools = [pool for pool in platform.pools if pool.site == self._site.name and pool.node_group]
        zones = sorted({zone for pool in pools if pool.node_group for zone in pool.node_group.zones})
        subnets = arguments.subnets_by_zone(network, zones, self._network.subnets)
        options = self._at(self._site.name, [self.control, *endpoints])
        self.machines[""] = EksNodeGroup(
            f"{prefix}-system", arguments.system_args(platform, self._cluster, self.control, subnets), options
        )
        for pool in pools:
            self.machines[pool.name] = EksNodeGroup(
                f"{self._name}-{pool.name}-machines",
                arguments.pool_machines_args(platform, pool, self.control, subnets),
                options,
            )
