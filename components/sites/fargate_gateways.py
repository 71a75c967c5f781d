"""Creates the Fargate gateways of one AWS site in two steps.

First the roles with which ECS starts the tasks, because the policies of private endpoints name them. Then, after
the endpoints, the gateways themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from components.aws.network.endpoint_policy import EndpointGrant
from components.gateway.fargate.mapping import execution_args, fargate_args, start_grants
from components.gateway.sealing import Sealed
from components.gateway.translator.mapping import CloudSide
from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.platform import Gateway, Platform, Site


class FargateGateways:
    """The components of a site's gateways on Fargate. It is not a resource itself."""

    def __init__(
        self,
        name: str,
        platform: Platform,
        site: Site,
        options_at: Callable[..., Any],
        network_of: Callable[[str], Any],
        networks: Mapping[str, Any],
    ) -> None:
        """`network_of`: returns the contract's network of a class here. `networks`: the created networks by name."""
        self._name, self._platform, self._site, self._at = name, platform, site, options_at
        self._network_of, self._networks = network_of, networks
        self._gateways = [
            gateway
            for gateway in platform.gateways
            if gateway.site == site.name and gateway.runs_on == "fargate"
        ]
        self.retained: list[Any] = []
        """Outputs with lists of resources that a destroy retains."""
        self.services: dict[str, Any] = {}
        """ECS services as CLUSTER/SERVICE, by CLASS-TASK."""
        self._executions = {gateway.name: self._execution(gateway) for gateway in self._gateways}

    def _execution(self, gateway: Gateway) -> Any:
        from components.gateway.fargate.execution_role import TaskExecution

        vpc = self._networks[self._network_of(gateway.class_).name].vpc_id
        execution = TaskExecution(
            f"{self._component_name(gateway)}-tasks",
            execution_args(self._platform, gateway, vpc),
            self._at(self._site.name),
        )
        self.retained.append(execution.retained)
        return execution

    def _component_name(self, gateway: Gateway) -> str:
        return f"{self._name}-{self._site.name}-{gateway.class_}-gateway"

    def _gateways_in(self, network: Network) -> list[Gateway]:
        return [gateway for gateway in self._gateways if gateway.class_ in network.classes]

    def inside(self, network: Network) -> dict[str, str]:
        """The network's own CIDR if tasks run in it, which its endpoints must admit."""
        return {"vpc_cidr": network.cidr} if network.cidr and self._gateways_in(network) else {}

    def grants(self, network: Network) -> list[EndpointGrant]:
        """Permissions of the tasks' execution roles at a network's endpoints."""
        return [
            grant
            for gateway in self._gateways_in(network)
            for grant in start_grants(self._platform, gateway, self._executions[gateway.name])
        ]

    def build(
        self,
        cloud_sides: Mapping[str, CloudSide],
        roles: Mapping[str, Any],
        endpoints: Mapping[str, Any],
        sealing: Mapping[str, Sealed],
    ) -> list[dict[str, Any]]:
        """Create the gateways. Returns class, site, address and service of each. `cloud_sides`, `roles`: by
        identity. `sealing`: by gateway, where its records go.
        """
        from components.gateway.fargate.gateway import FargateGateway

        descriptions: list[dict[str, Any]] = []
        for gateway in self._gateways:
            network = self._network_of(gateway.class_).name
            identity, sealed = gateway.identity or "", sealing.get(gateway.name)
            args = fargate_args(
                self._platform,
                gateway,
                cloud_sides[identity],
                roles[identity],
                self._executions[gateway.name],
                self._networks[network],
                endpoints[network],
                sealed,
            )
            dependencies = sealed.dependencies if sealed is not None else []
            component = FargateGateway(
                self._component_name(gateway),
                args,
                self._at(
                    self._site.name, [endpoints[network], self._executions[gateway.name], *dependencies]
                ),
            )
            description = {
                "class": gateway.class_,
                "site": self._site.name,
                "address": component.address,
                "service": component.service,
            }
            if args["fargate"].get("principals"):
                description["endpoint_service"] = component.endpoint_service
            descriptions.append(description)
            self.services |= {
                f"{gateway.class_}-{task}": service for task, service in component.services.items()
            }
        return descriptions
