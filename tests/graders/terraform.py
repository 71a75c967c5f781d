"""Rendered AWS inputs as a Terraform plan (`terraform show -json`), which graders of infrastructure code read.

Pulumi's AWS provider is Terraform's under other names: modules before types, camelCase, plurals for blocks that
repeat. This turns the names back by rule; what follows no rule stands in the tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MODULES = {
    "costexplorer": "ce",
    "directconnect": "dx",
    "ec2": "",
    "ec2transitgateway": "ec2_transit_gateway",
    "bedrockmodel": "bedrock_model",
}
"""What stands before a type's own name; elsewhere it is the module's name."""
TYPES = {
    "aws:cloudtrail/trail:Trail": "aws_cloudtrail",
    "aws:ec2transitgateway/transitGateway:TransitGateway": "aws_ec2_transit_gateway",
    "aws:lb/loadBalancer:LoadBalancer": "aws_lb",
}
FREE = frozenset({"tags", "dimensions", "labels"})
"""Maps whose keys are the user's own words."""
REFERENCE = re.compile(r"\$\{([^}]+)\.([\w\[\]]+)\}")
"""A rendering's placeholder: `${bank-frankfurt-bucket.id}`."""
WHOLE = re.compile(rf"(?:arn:aws:[a-z0-9-]+:::)?{REFERENCE.pattern}")

Resource = dict[str, Any]


def kind(type_: str) -> str:
    """Terraform's name of a Pulumi type: `aws:ec2/vpcEndpoint:VpcEndpoint` is `aws_vpc_endpoint`."""
    if type_ in TYPES:
        return TYPES[type_]
    module, name = type_.split(":")[1].split("/")
    return "_".join(part for part in ("aws", MODULES.get(module, module), snake(name)) if part)


def snake(name: str) -> str:
    """`enableKeyRotation` → `enable_key_rotation`, `tunnel1IkeVersions` → `tunnel1_ike_versions`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def resources(folder: Path) -> list[Resource]:
    """The AWS resources of a rendering (URN, type, inputs), each with the URNs that it depends on."""
    graph = json.loads((folder / "graph.json").read_text())["resources"]
    needed = {resource["urn"]: resource["dependencies"] for resource in graph}
    read = [json.loads(file.read_text()) for file in sorted(folder.glob("aws/*/*.json"))]
    return [{**resource, "needs": needed[resource["urn"]]} for resource in read]


def plan(resources: Iterable[Resource]) -> dict[str, Any]:
    """A plan that creates them. As in a real one, a value that another resource gives is a reference only."""
    resources = list(resources)
    addresses = {resource["urn"]: address(resource) for resource in resources}
    if len(set(addresses.values())) != len(resources):
        raise ValueError("two resources of one type have one name")
    values, configured, changes = [], [], []
    for resource in resources:
        type_, name = addresses[resource["urn"]].split(".")
        head = {"address": addresses[resource["urn"]], "mode": "managed", "type": type_, "name": name}
        near = {urn.rpartition("::")[2]: addresses[urn] for urn in resource["needs"] if urn in addresses}
        block = _block(resource["inputs"])
        known_values = {key: value for key, value in block.items() if not _unknown(value)}
        references = {key: sorted(_references(value, near)) for key, value in block.items()}
        values.append({**head, "values": known_values})
        changes.append({**head, "change": {"actions": ["create"], "before": None, "after": known_values}})
        configured.append(
            {**head, "expressions": {key: {"references": at} for key, at in references.items() if at}}
        )
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": values}},
        "resource_changes": changes,
        "configuration": {"root_module": {"resources": configured}},
    }


def address(resource: Resource) -> str:
    """`aws_vpc.bank-frankfurt-network-vpc`."""
    name = re.sub(r"[^\w-]", "-", resource["urn"].rpartition("::")[2])
    return f"{kind(resource['type'])}.{name}"


def _block(inputs: dict[str, Any]) -> dict[str, Any]:
    """Terraform's names; what Pulumi has as a list of blocks is there one block that repeats."""
    block: dict[str, Any] = {}
    for key, value in inputs.items():
        name = snake(key)
        if key in FREE:
            block[name] = value
        elif isinstance(value, dict):
            block[name] = [_block(value)]
        elif isinstance(value, list) and value and all(isinstance(element, dict) for element in value):
            block[_singular(name)] = [_block(element) for element in value]
        else:
            block[name] = value
    return block


def _singular(name: str) -> str:
    for plural, ending in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if name.endswith(plural) and not name.endswith(("egress", "ingress", "dns")):
            return name.removesuffix(plural) + ending
    return name


def _unknown(value: Any) -> bool:
    """Whether the whole value is another resource's."""
    return isinstance(value, str) and bool(WHOLE.fullmatch(value))


def _references(value: Any, near: dict[str, str]) -> set[str]:
    """Addresses of the resources that a value names, of those that its resource depends on."""
    if isinstance(value, str):
        return {near[match[1]] for match in REFERENCE.finditer(value) if match[1] in near}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return {reference for inner_value in inner for reference in _references(inner_value, near)}
