"""Lets a Prometheus read the metrics of a Fargate gateway's tasks, at their health ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.aws.common.ip_addresses import cidr_label, ipv4_networks
from components.aws.common.security_group import peer_rule
from isthmus.core.errors import InputError
from isthmus.core.ip_addresses import INSIDE, is_within


@dataclass(frozen=True)
class HealthPort:
    """The port at which a task serves its health and its metrics."""

    group: pulumi.Input[str]
    """Id of the task's security group."""
    number: int


def allow_scrapers(
    name: str,
    scrapers: Sequence[str],
    health_ports: Mapping[str, HealthPort],
    *,
    where: str,
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Let each of these networks into the health port of each task, and into no other port.

    `health_ports`: by task. Raises `InputError` for a network that is not private, because a health port has neither
    TLS nor keys.
    """
    for index, text in enumerate(scrapers):
        if not is_within(text, INSIDE):
            raise InputError(
                f"'{text}' is not a private network",
                where=f"{where}.{index}",
                fix="Name the Prometheus' private network, like 10.70.4.0/24",
            )
    for network in map(str, ipv4_networks(scrapers, where)):
        for task, port in health_ports.items():
            peer_rule(
                f"{name}-{task}-in-metrics-{cidr_label(network)}",
                "ingress",
                port.group,
                f"Prometheus, to the health port of the {task}",
                port.number,
                cidr_ipv4=network,
                tags=tags,
                opts=opts,
            )
