"""The internal load balancer of a Fargate gateway, its security groups and its DNS name.

It is a network load balancer (TCP) that passes TLS unopened: the edge terminates mutual TLS itself, as on-prem. It
serves both hops, because a task's address changes: applications reach the edge at port 443, and only the edge
reaches the translator at the translator's port. The security groups name each other, so nothing else can reach
either. Only `components.gateway.fargate.scraping` opens more: the health ports, to stated networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.aws.common.ip_addresses import cidr_label, ipv4_networks
from components.aws.common.names import aws_name
from components.aws.common.security_group import Direction, peer_rule
from components.cluster.objects import HEALTH_PORT, SERVING_PORT
from components.gateway.fargate.tasks import TRANSLATOR_HEALTH, TRANSLATOR_PORT

DOOR_PORT = 443
DRAIN_S = 300
"""Seconds for which an ending task keeps its connections: the maximum duration of a request."""
TASKS = {"edge": (SERVING_PORT, HEALTH_PORT), "translator": (TRANSLATOR_PORT, TRANSLATOR_HEALTH)}
"""Serving port and health port of each task."""


@dataclass(frozen=True)
class TaskNetwork:
    """The network of the gateway's tasks, and what they may reach in it."""

    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    endpoints_group: pulumi.Input[str]
    """Security group of the VPC's private endpoints."""
    s3_prefix_list: pulumi.Input[str]


