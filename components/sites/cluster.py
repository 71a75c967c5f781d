"""Builds everything in one site's cluster: admission, class namespaces, GPU pools, model servers, gateways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pulumi

from components.base.platform_lookups import classes_at, cpu_endpoints, endpoints_on_pool
from components.base.stack_scope import Scope
from components.chat.mapping import chat_args
from components.cluster.pod_priorities import pod_priorities
from components.evaluation.mapping import evaluator_args
from components.gateway.mapping import gateway_args, on_prem_networks, sealer_args
from components.gateway.sealing import Sealed
from components.gateway.translator.mapping import CloudSide, translator_args
from components.observability.dashboards.config_maps import create_dashboards
from components.observability.prometheus_rules import create_rules
from components.pools.mapping import (
    device_plugin_args,
    gpu_operator_args,
    mig_layouts_args,
    pool_args,
    queue_of,
)
from components.reviews.mapping import reviews_args
from components.serving.mapping import door_args, model_args
from components.sites.namespaces import admission_args, namespace_args
from components.sites.people import make_cluster
from components.usage.mapping import loader_args
from isthmus.contracts.platform.lookups.serving import claim_of
from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Platform, Pool, Site

if TYPE_CHECKING:
    from components.pools.gpu_pool import GpuPool
    from components.serving.model_network import ModelDoor
    from components.serving.model_server import ModelServer
    from components.serving.weights.claims import Claims


class ClusterSite:
    """One site's cluster. It is not a resource itself: its children belong to the platform."""

    def __init__(
        self,
        name: str,
        platform: Platform,
        site: Site,
        scope: Scope,
        parent: pulumi.ComponentResource,
        provider: pulumi.ProviderResource,
        machines: Mapping[str, pulumi.Resource],
    ) -> None:
        """`name`: the platform's. `machines`: nodes by pool, if they are created here; `""`: nodes without GPUs."""
        self._name, self._platform, self._site, self._scope = name, platform, site, scope
        self._parent, self._provider, self._machines = parent, provider, machines
        self._prefix = f"{name}-{site.name}"
        self._guard: list[pulumi.Resource] = []
        self._namespaces: dict[str, pulumi.Resource] = {}
        self._servers: dict[str, ModelServer | ModelDoor] = {}
        self._last_of_pools: list[pulumi.Resource] = []
        self.doors: dict[str, dict[str, Any]] = {}
        """Addresses of model servers that another stack runs, by endpoint."""
        self.pools: list[dict[str, Any]] = []
        """Each pool's name, site and health conditions."""

    def guard(self, *, only_admission: bool) -> None:
        """Create the admission policies and the class namespaces that they guard."""
        from components.cluster.admission import AdmissionGuard
        from components.cluster.class_namespace import ClassNamespace

        if not self._scope.owns("platform"):
            return
        policies = AdmissionGuard(
            f"{self._prefix}-admission", admission_args(self._platform, self._site), self._options()
        )
        self._guard.append(policies)
        if not only_admission:
            # A pod that refers to a PriorityClass that does not exist is refused.
            self._guard += pod_priorities(
                f"{self._prefix}-priority",
                self._platform.pod_priorities,
                pulumi.ResourceOptions(parent=self._parent, provider=self._provider),
            )
        self._namespaces = {
            sensitivity: ClassNamespace(
                f"{self._prefix}-{sensitivity}",
                namespace_args(self._platform, self._site, sensitivity, self._scope.retained_models),
                self._options(self._guard),
            )
            for sensitivity in classes_at(self._platform, self._site)
        }

    def create(self) -> None:
        """Create roles, claims of weights, pools and model servers, after `guard`."""
        from components.serving.weights.claims import shared_claims

        platform, site, scope = self._platform, self._site, self._scope
        if scope.owns("platform"):
            accesses = list(scope.accesses)
            make_cluster(self._prefix, platform, site, accesses, self._namespaces, self._options())
        claims: Claims = {}
        if scope.owns("serving"):
            claims = shared_claims(
                self._name, platform, site, self._parent, self._provider, self._namespaces, scope.runs
            )
        # Taints before everything else, so that no gateway is scheduled on a GPU node in the meantime.
        operator_resources = self._create_gpu_operator() if scope.owns("platform") else []
        for pool in platform.pools:
            if pool.site != site.name:
                continue
            gpu_pool = self._create_pool(pool, operator_resources) if scope.owns("platform") else None
            for endpoint in endpoints_on_pool(platform, pool):
                self._serve(endpoint, claims, pool, gpu_pool)
        for endpoint in cpu_endpoints(platform, site):
            self._serve(endpoint, claims)

    def create_gateways(
        self, cloud_sides: Mapping[str, CloudSide], sealing: Mapping[str, Sealed]
    ) -> list[dict[str, Any]]:
        """Create the site's gateways and what watches the classes. Returns class, site, address and service of each.

        `cloud_sides`: AWS settings by identity. `sealing`: by gateway at an AWS site, where its records go.
        """
        create_rules(self._prefix, self._platform, self._site, self._namespaces, self._options())
        create_dashboards(self._prefix, self._platform, self._site, self._namespaces, self._options())
        return [
            self._create_gateway(gateway, cloud_sides, sealing.get(gateway.name))
            for gateway in self._platform.gateways
            if gateway.site == self._site.name and gateway.runs_on == "kubernetes"
        ]

    def _options(self, dependencies: list[pulumi.Resource] | None = None) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self._parent, providers=[self._provider], depends_on=dependencies or []
        )

    def _create_pool(self, pool: Pool, operator_resources: list[pulumi.Resource]) -> GpuPool:
        from components.pools.gpu_pool import GpuPool

        dependencies = [
            *operator_resources,
            *([self._machines[pool.name]] if pool.name in self._machines else []),
            *(self._namespaces[endpoint.class_] for endpoint in endpoints_on_pool(self._platform, pool)),
        ]
        args = pool_args(self._platform, pool, self._scope.retained_models)
        created = GpuPool(f"{self._name}-{pool.name}", args, self._options(dependencies))
        self.pools.append({"name": pool.name, "site": self._site.name, "signs": created.verify})
        self._last_of_pools += created.last
        return created

    def _serve(
        self, endpoint: Endpoint, claims: Claims, pool: Pool | None = None, gpu_pool: GpuPool | None = None
    ) -> None:
        """Create an endpoint's model server, or only its Service and network policy if another stack runs it."""
        from components.serving.model_server import ModelServer

        # Its namespace depends on the guard already. Dependencies listed here are stored in the state for each
        # endpoint.
        dependencies = [self._namespaces[endpoint.class_]] if self._namespaces else list(self._guard)
        if pool is not None and gpu_pool is not None:
            names = queue_of(self._platform, pool, endpoint).values()
            dependencies += gpu_pool.waited_for(endpoint.class_, names)
        if self._scope.runs(endpoint):
            claimed = claims.get((endpoint.class_, claim_of(endpoint) or ""))
            self._servers[endpoint.id] = ModelServer(
                f"{self._name}-{endpoint.id}",
                model_args(self._platform, pool, endpoint, self._scope.doors.get(endpoint.id)),
                self._options([*dependencies, *([claimed] if claimed is not None else [])]),
            )
        elif self._scope.owns("platform"):
            self._servers[endpoint.id] = self._create_door(endpoint, dependencies)

    def _create_door(self, endpoint: Endpoint, dependencies: list[pulumi.Resource]) -> ModelDoor:
        from components.serving.model_network import ModelDoor

        args = door_args(self._platform, endpoint)
        door = ModelDoor(f"{self._name}-{endpoint.id}", args, self._options(dependencies))
        self.doors[endpoint.id] = {"cluster_ip": door.cluster_ip, "leaders": door.leaders}
        return door

    def _create_gpu_operator(self) -> list[pulumi.Resource]:
        """Create the GPU Operator if it is managed, and its configurations before nodes are labelled, because MIG
        manager and the device plugin look up a label's configuration at once.
        """
        platform, site = self._platform, self._site
        layouts, configs = mig_layouts_args(platform, site), device_plugin_args(platform, site)
        resources: list[pulumi.Resource] = []
        operator = gpu_operator_args(platform, site, layouts=layouts is not None, configs=configs is not None)
        if operator is not None:
            from components.pools.gpu_operator import GpuOperator

            resources.append(GpuOperator(f"{self._prefix}-gpu-operator", operator, self._options()))
        dependencies = list(resources)
        if layouts is not None:
            from components.pools.mig import MigLayouts

            resources.append(MigLayouts(f"{self._prefix}-mig", layouts, self._options(dependencies)))
        if configs is not None:
            from components.pools.device_plugin import DevicePluginConfigs

            resources.append(
                DevicePluginConfigs(f"{self._prefix}-device-plugin", configs, self._options(dependencies))
            )
        return resources

    def _create_gateway(
        self, gateway: Gateway, cloud_sides: Mapping[str, CloudSide], sealed_records: Sealed | None
    ) -> dict[str, Any]:
        from components.gateway.inference_gateway import InferenceGateway

        platform, site, servers = self._platform, self._site, self._servers
        cloud_side = cloud_sides.get(gateway.identity) if gateway.identity else None
        translator = translator_args(platform, gateway, cloud_side) if cloud_side is not None else None
        dependencies = [*self._guard, *self._last_of_pools, *self._machines.values()]
        sealed = self._create_records(gateway, sealed_records, dependencies)
        awaited = {endpoint_id for workload in gateway.workloads for endpoint_id in workload.awaited}
        awaited |= set(gateway.screening.judges if gateway.screening else [])
        addresses = {endpoint_id: server.cluster_ip for endpoint_id, server in servers.items()}
        digests = self._scope.owns("serving")  # only then does this stack know the models' releases
        component = InferenceGateway(
            f"{self._prefix}-{gateway.class_}-gateway",
            gateway_args(platform, site, gateway, addresses, translator, sealed_records, digests=digests),
            self._options([*dependencies, self._namespaces[gateway.class_]]),
            dependencies=[
                *sealed,
                *(servers[endpoint_id] for endpoint_id in sorted(awaited) if endpoint_id in servers),
            ],
        )
        self._create_chat(gateway, component, dependencies)
        self._create_evaluator(gateway, component, dependencies)
        return {
            "class": gateway.class_,
            "site": site.name,
            "address": component.address,
            "service": component.service,
        }

    def _create_records(
        self, gateway: Gateway, sealed_records: Sealed | None, dependencies: list[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """Create the gateway's sealer, reviews and loader. Returns the sealer, without which no replica serves."""
        from components.gateway.audit_sealer import AuditSealer
        from components.reviews.service import Reviews

        prefix = f"{self._prefix}-{gateway.class_}"
        share = sealed_records.dependencies if sealed_records is not None else []
        sealer = sealer_args(self._platform, gateway, sealed_records)
        sealed: list[pulumi.Resource] = []
        if sealer is not None:
            sealed.append(AuditSealer(f"{prefix}-sealer", sealer, self._options([*dependencies, *share])))
        reviews = reviews_args(self._platform, gateway, on_prem_networks(self._platform), sealed_records)
        if reviews is not None:
            options = self._options([*dependencies, *share])
            Reviews(f"{prefix}-reviews", reviews, options, dependencies=sealed)
        loader = loader_args(self._platform, gateway, on_prem_networks(self._platform))
        if loader is not None:
            from components.usage.loader import UsageLoader

            UsageLoader(f"{prefix}-loader", loader, self._options([*dependencies, *sealed]))
        return sealed

    def _create_chat(self, gateway: Gateway, component: Any, dependencies: list[pulumi.Resource]) -> None:
        """Create the chat of people who may use the gateway's workloads."""
        from components.chat.service import Chat

        chat = chat_args(self._platform, gateway, component.cluster_ip, on_prem_networks(self._platform))
        if chat is not None:
            Chat(f"{self._prefix}-{gateway.class_}-chat", chat, self._options([*dependencies]))

    def _create_evaluator(
        self, gateway: Gateway, component: Any, dependencies: list[pulumi.Resource]
    ) -> None:
        """Create the jobs that evaluate models of the gateway's workloads."""
        evaluator = evaluator_args(self._platform, gateway, component.cluster_ip)
        if evaluator is not None:
            from components.evaluation.evaluator import Evaluator

            name = f"{self._prefix}-{gateway.class_}-evaluator"
            Evaluator(name, evaluator, self._options([*dependencies]))
