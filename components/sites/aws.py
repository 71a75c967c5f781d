"""Creates everything of a platform at one AWS site, in the order of the dependencies.

The order is: network, roles of identities, permissions of the roles, private endpoints, which admit those roles to
their models only, gateways on Fargate, link, call log and budgets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pulumi

from components.aws.account.mapping import budgets_args
from components.aws.bedrock import mapping as bedrock_mapping
from components.aws.eks.mapping import ClusterAccess
from components.aws.identity import mapping as identity_mapping
from components.aws.link import mapping as link_mapping
from components.aws.network import endpoint_grants
from components.aws.network import mapping as network_mapping
from components.aws.observability.mapping import serving_alarms_args
from components.aws.sagemaker import mapping as sagemaker_mapping
from components.base import platform_lookups
from components.base.stack_scope import WHOLE_PLATFORM, Scope
from components.gateway.fargate.mapping import task_identity_args
from components.gateway.translator.mapping import CloudSide
from components.sites.fargate_gateways import FargateGateways
from components.sites.record_sealing import SealingSite
from isthmus.contracts.platform.lookups.aws import cluster_at
from isthmus.contracts.platform.model.aws.account import CONTROL_SERVICES, Link, Network
from isthmus.contracts.platform.model.platform import Identity, Platform, Site

if TYPE_CHECKING:
    from components.sites.eks import AwsCluster

At = Callable[..., pulumi.ResourceOptions]
"""Options of a component at a site, from the site's name and the component's dependencies."""
Components = Mapping[str, tuple[Any, Any]]
"""By identity: the component of its role, and its access to Bedrock. None: it does not call Bedrock."""


class AwsSite:
    """The components of one AWS site. It is not a resource itself."""

    def __init__(
        self,
        name: str,
        platform: Platform,
        site: Site,
        options_at: At,
        scope: Scope = WHOLE_PLATFORM,
        sealed: Mapping[str, Any] | None = None,
    ) -> None:
        """`sealed`: ARNs of bucket and key of the site's audit store, if they are created here."""
        self._name, self._platform, self._site, self._at = name, platform, site, options_at
        self._scope = scope
        self.cloud_sides: dict[str, CloudSide] = {}
        """By identity: the settings of its translators."""
        self.retained: list[Any] = []
        """Outputs with lists of resources that a destroy retains."""
        self.records: list[Any] = []
        """The same for resources that only a durable platform retains: records and their keys."""
        self.links: list[dict[str, Any]] = []
        """Each private link's name, transit gateway, VPN connection and resolvers."""
        self.networks: dict[str, Any] = {}
        """Networks by name: the component, or its outputs from the layer below."""
        self.anchors: dict[str, Any] = {}
        """Trust anchors by name, in the same way."""
        self.cluster: AwsCluster | None = None
        """Its Kubernetes cluster, if it has one."""
        self.gateways: list[dict[str, Any]] = []
        """Each gateway on Fargate here: class, site, address and service."""
        self.names: dict[str, dict[str, Any]] = {}
        """By SageMaker endpoint that another stack creates: its names and its network."""
        self.sealing = SealingSite(
            name, platform, site, options_at, self._network_of, self.networks, sealed or {}
        )
        """Seals the records of the gateways here."""
        self._private: dict[str, Any] = {}
        self._hosted: dict[str, Any] = {}
        self._created: dict[str, Any] = {}
        """SageMaker endpoints that this stack creates: their names in AWS, by id."""
        self._build()

    def _build(self) -> None:
        if self._scope.owns("foundation"):
            self._foundation()
        else:
            self.networks |= self._scope.networks
            self.anchors |= self._scope.anchors
        if self._scope.owns("platform"):
            self._control_plane()
            self._build_identities()
        elif self._scope.owns("serving"):
            self._host()
            self._alarms({}, {})

    def _foundation(self) -> None:
        """Create the network, the trust anchors, the link and the call log."""
        from components.aws.identity.trust_anchor import TrustAnchor

        platform, site = self._platform, self._site
        for network in self._of_site("networks"):
            from components.aws.network import network as network_component

            private = network_component.Network(
                f"{self._name}-{network.name}-network",
                network_mapping.network_args(platform, network),
                self._at(site.name),
            )
            self.networks[network.name] = private
            self.records.append(private.retained)
        for trust in self._of_site("trust"):
            self.anchors[trust.name] = TrustAnchor(
                f"{self._name}-{trust.name}-trust",
                identity_mapping.trust_args(platform, trust),
                self._at(site.name),
            )
        self._link()
        self._logs()

    def _control_plane(self) -> None:
        """Create the site's cluster without nodes."""
        cluster = cluster_at(self._platform, self._site.name)
        if cluster is not None:
            from components.sites.eks import AwsCluster

            self.cluster = AwsCluster(
                self._name, self._platform, self._site, cluster, self.networks, self._at
            )
            self.records += self.cluster.retained

    @property
    def access(self) -> ClusterAccess | None:
        """The address of the site's API server, created here or in the layer below."""
        if self.cluster is not None:
            return self.cluster.access()
        access = self._scope.clusters.get(self._site.name)
        return ClusterAccess(**access.model_dump()) if access is not None else None

    def _build_identities(self) -> None:
        """Create the identities: their roles, models, private endpoints and budgets."""
        platform, site = self._platform, self._site
        identities = [identity for identity in platform.identities if identity.site == site.name]
        components = {
            identity.name: self._identity(identity, self.anchors.get(identity.trust or ""))
            for identity in identities
        }
        fargate = FargateGateways(self._name, platform, site, self._at, self._network_of, self.networks)
        self.records += fargate.retained
        self.sealing.identify(self.cluster, self._account)
        urls = self._build_private_endpoints(identities, components, fargate)
        early_resources = self.sealing.build(self.cluster, cluster_at(platform, site.name))
        self.records += self.sealing.retained
        if self.cluster is not None:
            private = [urls[self.cluster.network]] if self.cluster.network in urls else []
            self.cluster.raise_machines([*private, *early_resources])
        self._host()
        for identity in identities:
            self.cloud_sides[identity.name] = self._cloud_side(identity, components[identity.name], urls)
        self.gateways += fargate.build(
            self.cloud_sides,
            {name: role_component.role_arn for name, (role_component, _) in components.items()},
            urls,
            self.sealing.sealed_records,
        )
        self._budgets({name: role_component.role_name for name, (role_component, _) in components.items()})
        self._alarms({name: access for name, (_, access) in components.items()}, fargate.services)

    def _of_site(self, section: str) -> list[Any]:
        return [item for item in getattr(self._platform, section) if item.site == self._site.name]

    def _network_of(self, sensitivity: str) -> Any:
        """The network of a class here. None: there is none, or it is off."""
        networks = (
            network
            for network in self._of_site("networks")
            if sensitivity in network.classes and network.mode != "off"
        )
        return next(networks, None)

    def _identity(self, identity: Identity, anchor: Any) -> tuple[Any, Any]:
        options = self._at(self._site.name)
        network = self._network_of(identity.class_)
        vpc = self.networks[network.name].vpc_id if network is not None else None
        name, endpoint_arns = f"{self._name}-{identity.name}-identity", self._hosted_endpoint_arns(identity)
        role_component: Any
        if identity.assumed_by == "ecs-tasks":
            from components.aws.identity.task_identity import TaskIdentity

            task_args = task_identity_args(self._platform, identity, vpc, self._account(), endpoint_arns)
            role_component = TaskIdentity(name, task_args, options)
        else:
            from components.aws.identity.workload_identity import WorkloadIdentity

            account = self._account()
            proof: dict[str, Any] = {"trust_anchor": anchor.arn} if anchor is not None else {}
            if identity.assumed_by == "eks-pod-identity" and self.cluster is not None:
                proof = {"pod": self.cluster.pods(identity, account)}
            args = identity_mapping.identity_args(
                self._platform, identity, proof, vpc, account, endpoint_arns
            )
            role_component = WorkloadIdentity(name, args, options)
        if endpoint_arns:
            from components.aws.sagemaker.access import SageMakerAccess

            SageMakerAccess(
                f"{self._name}-{identity.name}-hosted",
                sagemaker_mapping.access_args(
                    self._platform, identity, role_component.role_name, endpoint_arns, vpc
                ),
                self._at(self._site.name),
            )
        if not platform_lookups.calls_of(self._platform, identity, "bedrock"):
            return role_component, None
        from components.aws.bedrock.access import BedrockAccess

        access = BedrockAccess(
            f"{self._name}-{identity.name}",
            bedrock_mapping.bedrock_args(self._platform, identity, role_component.role_name, vpc),
            self._at(self._site.name),
        )
        self.retained.append(access.retained)
        return role_component, access

    def _account(self) -> pulumi.Input[str]:
        """The site's account: as configured, else the one of its provider."""
        if self._site.account_id:
            return self._site.account_id
        from pulumi_aws import get_caller_identity_output

        provider = (self._at(self._site.name).providers or [None])[0]  # type: ignore[index]
        return get_caller_identity_output(opts=pulumi.InvokeOutputOptions(provider=provider)).account_id

    def _hosted_endpoint_arns(self, identity: Identity) -> list[Any]:
        """ARNs of the SageMaker endpoints that an identity calls."""
        return sagemaker_mapping.called_arns(self._name, self._platform, identity, self._account())

    def _host(self) -> None:
        """Create the models on SageMaker. The private endpoints come first, because models are fetched through
        them.
        """
        from components.aws.sagemaker.endpoint import SageMakerEndpoint, hosted_names

        for endpoint in sagemaker_mapping.hosted_at(self._platform, self._site):
            network = self._network_of(endpoint.class_)
            names_given = self._scope.hosted.get(endpoint.id)
            if self._scope.owns("platform") and not self._scope.owns("serving"):
                names = hosted_names(sagemaker_mapping.logical(self._name, endpoint))
                built = self.networks[network.name]
                self.names[endpoint.id] = {**names, "vpc_id": built.vpc_id, "subnets": built.subnets}
                self._hosted[endpoint.id] = names["endpoint"]
            if not self._scope.runs(endpoint):
                continue
            private = [self._private[network.name]] if network.name in self._private else []
            hosted_endpoint = SageMakerEndpoint(
                sagemaker_mapping.logical(self._name, endpoint),
                sagemaker_mapping.endpoint_args(
                    self._platform, endpoint, names_given or self.networks[network.name], names_given
                ),
                self._at(self._site.name, private),
            )
            self._hosted[endpoint.id] = self._created[endpoint.id] = hosted_endpoint.endpoint_name
            self.records.append(hosted_endpoint.retained)

    def _build_private_endpoints(
        self, identities: list[Identity], components: Components, fargate: FargateGateways
    ) -> dict[str, Any]:
        """Create the private endpoints of each network. Returns them by the network's name."""
        from components.aws.network.private_endpoints import PrivateEndpoints

        urls: dict[str, Any] = {}
        for network in self._of_site("networks"):
            if network.mode == "off":
                continue
            carried = [identity for identity in identities if identity.class_ in network.classes]
            machines = self._machine_grants(network)
            if not machines and (not carried or not network.services):
                continue
            built = self.networks[network.name]
            endpoint_args: Any = {
                "name": network.name,
                "region": platform_lookups.region_at(self._platform, network.site),
                "vpc_id": built.vpc_id,
                "subnet_ids": built.subnets,
                "route_table_ids": built.route_tables,
                "sources": self._link_sources(network),
                **fargate.inside(network),
                # Nodes are in the network itself. Traffic over a link comes from a named site.
                **({"vpc_cidr": network.cidr} if (machines or network.deployers) and network.cidr else {}),
                **_deployer_args(network),
                "grants": endpoint_grants.grants(
                    network,
                    _callers(carried, components),
                    self._anchor_arns(carried),
                    self._other_grants(network, carried, components, fargate),
                    machines,
                ),
                "private_dns": network.private_dns,
                "tags": platform_lookups.tags(self._platform),
            }
            urls[network.name] = self._private[network.name] = PrivateEndpoints(
                f"{self._name}-{network.name}-endpoints",
                endpoint_args,
                self._at(self._site.name, [built] if isinstance(built, pulumi.Resource) else []),
            )
        return urls

    def _machine_grants(self, network: Network) -> list[Any]:
        """Permissions of the site's nodes at the network's endpoints."""
        if self.cluster is None or self.cluster.network != network.name:
            return []
        return self.cluster.grants(self._account())

    def _link_sources(self, network: Network) -> list[str]:
        """CIDRs of on-prem sites that reach the network over a link."""
        return sorted(
            {
                cidr
                for link in self._links()
                if self._network_of(link.classes[0]) is network
                for cidr in link_mapping.sources(self._platform, link)
            }
        )

    def _anchor_arns(self, identities: list[Identity]) -> list[Any]:
        """ARNs of the trust anchors of identities."""
        names = sorted({identity.trust for identity in identities if identity.trust})
        return [self.anchors[name].arn for name in names]

    def _other_grants(
        self,
        network: Network,
        identities: list[Identity],
        components: Components,
        fargate: FargateGateways,
    ) -> list[Any]:
        """Permissions of SageMaker callers, Fargate tasks and their sealers at the network's endpoints."""
        callers_of = [
            (components[identity.name][0].role_arn, self._hosted_endpoint_arns(identity))
            for identity in identities
        ]
        hosted_grants = sagemaker_mapping.grants(
            self._name, self._platform, network, self._account(), callers_of
        )
        return [*hosted_grants, *fargate.grants(network), *self.sealing.grants(network)]

    def _cloud_side(self, identity: Identity, components: tuple[Any, Any], urls: dict[str, Any]) -> CloudSide:
        role_component, access = components
        network = self._network_of(identity.class_)
        private = urls.get(network.name) if network is not None else None
        services = network.services if network is not None and private is not None else []
        guardrail = platform_lookups.guardrail_of(self._platform, identity)
        return CloudSide(
            trust_anchor=self.anchors[identity.trust].arn if identity.trust else None,
            profile=role_component.profile_arn if identity.trust else None,
            role=role_component.role_arn,
            model_ids=access.model_ids if access is not None else None,
            guardrail={"id": access.guardrail_id, "version": access.guardrail_version}
            if access is not None and guardrail is not None and guardrail.mode != "off"
            else None,
            runtime_url=private.url("bedrock-runtime") if private and "bedrock-runtime" in services else None,
            sessions_url=private.url("rolesanywhere") if private and "rolesanywhere" in services else None,
            hosted=self._hosted,
            hosted_url=private.url("sagemaker.runtime")
            if private and "sagemaker.runtime" in services
            else None,
        )

    def _links(self) -> list[Link]:
        return [link for link in self._platform.links if link.to == self._site.name and link.mode != "off"]

    def _link(self) -> None:
        for link in self._links():
            from components.aws.link.site_link import SiteLink

            # The contract guarantees that one network carries all classes of a link.
            network = self._network_of(link.classes[0])
            site_link = SiteLink(
                f"{self._name}-{link.name}",
                link_mapping.link_args(self._platform, link, network, self.networks[network.name]),
                self._at(self._site.name),
            )
            self.links.append(
                {
                    "name": link.name,
                    "kind": link.kind,
                    "transit_gateway": site_link.transit_gateway_id,
                    "vpn_connection": site_link.vpn_connection_id,
                    "resolvers": site_link.inbound_resolver_ips,
                }
            )

    def _logs(self) -> None:
        for logging in self._of_site("invocation_logging"):
            if logging.mode == "off":
                continue
            from components.aws.bedrock.invocation_logging import InvocationLogging

            invocation_log = InvocationLogging(
                f"{self._name}-{logging.name}-calls",
                bedrock_mapping.logging_args(self._platform, logging),
                self._at(self._site.name),
            )
            self.records.append(invocation_log.retained)

    def _budgets(self, roles: dict[str, Any]) -> None:
        args = budgets_args(self._platform, self._site, roles)
        if args is not None:
            from components.aws.account.budgets import Budgets

            budgets = Budgets(f"{self._name}-{self._site.name}-budgets", args, self._at(self._site.name))
            self.retained.append(budgets.retained)

    def _alarms(self, access: Mapping[str, Any], services: Mapping[str, Any]) -> None:
        """Create the alarms on what serves callers here. `access`: by identity. `services`: by class and task."""
        args = serving_alarms_args(self._platform, self._site, access, self._created, services)
        if args is not None:
            from components.aws.observability.serving_alarms import ServingAlarms

            part = "serving" if self._scope.owns("platform") else "models"
            ServingAlarms(f"{self._name}-{self._site.name}-{part}", args, self._at(self._site.name))


def _callers(identities: list[Identity], components: Components) -> list[endpoint_grants.Caller]:
    """The identities as callers of private endpoints."""
    callers = []
    for identity in identities:
        role_component, access = components[identity.name]
        subject = identity_mapping.subject(identity) if identity.assumed_by == "roles-anywhere" else None
        models = access.model_arns if access is not None else None
        callers.append(endpoint_grants.Caller(role_component.role_arn, subject, models))
    return callers


def _deployer_args(network: Network) -> dict[str, Any]:
    """Arguments of private endpoints for roles that run `isthmus up` inside the network."""
    if not network.deployers:
        return {}
    services = [service for service in network.services if service in CONTROL_SERVICES]
    return {"deployers": list(network.deployers), "deployment_services": services}
