"""The whole platform of one contract, over all of its sites."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pulumi

from components.arguments import (
    audit_args,
    classes_at,
    gateway_args,
    mig_layouts_args,
    model_args,
    namespace_args,
    pool_args,
    served_on,
)
from components.arguments_aws import CloudSide, translator_args
from components.data_paths import data_paths
from components.lookups import region_of
from isthmus.contracts.errors import InputError
from isthmus.contracts.moving import Standing, claim_of
from isthmus.contracts.platform import Endpoint, Platform, Site
from isthmus.contracts.platform_eks import kubernetes_sites, provider_key

if TYPE_CHECKING:
    from components.arguments_eks import ClusterAccess
    from components.onprem.model_server import ModelServer

Connect = Callable[[Site, "ClusterAccess"], pulumi.ProviderResource]
"""Makes the Kubernetes provider of a cluster in AWS from what is known once it is made."""


class LlmPlatform(pulumi.ComponentResource):
    """Per cluster: admission, class namespaces, GPU pools, model servers, gateways. Per AWS site: network, cluster,
    identities, models, private endpoints, link, budgets. Per site: its audit store, with the account's trail.
    Spans sites, so it takes a provider for each, and is for Python only."""

    gateways: pulumi.Output[list[dict[str, str]]]
    """Each gateway's class, site, address and service."""
    endpoints: pulumi.Output[list[dict[str, str]]]
    """Each endpoint's id, class, model, place and target."""
    audit: pulumi.Output[list[dict[str, Any]]]
    """Each audit store's name, site, mode, bucket, endpoint and `retention_days`."""
    retained: pulumi.Output[list[str]]
    """What a destroy leaves on purpose."""
    links: pulumi.Output[list[dict[str, Any]]]
    """Each private link's name, kind, transit gateway, VPN connection and the resolvers that a site asks."""
    data_paths: pulumi.Output[list[str]]
    """A line for each workload: where its data may go."""

    def __init__(
        self,
        name: str,
        platform: Platform,
        providers: dict[str, pulumi.ProviderResource],
        opts: pulumi.ResourceOptions | None = None,
        *,
        only_admission: bool = False,
        going: Sequence[Standing] = (),
        connect: Connect | None = None,
    ) -> None:
        """`only_admission`: nothing but the admission policies and the namespaces that they guard.

        `going`: endpoints of an earlier plan that stand until this one's serve: quotas and queues hold both.

        `providers`: by site's name, a Kubernetes provider for an on-prem site, an AWS one for an AWS site; for its
        cluster, `SITE/kubernetes`. `connect` makes that one where it is missing: a cluster made here has no
        address before.

        Raises `InputError` for what this version cannot build, `AnswerIsNo` for what it must not.
        """
        super().__init__("isthmus:index:LlmPlatform", name, {"platform": platform.name}, opts)
        self._name = name
        self._only_admission = only_admission
        self._going = going
        self._platform = platform
        self._by_key = dict(providers)
        self._connect = connect
        self._sides: dict[str, CloudSide] = {}
        self._retained: list[Any] = []
        self._links: list[dict[str, Any]] = []
        self._gateways: list[dict[str, Any]] = []

        sites = {site.name: site for site in platform.sites}
        inside = kubernetes_sites(platform)
        # AWS first: translators on-prem are told their roles, models and endpoints.
        for site in sorted(platform.sites, key=lambda each: each.kind != "aws"):
            machines = self._aws_site(site) if site.kind == "aws" and not only_admission else {}
            if site in inside and (not only_admission or provider_key(site) in self._by_key):
                self._kubernetes_site(site, machines)
        audit, retained = self._audit(sites) if not only_admission else ([], [])

        self.gateways = pulumi.Output.from_input(self._gateways)
        self.endpoints = pulumi.Output.from_input([_endpoint(platform, each) for each in platform.endpoints])
        self.audit = pulumi.Output.from_input(audit)
        self.retained = pulumi.Output.all(*retained, *self._retained).apply(
            lambda lists: [one for many in lists for one in many]
        )
        self.links = pulumi.Output.from_input(self._links)
        self.data_paths = pulumi.Output.from_input(data_paths(platform))
        self.register_outputs(
            {
                "gateways": self.gateways,
                "endpoints": self.endpoints,
                "audit": self.audit,
                "retained": self.retained,
                "links": self.links,
                "data_paths": self.data_paths,
            }
        )

    def _at(self, site: str, after: list[pulumi.Resource] | None = None) -> pulumi.ResourceOptions:
        """Options of a component at a site: its provider, and what it waits for."""
        return pulumi.ResourceOptions(
            parent=self, providers=[self._provider_at(site)], depends_on=after or []
        )

    def _provider_at(self, site: str) -> pulumi.ProviderResource:
        if site not in self._by_key:
            raise InputError(
                f"site '{site}' has no provider",
                where=f"sites.{site}",
                todo=f"Given are those of: {', '.join(sorted(self._by_key)) or 'no site'}",
            )
        return self._by_key[site]

    def _kubernetes_site(self, site: Site, machines: dict[str, pulumi.Resource]) -> None:
        """What stands in a site's cluster. `machines`: by pool, where they are made here; `""`: those without GPUs."""
        from components.onprem.admission import AdmissionGuard
        from components.onprem.gpu_pool import GpuPool
        from components.onprem.model_server import ModelServer
        from components.onprem.namespace import ClassNamespace
        from components.onprem.weights import shared_claims

        platform = self._platform
        at, key = f"{self._name}-{site.name}", provider_key(site)
        guard = AdmissionGuard(
            f"{at}-admission", {"registries": list(platform.images.registries)}, self._at(key)
        )
        spaces: dict[str, pulumi.Resource] = {
            held: ClassNamespace(
                f"{at}-{held}",
                namespace_args(platform, site, held, self._going),
                self._at(key, [guard]),
            )
            for held in classes_at(platform, site)
        }
        if self._only_admission:
            return
        claims = shared_claims(
            self._name, platform, site, self, self._provider_at(key), [guard, *spaces.values()]
        )
        servers: dict[str, ModelServer] = {}
        # Taints before all else: a gateway must not settle on a GPU machine in the meantime.
        pools: list[pulumi.Resource] = []
        layouts = mig_layouts_args(platform, site)
        known: list[pulumi.Resource] = []
        if layouts is not None:
            from components.onprem.mig import MigLayouts

            # Before the machines are labelled: MIG manager looks a label's meaning up at once.
            known.append(MigLayouts(f"{at}-mig", layouts, self._at(key)))
        for pool in platform.pools:
            if pool.site != site.name:
                continue
            made = [machines[pool.name]] if pool.name in machines else []
            used = [*known, *made, *(spaces[endpoint.class_] for endpoint in served_on(platform, pool))]
            queues = GpuPool(
                f"{self._name}-{pool.name}", pool_args(platform, pool, self._going), self._at(key, used)
            )
            pools.append(queues)
            for endpoint in served_on(platform, pool):
                claimed = claims.get((endpoint.class_, claim_of(endpoint) or ""))
                servers[endpoint.id] = ModelServer(
                    f"{self._name}-{endpoint.id}",
                    model_args(platform, pool, endpoint),
                    self._at(
                        key,
                        [guard, spaces[endpoint.class_], queues, *([claimed] if claimed is not None else [])],
                    ),
                )
        self._site_gateways(site, [guard, *pools, *machines.values()], spaces, servers)

    def _site_gateways(
        self,
        site: Site,
        before: list[pulumi.Resource],
        spaces: dict[str, pulumi.Resource],
        servers: "dict[str, ModelServer]",
    ) -> None:
        from components.gateway.inference_gateway import InferenceGateway

        addresses = {name: server.cluster_ip for name, server in servers.items()}
        for gateway in self._platform.gateways:
            if gateway.site != site.name:
                continue
            side = self._sides.get(gateway.identity) if gateway.identity else None
            behind = translator_args(self._platform, gateway, side) if side is not None else None
            made = InferenceGateway(
                f"{self._name}-{site.name}-{gateway.class_}-gateway",
                gateway_args(self._platform, site, gateway, addresses, behind),
                self._at(provider_key(site), [*before, spaces[gateway.class_]]),
                after=[
                    servers[name]
                    for name in sorted({each.endpoint for each in gateway.workloads})
                    if name in servers
                ],
            )
            self._gateways.append(
                {"class": gateway.class_, "site": site.name, "address": made.address, "service": made.service}
            )

    def _aws_site(self, site: Site) -> dict[str, pulumi.Resource]:
        """The machines of each pool of the site's cluster."""
        from components.aws_site import AwsSite

        made = AwsSite(self._name, self._platform, site, self._at)
        self._sides |= made.sides
        self._retained += made.retained
        self._links += made.links
        if made.cluster is None:
            return {}
        access, key = made.cluster.access(), provider_key(site)
        # At its first stage nothing stands in it, and nobody may be able to reach it yet.
        if (
            site in kubernetes_sites(self._platform)
            and access is not None
            and key not in self._by_key
            and self._connect is not None
        ):
            self._by_key[key] = self._connect(site, access)
        return made.cluster.machines

    def _audit(self, sites: dict[str, Site]) -> tuple[list[dict[str, Any]], list[Any]]:
        from components.governance.audit_trail import AuditTrail

        described: list[dict[str, Any]] = []
        retained: list[Any] = []
        for store in self._platform.audit:
            trail = AuditTrail(
                f"{self._name}-{store.name}",
                audit_args(self._platform, sites[store.site], store),
                self._at(store.site),
            )
            described.append(
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
        return described, retained


def _endpoint(platform: Platform, endpoint: Endpoint) -> dict[str, str]:
    place = endpoint.site if endpoint.pool is None else f"{endpoint.site}/{endpoint.pool}"
    if endpoint.target == "bedrock":
        place = f"{endpoint.site} ({region_of(platform, endpoint)})"
    return {
        "id": endpoint.id,
        "class": endpoint.class_,
        "model": endpoint.model,
        "place": place,
        "target": endpoint.target,
    }
