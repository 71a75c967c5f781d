"""A rendered site as network namespaces: each pod that its manifests lead to, others' pods, and hosts outside."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from ruamel.yaml import YAML

from tests.fences import policies
from tests.fences.namespaces import Network
from tests.fences.policies import Body, Pod
from tests.fences.rules import Fence
from tests.graders import manifests, network

RESOLVER, MACHINE, AWS, INTERNET = "site-resolver", "site-machine", "aws", "internet"
PODS = ipaddress.ip_network("10.244.0.0/16")
SOMEWHERE = "203.0.113.9"
"""An address of the internet, where clouds offer models too (a range of RFC 5737, for documentation)."""


class Site:
    """`hosts` by name: `NAMESPACE/POD` as the analyser says it, and those outside."""

    def __init__(self, bodies: list[Body], platform: dict[str, Any], name: str) -> None:
        self.bodies = bodies
        (site,) = (site for site in platform["sites"] if site["name"] == name)
        (aws,) = (site for site in platform["sites"] if site["kind"] == "aws")
        self.outside = {
            RESOLVER: site["dns"][0],
            MACHINE: str(ipaddress.ip_network(site["cidrs"][0])[7 * 256 + 7]),
            AWS: str(ipaddress.ip_network(aws["cidrs"][0])[10]),
            INTERNET: SOMEWHERE,
        }
        self.pods = list(self._pods())
        self.addresses = {pod.full_name: pod.address for pod in self.pods} | self.outside
        self.network = Network(self.addresses)
        self.hosts = self.network.hosts
        self.fence = Fence(self.network)

    def fence_in(self) -> None:
        """Rules from all of the rendered policies, and no others."""
        self.fence.build(policies.closed(self.policies, self.pods))

    @cached_property
    def policies(self) -> list[Body]:
        return manifests.of_kind(self.bodies, "NetworkPolicy")

    @cached_property
    def around(self) -> list[Body]:
        """What is not ours, and pods that somebody put into our namespaces."""
        return [*network.other_pods(), *network.strays(self.bodies)]

    def _pods(self) -> Iterator[Pod]:
        all_bodies = [*network.renamed(self.bodies), *self.around]
        spaces = {
            resource["metadata"]["name"]: resource["metadata"]["labels"]
            for resource in manifests.of_kind(all_bodies, "Namespace")
        }
        addresses = iter(PODS.hosts())
        for body in all_bodies:
            if body["kind"] not in network.KINDS:
                continue
            (template,) = manifests.templates(body)
            yield Pod(
                template.namespace,
                body["metadata"]["name"],
                str(next(addresses)),
                template.labels,
                spaces[template.namespace],
            )

    def edge_config(self, namespace: str, name: str) -> dict[str, Any]:
        """The configuration that is rendered for an edge."""
        (resource,) = (
            resource
            for resource in manifests.of_kind(self.bodies, "ConfigMap")
            if resource["metadata"]["namespace"] == namespace
            and resource["metadata"]["name"].startswith(f"{name}-config-")
        )
        return YAML(typ="safe").load(resource["data"]["config.yaml"])

    def close(self) -> None:
        self.network.close()
