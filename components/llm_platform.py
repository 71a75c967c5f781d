"""The whole platform of one contract, over all of its sites."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pulumi

from components.arguments import (
    audit_args,
    classes_at,
    gateway_args,
    mig_layouts_args,
    model_args,
    namespace_args,
    on_cpus,
    pool_args,
    served_on,
)
from components.arguments_aws import CloudSide, translator_args
from components.data_paths import data_paths
from components.lookups import region_of
from isthmus.contracts.errors import InputError
from isthmus.contracts.moving import Standing, claim_of
from isthmus.contracts.platform import Endpoint, Platform, Pool, Site

if TYPE_CHECKING:
    from components.onprem.model_server import ModelServer


class LlmPlatform(pulumi.ComponentResource):
    """Per on-prem site: admission, class namespaces, GPU pools, model servers, gateways. Per AWS site: network,
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
    ) -> None:
        """`only_admission`: nothing but the admission policies and the namespaces that they guard.

        `going`: endpoints of an earlier plan that stand until this one's serve: quotas and queues hold both.

        `providers`: by site's name, a Kubernetes provider for an on-prem site, an AWS one for an AWS site.

        Raises `InputError` for what this version cannot build, `AnswerIsNo` for what it must not.
        """
        super().__init__("isthmus:index:LlmPlatform", name, {"platform": platform.name}, opts)
        self._name = name
        self._only_admission = only_admission
        self._going = going
        self._platform = platform
        self._providers = providers
        self._sides: dict[str, CloudSide] = {}
        self._retained: list[Any] = []
        self._links: list[dict[str, Any]] = []
        self._gateways: list[dict[str, Any]] = []

        sites = {site.name: site for site in platform.sites}
        # AWS first: translators on-prem are told their roles, models and endpoints.
        for site in sorted(platform.sites, key=lambda each: each.kind != "aws"):
            if site.kind == "on-prem":
                self._onprem_site(site)
            elif not only_admission:
                self._aws_site(site)
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
        if site not in self._providers:
            raise InputError(
                f"site '{site}' has no provider",
                where=f"sites.{site}",
                todo=f"Given are those of: {', '.join(sorted(self._providers)) or 'no site'}",
            )
        return self._providers[site]

    def _onprem_site(self, site: Site) -> None:
        from components.onprem.admission import AdmissionGuard
        from components.onprem.gpu_pool import GpuPool
        from components.onprem.model_server import ModelServer
        from components.onprem.namespace import ClassNamespace
        from components.onprem.weights import shared_claims

        platform = self._platform
        at = f"{self._name}-{site.name}"
        guard = AdmissionGuard(
            f"{at}-admission", {"registries": list(platform.images.registries)}, self._at(site.name)
        )
        spaces: dict[str, pulumi.Resource] = {
            held: ClassNamespace(
                f"{at}-{held}",
                namespace_args(platform, site, held, self._going),
                self._at(site.name, [guard]),
            )
            for held in classes_at(platform, site)
        }
        if self._only_admission:
            return
        claims = shared_claims(
            self._name, platform, site, self, self._provider_at(site.name), [guard, *spaces.values()]
        )
        servers: dict[str, ModelServer] = {}

        def serve(endpoint: Endpoint, pool: Pool | None, queues: list[pulumi.Resource]) -> None:
            claimed = claims.get((endpoint.class_, claim_of(endpoint) or ""))
            before = [guard, spaces[endpoint.class_], *queues, *([claimed] if claimed is not None else [])]
            args = model_args(platform, pool, endpoint)
            servers[endpoint.id] = ModelServer(
                f"{self._name}-{endpoint.id}", args, self._at(site.name, before)
            )

        # Taints before all else: a gateway must not settle on a GPU machine in the meantime.
        pools: list[pulumi.Resource] = []
        layouts = mig_layouts_args(platform, site)
        known: list[pulumi.Resource] = []
        if layouts is not None:
            from components.onprem.mig import MigLayouts

            # Before the machines are labelled: MIG manager looks a label's meaning up at once.
            known.append(MigLayouts(f"{at}-mig", layouts, self._at(site.name)))
        for pool in platform.pools:
            if pool.site != site.name:
                continue
            used = [*known, *(spaces[endpoint.class_] for endpoint in served_on(platform, pool))]
            queues = GpuPool(
                f"{self._name}-{pool.name}", pool_args(platform, pool, self._going), self._at(site.name, used)
            )
            pools.append(queues)
            for endpoint in served_on(platform, pool):
                serve(endpoint, pool, [queues])
        for endpoint in on_cpus(platform, site):
            serve(endpoint, None, [])
        self._site_gateways(site, [guard, *pools], spaces, servers)

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
                self._at(site.name, [*before, spaces[gateway.class_]]),
                after=[
                    servers[name]
                    for name in sorted({name for each in gateway.workloads for name in each.awaited})
                    if name in servers
                ],
            )
            self._gateways.append(
                {"class": gateway.class_, "site": site.name, "address": made.address, "service": made.service}
            )

    def _aws_site(self, site: Site) -> None:
        from components.aws_site import AwsSite

        made = AwsSite(self._name, self._platform, site, self._at)
        self._sides |= made.sides
        self._retained += made.retained
        self._links += made.links

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
