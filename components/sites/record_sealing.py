"""Creates the resources that seal the records of an AWS site's gateways, in two steps. It is not a resource itself.

Identities come first, because endpoints and share name them. Then come the share and, in a cluster, the sealers'
own S3 endpoint, before nodes take its addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pulumi

from components.aws.common.names import aws_name_of_any_stack, partition
from components.aws.network.network import subnet_plan
from components.aws.records.sealing_endpoint import sealing_addresses
from components.base.platform_lookups import boundary_argument, key_argument, region_at, tags
from components.gateway.sealing import Sealed
from isthmus.contracts.platform.lookups.aws import network_of
from isthmus.contracts.platform.lookups.records import (
    audit_store_of,
    gateways_sealed_in_aws,
    has_managed_s3_endpoint,
    has_managed_share,
    seal_prefix,
)
from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.platform import Gateway, Platform, Site
from isthmus.contracts.platform.model.records import SEAL_LIST, SEAL_LOCK, SEAL_PUT, SEAL_READ
from isthmus.core.errors import EnvironmentFault

if TYPE_CHECKING:
    from components.aws.network.endpoint_policy import EndpointGrant
    from components.sites.eks import AwsCluster
    from isthmus.contracts.platform.model.aws.eks import Cluster


def sealer_name(name: str, gateway: Gateway) -> str:
    """The logical name of a gateway's sealer, and prefix of its resources' names."""
    return f"{name}-{gateway.site}-{gateway.class_}-sealer"


def sealers_of(name: str, platform: Platform, site: str) -> list[str]:
    """Name patterns of the roles that may put seals into a site's store, whichever layer creates them."""
    return [
        aws_name_of_any_stack(f"{sealer_name(name, gateway)}-identity-role", 64)
        for gateway in gateways_sealed_in_aws(platform, site)
    ]


