"""The component LlmPlatform: the whole platform of one contract, over all of its sites."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pulumi

from components import stated
from components.base.adoption import Adopting
from components.base.platform_lookups import region_of
from components.base.stack_scope import WHOLE_PLATFORM, Scope
from components.cluster.retention import RetentionRules
from components.data_paths import data_paths
from components.gateway.sealing import Sealed
from components.gateway.translator.mapping import CloudSide
from components.sites.audit_trail import audit_args
from components.sites.cluster import ClusterSite
from components.sites.people import make_account
from components.sites.record_sealing import sealers_of
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.layers import OUTPUT_PARTS
from isthmus.contracts.platform.lookups.aws import kubernetes_sites, provider_key
from isthmus.contracts.platform.model.platform import Endpoint, Platform, Site
from isthmus.contracts.platform.rules import check as platform_rules
from isthmus.contracts.vocabulary import CALLED_TARGETS
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from components.aws.eks.mapping import ClusterAccess

Connect = Callable[[Site, "ClusterAccess"], pulumi.ProviderResource]
"""Creates the Kubernetes provider of a cluster in AWS, when its address is known."""


class LlmPlatform(pulumi.ComponentResource):
    """Per cluster: admission, class namespaces, GPU pools, model servers, gateways. Per AWS site: network, cluster,
    identities, models, private endpoints, gateways on Fargate, link, budgets. Per site: its audit store, with the
    account's trail. Spans sites, so it takes a provider for each, and is for Python only."""

    gateways: pulumi.Output[list[dict[str, str]]]
    """Each gateway's class, site, address and service."""
    endpoints: pulumi.Output[list[dict[str, str]]]
    """Each endpoint's id, class, model, place and target."""
    pools: pulumi.Output[list[dict[str, Any]]]
    """Each pool's name, site and signs: what it shows in its cluster's API when it is healthy."""
    audit: pulumi.Output[list[dict[str, Any]]]
    """Each audit store's name, site, mode, bucket, endpoint and `retention_days`."""
    retained: pulumi.Output[list[str]]
    """Resources that a destroy retains."""
    links: pulumi.Output[list[dict[str, Any]]]
    """Each private link's name, kind, transit gateway, VPN connection and resolver addresses for the site."""
    data_paths: pulumi.Output[list[str]]
    """One line for each workload: where its data may go."""
    people: pulumi.Output[dict[str, dict[str, str]]]
    """If the platform names people: ARNs of the roles that they may assume, by AWS site and role."""

    def __init__(
        self,
        name: str,
        platform: Platform,
        providers: dict[str, pulumi.ProviderResource],
        opts: pulumi.ResourceOptions | None = None,
        *,
        only_admission: bool = False,
        scope: Scope = WHOLE_PLATFORM,
        connect: Connect | None = None,
    ) -> None:
        """`only_admission`: nothing but the admission policies and the namespaces that they guard.

        `providers`: by site's name, a Kubernetes provider for an on-prem site, an AWS one for an AWS site; for its
        cluster, `SITE/kubernetes`. `connect` makes that one where it is missing: a cluster made here has no
        address before.

        `scope`: the layer to build, where it is not all of the platform, and what is there for a time.

        Raises `InputError` for what this version cannot build, `Refused` for what it must not, `FieldError` for a
        platform that breaks a rule of `contracts.platform.rules`.
        """
        if not isinstance(platform, CheckedPlatform):
            platform_rules.check(platform)
        retention = RetentionRules(name, platform, scope)
        adopting = Adopting(platform, scope)
        merged_opts = pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(transformations=[retention.apply, adopting.apply])
        )
        super().__init__("isthmus:index:LlmPlatform", name, stated.inputs(platform), merged_opts)
        self._name = name
        self._only_admission = only_admission
        self._platform = platform
        self._scope = scope
        self.gives: dict[str, dict[str, Any]] = {layer_output: {} for layer_output in OUTPUT_PARTS}
        """Outputs for the layers above (`isthmus.contracts.platform.layers.Given`)."""
        self._provider_by_key = dict(providers)
        self._connect = connect
        self._cloud_sides: dict[str, CloudSide] = {}
        self._sealing: dict[str, Sealed] = {}
        self._retained: list[Any] = []
        self._records: list[Any] = []
        self._links: list[dict[str, Any]] = []
        self._gateways: list[dict[str, Any]] = []
        self._pools: list[dict[str, Any]] = []

        # Stores first, because sealers' roles name their bucket.
        self._sealed: dict[str, dict[str, pulumi.Input[str]]] = {
            name: records.model_dump(exclude_none=True) for name, records in scope.records.items()
        }
        has_stores = scope.owns("foundation") and not only_admission
        audit, retained = self._audit() if has_stores else ([], [])
        self._build_sites()
        people = {} if only_admission else self._people()
        if not only_admission:
            adopting.check()
        self._set_outputs(audit, retention.retained([*retained, *self._records], self._retained), people)

    def _set_outputs(
        self, audit: list[dict[str, Any]], retained: pulumi.Output[list[str]], people: dict[str, Any]
    ) -> None:
        platform = self._platform
        self.people = pulumi.Output.from_input(people)
        self.gateways = pulumi.Output.from_input(self._gateways)
        self.endpoints = pulumi.Output.from_input(
            [_endpoint(platform, endpoint) for endpoint in platform.endpoints]
        )
        self.pools = pulumi.Output.from_input(self._pools)
        self.audit = pulumi.Output.from_input(audit)
        self.retained = retained
        self.links = pulumi.Output.from_input(self._links)
        self.data_paths = pulumi.Output.from_input(data_paths(platform))
        self.register_outputs(
            {
                "gateways": self.gateways,
                "endpoints": self.endpoints,
                "pools": self.pools,
                "audit": self.audit,
                "retained": self.retained,
                "links": self.links,
                "data_paths": self.data_paths,
                **({"people": self.people} if platform.names_roles else {}),
            }
        )

    def _build_sites(self) -> None:
        """AWS sites first, because on-prem translators need their roles, models and endpoints."""
        clusters = kubernetes_sites(self._platform)
        for site in sorted(self._platform.sites, key=lambda site: site.kind != "aws"):
            is_aws = site.kind == "aws" and not self._only_admission
            machines = self._aws_site(site) if is_aws else {}
            builds_cluster = site in clusters and self._scope.in_cluster(self._platform, site)
            if builds_cluster and (not self._only_admission or provider_key(site) in self._provider_by_key):
                self._kubernetes_site(site, machines)

    def _at(self, site: str, dependencies: list[pulumi.Resource] | None = None) -> pulumi.ResourceOptions:
        """Options of a component at a site: its provider and dependencies."""
        return pulumi.ResourceOptions(
            parent=self, providers=[self._provider_at(site)], depends_on=dependencies or []
        )

    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self)

    def _provider_at(self, site: str) -> pulumi.ProviderResource:
        if site not in self._provider_by_key:
            raise InputError(
                f"site '{site}' has no provider",
                where=f"sites.{site}",
                fix=f"Add one. Sites with a provider: {', '.join(sorted(self._provider_by_key)) or 'none'}",
            )
        return self._provider_by_key[site]

    def _kubernetes_site(self, site: Site, machines: dict[str, pulumi.Resource]) -> None:
        """Everything in a site's cluster. `machines`: nodes by pool, if they are created here; `""`: nodes without
        GPUs.
        """
        key = provider_key(site)
        cluster = ClusterSite(
            self._name, self._platform, site, self._scope, self, self._provider_at(key), machines
        )
        cluster.guard(only_admission=self._only_admission)
        if self._only_admission:
            return
        cluster.create()
        self.gives["doors"] |= cluster.doors
        self._pools += cluster.pools
        if self._scope.owns("platform"):
            self._gateways += cluster.create_gateways(self._cloud_sides, self._sealing)

    def _aws_site(self, site: Site) -> dict[str, pulumi.Resource]:
        """Create an AWS site. Returns the nodes of each pool of the site's cluster."""
        from components.sites.aws import AwsSite

        sealed = self._sealed.get(site.name)
        aws_site = AwsSite(self._name, self._platform, site, self._at, self._scope, sealed)
        if self._scope.owns("foundation"):
            for name, network in aws_site.networks.items():
                self.gives["networks"][name] = {
                    key: getattr(network, key) for key in ("vpc_id", "subnets", "route_tables")
                }
            self.gives["anchors"] |= {name: {"arn": anchor.arn} for name, anchor in aws_site.anchors.items()}
        self.gives["hosted"] |= aws_site.names
        if aws_site.access is not None and self._scope.owns("platform"):
            self.gives["clusters"][site.name] = vars(aws_site.access)
        self._cloud_sides |= aws_site.cloud_sides
        self._sealing |= aws_site.sealing.sealed_records
        self._retained += aws_site.retained
        self._records += aws_site.records
        self._links += aws_site.links
        self._gateways += aws_site.gateways
        access, key = aws_site.access, provider_key(site)
        # In its first stage the cluster is empty, and may not be reachable yet.
        if (
            site in kubernetes_sites(self._platform)
            and access is not None
            and key not in self._provider_by_key
            and self._connect is not None
        ):
            self._provider_by_key[key] = self._connect(site, access)
        return aws_site.cluster.machines if aws_site.cluster is not None else {}

    def _audit(self) -> tuple[list[dict[str, Any]], list[Any]]:
        from components.aws.records.trail import AuditTrail

        sites = {site.name: site for site in self._platform.sites}
        stores: list[dict[str, Any]] = []
        retained: list[Any] = []
        for store in self._platform.audit:
            trail = AuditTrail(
                f"{self._name}-{store.name}",
                audit_args(
                    self._platform,
                    sites[store.site],
                    store,
                    sealers_of(self._name, self._platform, store.site),
                ),
                # An existing store needs no provider of its site, and the foundation layer has none on-prem.
                self._at(store.site) if store.site in self._provider_by_key else self._child(),
            )
            self._sealed[store.site] = dict(trail.records)
            if sites[store.site].kind == "aws":
                self.gives["records"][store.site] = trail.records
            stores.append(
                {
                    "name": store.name,
                    "site": store.site,
                    "mode": store.mode,
                    "bucket": trail.bucket,
                    "endpoint": trail.endpoint,
                    "retention_days": store.retention_days,
                }
            )
            retained.append(trail.retained)
        return stores, retained

    def _people(self) -> dict[str, Any]:
        if not self._platform.names_roles or not self._scope.owns("platform"):
            return {}
        arns_by_site = {
            site.name: make_account(
                f"{self._name}-{site.name}",
                self._platform,
                site,
                dict(self._sealed.get(site.name, {})),
                self._at(site.name),
            )
            for site in self._platform.sites
            if site.kind == "aws"
        }
        return {site: arns for site, arns in arns_by_site.items() if arns is not None}


def _endpoint(platform: Platform, endpoint: Endpoint) -> dict[str, str]:
    place = endpoint.site if endpoint.pool is None else f"{endpoint.site}/{endpoint.pool}"
    if endpoint.target in CALLED_TARGETS:
        place = f"{endpoint.site} ({region_of(platform, endpoint)})"
    return {
        "id": endpoint.id,
        "class": endpoint.class_,
        "model": endpoint.model,
        "place": place,
        "target": endpoint.target,
    }
