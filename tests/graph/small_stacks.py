"""Builders of small stacks: namespaces, pods, network policies, platforms, and the data paths of the result."""

from __future__ import annotations

import json
from typing import Any

from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.platform import Gateway, Platform, Site
from isthmus.contracts.reports.preview import DataPath
from isthmus.engine.render.recorder import Resource
from isthmus.graph.data_path.paths import data_paths
from isthmus.graph.resources.resources import Graph
from tests.policies.making import platform_with, resource_of

TODAY = "2026-11-26"
NETWORK = "10.80.0.0/16"
"""Network in AWS of the platform's gateway."""


def namespace(class_: str | None = "internal", name: str = "apps") -> Resource:
    labels = {"isthmus.dev/class": class_} if class_ else {}
    return resource_of("kubernetes:core/v1:Namespace", name, {"metadata": {"name": name, "labels": labels}})


def network_policy(
    *peers: dict[str, Any],
    in_: str = "apps",
    name: str = "open",
    ports: list[dict[str, Any]] | None = None,
    **labels: str,
) -> Resource:
    """A policy that allows egress to these peers, or denies all without one."""
    rule = {"to": list(peers), **({"ports": ports} if ports else {})}
    spec = {
        "podSelector": {"matchLabels": labels} if labels else {},
        "policyTypes": ["Egress"],
        "egress": [rule] if peers else [],
    }
    kind = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
    return resource_of(kind, f"{in_}-{name}", {"metadata": {"name": name, "namespace": in_}, "spec": spec})


def closed(class_: str | None = "internal", name: str = "apps") -> list[Resource]:
    """A namespace whose pods reach nothing."""
    return [namespace(class_, name), network_policy(in_=name, name="deny")]


def block(cidr: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr}}


def deployment(
    name: str = "work",
    in_: str = "apps",
    *,
    role: str = "",
    config: dict[str, Any] | str | None = None,
    labels: dict[str, str] | None = None,
    account: str = "",
    **box: Any,
) -> list[Resource]:
    """A Deployment of one container with the fields `box`, and the ConfigMap with its edge configuration."""
    own = {"app": name, **({"isthmus.dev/role": role} if role else {}), **(labels or {})}
    spec: dict[str, Any] = {"containers": [{"name": "x", "image": "x", **box}]}
    if account:
        spec["serviceAccountName"] = account
    resources = []
    if config is not None:
        spec["volumes"] = [{"name": "config", "configMap": {"name": f"{name}-config"}}]
        text = config if isinstance(config, str) else json.dumps(config)
        inputs = {
            "metadata": {"name": f"{name}-config", "namespace": in_},
            "data": {"config.yaml": text},
        }
        resources.append(resource_of("kubernetes:core/v1:ConfigMap", f"{in_}-{name}-config", inputs))
    template = {"metadata": {"labels": own}, "spec": spec}
    meta = {"name": name, "namespace": in_}
    workload = resource_of(
        "kubernetes:apps/v1:Deployment", f"{in_}-{name}", {"metadata": meta, "spec": {"template": template}}
    )
    return [workload, *resources]


def service(name: str, in_: str = "apps") -> Resource:
    """A Service in front of the Deployment with this name."""
    inputs = {"metadata": {"name": name, "namespace": in_}, "spec": {"selector": {"app": name}}}
    return resource_of("kubernetes:core/v1:Service", f"{in_}-{name}-service", inputs)


def pod_identity(
    account: str = "default", in_: str = "apps", role: str = "arn:aws:iam::1:role/x"
) -> Resource:
    inputs = {"namespace": in_, "serviceAccount": account, "roleArn": role}
    return resource_of("aws:eks/podIdentityAssociation:PodIdentityAssociation", f"{account}-identity", inputs)


def private_endpoint(name: str = "door", vpc: str = "vpc") -> Resource:
    return resource_of("aws:ec2/vpcEndpoint:VpcEndpoint", name, {"vpcId": f"${{{vpc}.id}}"})


def vpc(cidr: str = NETWORK, name: str = "vpc") -> Resource:
    return resource_of("aws:ec2/vpc:Vpc", name, {"cidrBlock": cidr})


def private_url(
    service_: str = "bedrock-runtime", endpoint: str = "door", region: str = "eu-central-1"
) -> str:
    return f"https://vpce-${{{endpoint}.id}}.{service_}.{region}.vpce.amazonaws.com"


def platform(class_: str = "internal", *, sites: list[Site] | None = None, **gateway: Any) -> Platform:
    """An on-prem site, an AWS site with a network for one class, and a gateway of the class on-prem."""
    fields = {
        **{"class": class_, "name": class_, "site": "fra1", "host": "h", "callers_secret": "callers"},
        **{"workloads": [{"name": "chat", "endpoint": "llama"}], **gateway},
    }
    return platform_with(
        sites=sites
        or [
            Site(name="fra1", kind="on-prem", jurisdiction="de", cidrs=["10.40.0.0/16"]),
            Site(
                name="frankfurt", kind="aws", jurisdiction="de", region="eu-central-1", cidrs=["10.90.0.0/16"]
            ),
        ],
        gateways=[Gateway.model_validate(fields)],
        networks=[Network.model_validate(network_fields(class_))],
    )


def network_fields(class_: str, **fields: Any) -> dict[str, Any]:
    return {"name": "net", "site": "frankfurt", "classes": [class_], "cidr": NETWORK, **fields}


def paths_of(*resources: Resource, platform: Platform | None = None) -> list[DataPath]:
    return data_paths(Graph(resources), platform, TODAY)


def verdicts(*resources: Resource, platform: Platform | None = None) -> set[tuple[str, str]]:
    """Last hop and verdict of each path that is not allowed."""
    return {
        (path.hops[-1].name, path.verdict)
        for path in paths_of(*resources, platform=platform)
        if path.verdict != "allowed"
    }