class SealingSite:
    """The components for the records of one AWS site's gateways."""

    def __init__(
        self,
        name: str,
        platform: Platform,
        site: Site,
        options_at: Callable[..., pulumi.ResourceOptions],
        network_of_class: Callable[[str], Network | None],
        networks: Mapping[str, Any],
        records: Mapping[str, Any],
    ) -> None:
        """`network_of_class`: returns the contract's network of a class here. `networks`: the created networks by
        name. `records`: ARNs of bucket and key of the site's store, if they are created here.
        """
        self._name, self._platform, self._site, self._at = name, platform, site, options_at
        self._network_of, self._networks, self._records = network_of_class, networks, records
        self._gateways = gateways_sealed_in_aws(platform, site.name)
        self.sealed_records: dict[str, Sealed] = {}
        """Where the records of each gateway go, by the gateway's name."""
        self.retained: list[Any] = []
        """Outputs with lists of resources that a destroy retains."""
        self._roles: dict[str, tuple[Any, Any]] = {}

    def identify(self, cluster: AwsCluster | None, account: Callable[[], Any]) -> None:
        """Create the roles of sealers, and of gateways that mount their share themselves."""
        from components.aws.records.identity import RecordsIdentity

        for gateway in self._gateways:
            identity_args: dict[str, Any] = {
                "bearer": "sealer",
                "sensitivity": gateway.class_,
                "region": region_at(self._platform, self._site.name),
                "source_vpc": self._networks[self._network(gateway).name].vpc_id,
                "tags": tags(self._platform),
                **boundary_argument(self._site),
            }
            sealer = {**identity_args, "bucket": self._bucket(gateway)}
            on_fargate = gateway.runs_on == "fargate"
            if not on_fargate and cluster is not None:
                sealer["pod"] = cluster.sealer(gateway, account())
            opts = self._at(self._site.name)
            role = RecordsIdentity(f"{sealer_name(self._name, gateway)}-identity", sealer, opts).role_arn  # type: ignore[arg-type]
            mounts = None
            if on_fargate:
                args: Any = {**identity_args, "bearer": "gateway"}
                label = f"{self._name}-{gateway.site}-{gateway.class_}-gateway-records"
                mounts = RecordsIdentity(label, args, opts).role_arn
            self._roles[gateway.name] = (role, mounts)

    def grants(self, network: Network) -> list[EndpointGrant]:
        """Permissions of sealers on Fargate at a network's S3 gateway endpoint."""
        gateways = [
            gateway
            for gateway in self._gateways
            if gateway.runs_on == "fargate" and gateway.class_ in network.classes
        ]
        return [grant for gateway in gateways for grant in self._grants(gateway)]

    def build(self, cluster: AwsCluster | None, cluster_settings: Cluster | None) -> list[pulumi.Resource]:
        """Create shares and the sealers' endpoint. Returns the resources that nodes depend on."""
        from components.aws.records.share import RecordsShare

        cluster_gateways = [gateway for gateway in self._gateways if gateway.runs_on == "kubernetes"]
        addresses, early_resources = self._endpoint(cluster_gateways, cluster_settings)
        for gateway in self._gateways:
            role, mounts = self._roles[gateway.name]
            share = None
            if has_managed_share(gateway):
                opts = self._at(self._site.name)
                args = self._share(gateway, cluster, role, mounts)
                share = RecordsShare(f"{self._name}-{gateway.site}-{gateway.class_}-records", args, opts)
                self.retained.append(share.retained)
            self.sealed_records[gateway.name] = Sealed(
                role,
                self._bucket_name(gateway),
                addresses if gateway.runs_on == "kubernetes" else [],
                share,
                mounts,
            )
        return early_resources

    def _endpoint(
        self, gateways: list[Gateway], cluster_settings: Cluster | None
    ) -> tuple[list[str], list[pulumi.Resource]]:
        """The sealers' S3 addresses in the cluster, and the resources that were created for them."""
        if not gateways or cluster_settings is None:
            return [], []
        store = audit_store_of(self._platform, gateways[0])
        if store is not None and store.address is not None:
            return [store.address], []
        assert has_managed_s3_endpoint(self._platform, self._site.name)
        from components.aws.records.sealing_endpoint import SealingEndpoint

        network = network_of(self._platform, cluster_settings)
        region, built = region_at(self._platform, self._site.name), self._networks[network.name]
        cidrs = list(
            subnet_plan(network.cidr or "", network.zones, region, f"networks.{network.name}").values()
        )
        endpoint = SealingEndpoint(
            f"{self._name}-{self._site.name}-sealing",
            {
                "region": region,
                "vpc_id": built.vpc_id,
                "subnet_ids": list(built.subnets),
                "subnet_cidrs": cidrs,
                "sources": [network.cidr or ""],
                "grants": [grant for gateway in gateways for grant in self._grants(gateway)],
                "tags": tags(self._platform),
            },
            self._at(self._site.name),
        )
        return sealing_addresses(cidrs), [endpoint]

    def _share(self, gateway: Gateway, cluster: AwsCluster | None, role: Any, mounts: Any) -> Any:
        network = self._network(gateway)
        built = self._networks[network.name]
        node = cluster.node_role if cluster is not None and gateway.runs_on == "kubernetes" else None
        roles_by_user = {"gateway": [node or mounts], "sealer": [node or role]}
        args: dict[str, Any] = {
            "sensitivity": gateway.class_,
            "region": region_at(self._platform, self._site.name),
            "vpc_id": built.vpc_id,
            "subnet_ids": list(built.subnets),
            "principals": {
                f"{user}-{folder}": roles_by_user[user]
                for user in roles_by_user
                for folder in ("records", "seals")
            },
            "tags": tags(self._platform),
            **key_argument(self._site),
        }
        # In a cluster the nodes mount it. On Fargate the security group of each task is admitted.
        return {**args, "sources": [network.cidr]} if node is not None and network.cidr else args

    def _network(self, gateway: Gateway) -> Network:
        network = self._network_of(gateway.class_)
        assert network is not None  # the contract guarantees it
        return network

    def _grants(self, gateway: Gateway) -> list[EndpointGrant]:
        bucket = self._bucket(gateway)
        objects = pulumi.Output.concat(bucket["arn"], f"/{bucket['prefix']}/*")
        role = self._roles[gateway.name][0]
        return [
            {
                "service": "s3",
                "principals": [role],
                "actions": [*SEAL_PUT, *SEAL_READ],
                "resources": [objects],
            },
            {
                "service": "s3",
                "principals": [role],
                "actions": [*SEAL_LIST, *SEAL_LOCK],
                "resources": [bucket["arn"]],
            },
        ]

    def _bucket(self, gateway: Gateway) -> dict[str, Any]:
        """The store's bucket for a sealer's role: created here, or named by the platform."""
        store = audit_store_of(self._platform, gateway)
        assert store is not None
        bucket: dict[str, Any] = {"prefix": seal_prefix(gateway)}
        if store.mode == "existing":
            aws_partition = partition(region_at(self._platform, self._site.name))
            bucket["arn"] = f"arn:{aws_partition}:s3:::{store.bucket}"
            key = self._site.kms_key
        else:
            bucket["arn"], key = self._records.get("bucket"), self._records.get("key")
        if bucket["arn"] is None:
            raise EnvironmentFault(
                f"the audit store of {self._site.name} is missing from the outputs of the layer below",
                where=f"audit.{store.name}",
                fix="Run the foundation stack again: it was built by an earlier version",
            )
        return {**bucket, "key": key} if key is not None else bucket

    def _bucket_name(self, gateway: Gateway) -> Any:
        arn = self._bucket(gateway)["arn"]
        return pulumi.Output.from_input(arn).apply(lambda text: str(text).rpartition(":::")[2] or str(text))