class Door:
    """The load balancer, its security groups and those of the tasks, and the gateway's DNS name. Children of
    `opts.parent`.
    """

    def __init__(
        self,
        name: str,
        network: TaskNetwork,
        *,
        clients: Sequence[str],
        where: str,
        tags: dict[str, str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        from pulumi_aws import lb

        self._name, self._vpc, self._tags, self._opts = name, network.vpc_id, tags, opts
        cidrs = [str(client) for client in ipv4_networks(clients, f"{where}.clients")]
        self.group = self._group("door", "Load balancer of the gateway: named networks in, its tasks out")
        self.groups = {
            task: self._group(task, f"Gateway {task}: the load balancer in, private endpoints out")
            for task in TASKS
        }
        self.rules = [
            *self._rules(cidrs),
            *self._egress_rules(network.endpoints_group, network.s3_prefix_list),
        ]
        self.balancer = lb.LoadBalancer(
            f"{name}-door",
            name=aws_name(name, 32),
            internal=True,
            load_balancer_type="network",
            security_groups=[self.group],
            subnets=network.subnet_ids,
            enable_cross_zone_load_balancing=True,
            # Clients over PrivateLink must also come from named networks.
            enforce_security_group_inbound_rules_on_private_link_traffic="on",
            tags=tags,
            opts=opts,
        )
        self.targets = {task: self._target(task) for task in TASKS}
        self.listeners = {
            task: lb.Listener(
                f"{name}-{task}-listener",
                load_balancer_arn=self.balancer.arn,
                port=DOOR_PORT if task == "edge" else TRANSLATOR_PORT,
                protocol="TCP",
                default_actions=[{"type": "forward", "target_group_arn": target.arn}],
                tags=tags,
                opts=opts,
            )
            for task, target in self.targets.items()
        }

    def _group(self, suffix: str, description: str) -> pulumi.Output[str]:
        from pulumi_aws import ec2

        name = f"{self._name}-{suffix}"
        group = ec2.SecurityGroup(
            f"{name}-group",
            description=description,
            vpc_id=self._vpc,
            tags={**self._tags, "Name": name},
            opts=self._opts,
        )
        return group.id

    def _rule(self, direction: Direction, name: str, group: Any, about: str, port: int, **peer: Any) -> Any:
        rule_name = f"{self._name}-{name}"
        return peer_rule(rule_name, direction, group, about, port, tags=self._tags, opts=self._opts, **peer)

    def _rules(self, clients: list[str]) -> list[Any]:
        door, edge = self.group, self.groups["edge"]
        rules = [
            self._rule(
                "ingress", f"door-in-{cidr_label(client)}", door, "Applications", DOOR_PORT, cidr_ipv4=client
            )
            for client in clients
        ]

        def rule(direction: Direction, name: str, group: Any, about: str, port: int, peer: Any) -> None:
            rules.append(self._rule(direction, name, group, about, port, referenced_security_group_id=peer))

        rule("ingress", "door-in-edge", door, "The edge, to its translator", TRANSLATOR_PORT, edge)
        for task, ports in TASKS.items():
            for port, purpose in zip(ports, ("requests", "health"), strict=True):
                group, about = self.groups[task], f"{purpose.capitalize()} of the {task}"
                rule("egress", f"door-out-{task}-{purpose}", door, about, port, group)
                rule("ingress", f"{task}-in-{purpose}", group, about, port, door)
        rule(
            "egress",
            "edge-out-translator",
            edge,
            "Its translator, by the load balancer",
            TRANSLATOR_PORT,
            door,
        )
        return rules

    def _egress_rules(self, endpoints: pulumi.Input[str], s3: pulumi.Input[str]) -> list[Any]:
        """Egress to the private endpoints and to S3's gateway endpoint, which tasks need to start."""
        rules: list[Any] = []
        for task, group in self.groups.items():
            rule_fields = (f"{task}-out-endpoints", group, "Private endpoints", 443)
            rules.append(self._rule("egress", *rule_fields, referenced_security_group_id=endpoints))
            rule_fields = (f"{task}-out-s3", group, "Image layers, by the S3 endpoint", 443)
            rules.append(self._rule("egress", *rule_fields, prefix_list_id=s3))
        return rules

    def _target(self, task: str) -> Any:
        from pulumi_aws import lb

        serving, health = TASKS[task]
        return lb.TargetGroup(
            f"{self._name}-{task}-targets",
            name=aws_name(f"{self._name}-{task}", 32),
            port=serving,
            protocol="TCP",
            target_type="ip",
            vpc_id=self._vpc,
            # The tasks' groups name the load balancer's group, because it opens the connections.
            preserve_client_ip="false",
            deregistration_delay=DRAIN_S,
            health_check={
                "protocol": "HTTP",
                "port": str(health),
                "path": "/health",
                "matcher": "200",
                "interval": 10,
                "timeout": 6,
                "healthy_threshold": 2,
                "unhealthy_threshold": 3,
            },
            tags=self._tags,
            opts=self._opts,
        )

    def create_record(self, host: str, region: str, zone_id: str | None) -> Any:
        """The gateway's name in a private zone: in the given one, or in a new zone for this name in this VPC."""
        from pulumi_aws import route53

        zone: pulumi.Input[str] = zone_id or ""
        if not zone_id:
            zone = route53.Zone(
                f"{self._name}-zone",
                name=host,
                comment="The name of a gateway of Isthmus",
                vpcs=[{"vpc_id": self._vpc, "vpc_region": region}],
                tags=self._tags,
                opts=self._opts,
            ).zone_id
        alias = {
            "name": self.balancer.dns_name,
            "zone_id": self.balancer.zone_id,
            "evaluate_target_health": True,
        }
        return route53.Record(
            f"{self._name}-name",
            zone_id=zone,
            name=host,
            type="A",
            aliases=[alias],  # type: ignore[list-item]
            opts=self._opts,
        )

    def create_endpoint_service(self, principals: Sequence[str]) -> pulumi.Output[str]:
        """Create the AWS PrivateLink service with which other VPCs create an endpoint of the gateway. Returns its
        name.
        """
        from pulumi_aws import ec2

        endpoint_service = ec2.VpcEndpointService(
            f"{self._name}-link",
            acceptance_required=False,
            allowed_principals=list(principals),
            network_load_balancer_arns=[self.balancer.arn],
            tags=self._tags,
            opts=self._opts,
        )
        return endpoint_service.service_name
