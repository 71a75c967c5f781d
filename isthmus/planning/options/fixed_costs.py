"""Monthly fixed cost of an AWS site: networks, keys, gateways, clusters, logs.

`FixedCosts` lists every part that a blueprint builds at the AWS sites of the requirements, with the condition
under which it is built (`Scope`). The solver pays for a part as soon as one placement needs it. Quantities follow
the blueprints (`blueprints/parts`); `tests/graders/test_fixed_costs.py` compares them with what is rendered.
What an organisation adds by overrides is not in a plan and not priced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from isthmus.contracts.hardware import system_nodes
from isthmus.contracts.hardware.system_nodes import ADDONS, OPERATORS, Room, Size, gateway_pods, smallest
from isthmus.contracts.platform.model.screening import Screening
from isthmus.contracts.reference import handling
from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.contracts.vocabulary import SENSITIVITIES, VLLM_TARGETS
from isthmus.core.quantities import amount
from isthmus.planning.catalogues import aws_instances, fixed_prices
from isthmus.planning.catalogues.fixed_prices import UnitPrice
from isthmus.planning.options import gateway_sites
from isthmus.planning.options.option import OnGpus
from isthmus.planning.sizing import demand
from isthmus.planning.sizing.demand import HOURS_PER_MONTH

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.sites import Link
    from isthmus.contracts.vocabulary import Sensitivity, Target
    from isthmus.planning.options.option import Option

ZONES = 2
"""Availability zones of a network that a blueprint makes."""

LOG_BYTES_PER_REQUEST = 4_000
"""Bytes of logs for a request: a line each of gateway, translator and Bedrock, without content (about 1 kB each),
plus its share of flow logs. An estimate."""

LOG_GB_PER_NETWORK = 5.0
"""GB of flow logs and trail in a month for a network at rest. An estimate."""

LOG_GB_PER_CLUSTER = 20.0
"""GB of the five control-plane logs of a small EKS cluster in a month. An estimate."""

RECORD_BYTES_PER_REQUEST = 1_500
"""Bytes of the audit records of a request (docs/audit.md). The share holds a month of them. An estimate."""

FARGATE_TASKS = (("gateway", 2), ("translator", 2), ("sealer", 1))
"""Tasks of a class's gateway on Fargate, each of 1 vCPU and 2 GiB (the platform's defaults)."""
FARGATE_VCPUS = 1.0
FARGATE_GIB = 2.0
SECRETS_PER_FARGATE_GATEWAY = 5
"""Certificates of gateway and translator, callers, the audit key, the sealer's key."""

GATEWAY_REPLICAS = 2
"""Replicas of a gateway and of its reviews (`Gateway.replicas`, `GatewayReviews.replicas`)."""
_VCPUS_PRICED = 4
"""vCPUs of `m7i.xlarge`, the system node type with a price in the table."""
_DETECTOR = Room(int(amount(Screening().room[0]) * 1000), int(amount(Screening().room[1]) / 2**20))
"""Room of the detector beside each gateway replica that scans answers for secrets, by patterns only."""

SYSTEM_NODE_GIB = 100
"""Volume of an EKS system node (`SystemNodes.volume_gib`)."""

EKS_ENDPOINTS = ("ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "s3", "sts")
"""Interface endpoints that nodes, pods and sealers of a private cluster call."""

Kind = Literal["network", "bedrock", "sagemaker", "roles-anywhere", "fargate", "gateway", "cluster", "link"]


@dataclass(frozen=True)
class Placed:
    """Where one option puts a workload, and where the gateway is that calls it."""

    sensitivity: Sensitivity
    site: str
    target: Target
    gateway_site: str | None


@dataclass(frozen=True)
class Scope:
    """The condition under which a part is built: something of this kind is placed at the site."""

    kind: Kind
    site: str
    sensitivity: Sensitivity | None = None
    """`gateway`: the class whose gateway it is."""
    other_site: str | None = None
    """`link`: the on-prem end."""


@dataclass(frozen=True)
class FixedCost:
    """One part with its price: USD a month are `quantity` times `price.usd`."""

    scope: Scope
    item: str
    """Its name in `fixed_prices.json`, or of an EKS control plane `eks-cluster`."""
    what: str
    quantity: float
    unit: str
    price: UnitPrice

    @property
    def monthly_usd(self) -> float:
        return self.quantity * self.price.usd


@dataclass(frozen=True)
class FixedCosts:
    """The parts of all AWS sites under one blueprint."""

    requirements: Requirements
    builds: Collection[str]
    """Targets that the blueprint builds. With `eks-vllm` its gateways in AWS run in a cluster, else on Fargate."""
    _homes: dict[Sensitivity, str | None] = field(default_factory=dict, compare=False)

    @property
    def _clusters_in_aws(self) -> bool:
        """Whether gateways in AWS run in a cluster of the blueprint, else on Fargate."""
        return "eks-vllm" in self.builds

    def parts(self) -> list[FixedCost]:
        """Every part that could be built, in a fixed order."""
        costs = [
            part for site in self.requirements.sites if isinstance(site, AwsSite) for part in self._site(site)
        ]
        for link in self.requirements.links:
            costs += self._link(link)
        return costs

    def monthly_usd_by_scope(self) -> dict[Scope, float]:
        """USD a month of all parts that one condition decides on."""
        usd: dict[Scope, float] = {}
        for part in self.parts():
            usd[part.scope] = usd.get(part.scope, 0.0) + part.monthly_usd
        return usd

    def placed(self, sensitivity: Sensitivity, site: str, target: Target) -> Placed:
        """Where something runs and where its gateway is: in its model server's cluster, else at the class's home."""
        gateway_site = site if target in VLLM_TARGETS else self._home(sensitivity)
        return Placed(sensitivity, site, target, gateway_site)

    def option_placed(self, sensitivity: Sensitivity, option: Option) -> Placed:
        """As `placed`, of an option that the solver weighs."""
        target: Target = option.column.target if isinstance(option, OnGpus) else "bedrock"
        return self.placed(sensitivity, option.site, target)

    def _home(self, sensitivity: Sensitivity) -> str | None:
        if sensitivity not in self._homes:
            self._homes[sensitivity] = gateway_sites.home_site(self.requirements, sensitivity)
        return self._homes[sensitivity]

    def applies(self, scope: Scope, placed: Placed) -> bool:
        """Whether a placement needs the parts of a scope."""
        is_here = placed.site == scope.site
        has_gateway_here = placed.gateway_site == scope.site
        in_cluster = self._clusters_in_aws
        is_api = placed.target in ("bedrock", "sagemaker")
        if scope.kind == "network":
            return is_here or has_gateway_here
        if scope.kind in ("bedrock", "sagemaker"):
            return is_here and placed.target == scope.kind
        if scope.kind == "roles-anywhere":
            return is_here and is_api and not in_cluster and not has_gateway_here
        if scope.kind == "fargate":
            return has_gateway_here and not in_cluster
        if scope.kind == "gateway":
            return has_gateway_here and placed.sensitivity == scope.sensitivity
        if scope.kind == "cluster":
            return in_cluster and (has_gateway_here or (is_here and placed.target == "eks-vllm"))
        return is_here and placed.gateway_site == scope.other_site

    def _site(self, site: AwsSite) -> Iterator[FixedCost]:
        zones = len(site.existing.subnets or []) or ZONES
        network = Scope("network", site.name)
        existing = site.existing
        keys = ["flow log", "DNS query log", "alarms", "budget alerts"]
        keys += [] if existing.audit_bucket else ["audit bucket"]
        keys += [] if existing.trail else ["trail log"]
        yield self._part(site, network, "kms-key", len(keys), f"keys ({', '.join(keys)})")
        yield self._part(site, network, "alarm", 2, "alarms (trail changed, trail silent)")
        yield self._part(site, network, "logs", LOG_GB_PER_NETWORK, "logs of network and trail at rest")
        yield self._endpoints(site, Scope("bedrock", site.name), ["bedrock-runtime"], zones)
        if not existing.invocation_logging:
            yield self._part(site, Scope("bedrock", site.name), "kms-key", 1, "key (log of calls)")
        yield self._endpoints(site, Scope("sagemaker", site.name), ["sagemaker.runtime"], zones)
        yield self._part(site, Scope("sagemaker", site.name), "kms-key", 1, "key (SageMaker endpoint)")
        yield self._part(site, Scope("sagemaker", site.name), "alarm", 1, "alarm (SageMaker errors)")
        yield self._endpoints(site, Scope("roles-anywhere", site.name), ["rolesanywhere"], zones)
        services = ["ecr.api", "ecr.dkr", "logs", "secretsmanager"]
        yield self._endpoints(site, Scope("fargate", site.name), services, zones)
        yield from self._cluster(site, zones)
        for sensitivity in self._sensitivities():
            yield from self._gateway(site, sensitivity)

    def _sensitivities(self) -> list[Sensitivity]:
        used = {workload.sensitivity for workload in self.requirements.workloads}
        return [sensitivity for sensitivity in SENSITIVITIES if sensitivity in used]

    def _gateway(self, site: AwsSite, sensitivity: Sensitivity) -> Iterator[FixedCost]:
        scope = Scope("gateway", site.name, sensitivity)
        name = f"{sensitivity} gateway"
        requests = sum(
            demand.of_workload(workload).requests
            for workload in self.requirements.workloads
            if workload.sensitivity == sensitivity
        )
        if not self._clusters_in_aws:
            tasks = sum(count for _, count in FARGATE_TASKS)
            task_counts = ", ".join(f"{count} {task}" for task, count in FARGATE_TASKS)
            hours = tasks * HOURS_PER_MONTH
            yield self._part(
                site, scope, "fargate-vcpu", hours * FARGATE_VCPUS, f"{name}, Fargate vCPUs ({task_counts})"
            )
            yield self._part(
                site, scope, "fargate-gib", hours * FARGATE_GIB, f"{name}, Fargate memory in GiB"
            )
            yield self._part(site, scope, "load-balancer", HOURS_PER_MONTH, f"{name}, load balancer")
            yield self._part(site, scope, "secret", SECRETS_PER_FARGATE_GATEWAY, f"{name}, secrets")
            yield self._part(site, scope, "private-zone", 1, f"{name}, private DNS zone")
            yield self._part(site, scope, "kms-key", 1, f"{name}, key (log of tasks)")
        yield self._part(site, scope, "kms-key", 1, f"{name}, key (audit records)")
        yield self._part(
            site, scope, "efs-storage", requests * RECORD_BYTES_PER_REQUEST / 1e9, f"{name}, records on EFS"
        )
        yield self._part(
            site, scope, "logs", requests * LOG_BYTES_PER_REQUEST / 1e9, f"{name}, logs of requests"
        )

    def _cluster(self, site: AwsSite, zones: int) -> Iterator[FixedCost]:
        if not self._clusters_in_aws:
            return
        scope = Scope("cluster", site.name)
        size = self.system_nodes(zones)
        yield self._endpoints(site, scope, EKS_ENDPOINTS, zones)
        if rate := aws_instances.cluster_rate(site.region, site.prices):
            price = UnitPrice(rate.usd_per_hour, "hour", rate.kind, rate.source, rate.as_of)
            yield FixedCost(
                scope, aws_instances.CLUSTER, f"{site.name}: EKS cluster", HOURS_PER_MONTH, "hours", price
            )
        yield self._part(site, scope, "kms-key", 2, "keys (EKS secrets, EKS logs)")
        yield self._part(site, scope, "logs", LOG_GB_PER_CLUSTER, "EKS control-plane logs")
        description = f"{size.nodes} EKS system nodes ({size.instance_type})"
        # AWS's prices of one family are proportional to its vCPUs.
        hours = size.vcpus / _VCPUS_PRICED * HOURS_PER_MONTH
        yield self._part(site, scope, "m7i.xlarge", hours, description)
        yield self._part(site, scope, "volume", size.nodes * SYSTEM_NODE_GIB, "volumes of EKS system nodes")

    def system_nodes(self, zones: int) -> Size:
        """Return the nodes for gateways and add-ons of a cluster in AWS, as the platform sizes them.

        Every class that may run there counts, wherever the plan places it.
        """
        pods = [*ADDONS, *OPERATORS]
        for sensitivity in self._sensitivities():
            handled = handling.handling_of(sensitivity)
            if "eks-vllm" not in handled.targets:
                continue
            workloads = [
                workload for workload in self.requirements.workloads if workload.sensitivity == sensitivity
            ]
            pods += gateway_pods(
                sensitivity,
                GATEWAY_REPLICAS,
                detector=_DETECTOR if "secrets-in-outputs" in handled.redacted else None,
                translated="bedrock" in self.builds and "bedrock" in handled.targets,
                reviews=GATEWAY_REPLICAS if any(workload.review is not None for workload in workloads) else 0,
            )
        size = smallest(pods, [str(zone) for zone in range(zones)])
        return size or Size(system_nodes.TYPES[-1], system_nodes.MAX_NODES)

    def _link(self, link: Link) -> Iterator[FixedCost]:
        ends = [self.requirements.site(name) for name in (link.from_, link.to)]
        site = next((end for end in ends if isinstance(end, AwsSite)), None)
        onprem_site = next((end for end in ends if isinstance(end, OnPremSite)), None)
        if site is None or onprem_site is None:
            return
        scope = Scope("link", site.name, other_site=onprem_site.name)
        name = f"link to {onprem_site.name}"
        yield self._part(
            site,
            scope,
            "transit-gateway-attachment",
            2 * HOURS_PER_MONTH,
            f"{name}, 2 transit gateway attachments",
        )
        yield self._part(
            site,
            scope,
            "resolver-address",
            ZONES * HOURS_PER_MONTH,
            f"{name}, {ZONES} inbound resolver addresses",
        )
        if link.kind == "vpn":
            yield self._part(site, scope, "vpn-connection", HOURS_PER_MONTH, f"{name}, VPN connection")
            yield self._part(site, scope, "kms-key", 1, f"{name}, key (tunnel log)")

    def _endpoints(self, site: AwsSite, scope: Scope, services: Collection[str], zones: int) -> FixedCost:
        names = ", ".join(services)
        return self._part(
            site,
            scope,
            "interface-endpoint",
            len(services) * zones * HOURS_PER_MONTH,
            f"interface endpoints in {zones} zones ({names})",
        )

    def _part(self, site: AwsSite, scope: Scope, item: str, quantity: float, description: str) -> FixedCost:
        price = fixed_prices.unit_price(item, site.region, site.prices)
        unit = {"hour": "hours", "month": "a month"}.get(price.unit, price.unit)
        return FixedCost(scope, item, f"{site.name}: {description}", quantity, unit, price)
