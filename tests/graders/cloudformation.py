"""Translates rendered AWS inputs to a CloudFormation template, which cfn-lint checks against AWS's resource schemas.

Pulumi's names become CloudFormation's by rule: capitals, plurals and the service's name aside they are the same.
`data/cloudformation.yaml` has what follows no rule. A type or property that neither covers raises `Untranslated`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Container, Iterable, Mapping
from typing import Any, ClassVar

from tests.graders import aws_values
from tests.graders.examples import data
from tests.graders.terraform import Resource

TABLE = data("cloudformation")
PAIRS = frozenset({"tags", "resourceTags", "dimensions"})
"""Maps whose keys are a user's own words."""
OWN = frozenset({"region"})
"""Inputs of every resource that tell Pulumi's provider where to work."""

Json = Any


class Untranslated(Exception):
    """A type or property for which CloudFormation's name is not known."""


@functools.cache
def _resource_types() -> dict[str, str]:
    """CloudFormation's resource types, by their names in lower case."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    return {name.lower(): name for name in PROVIDER_SCHEMA_MANAGER.get_resource_types(aws_values.REGION)}


@functools.cache
def _schema(type_: str) -> Json:
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    return PROVIDER_SCHEMA_MANAGER.get_resource_schema(aws_values.REGION, type_).schema


def resource_type(type_: str) -> str | None:
    """CloudFormation's name of a Pulumi type, None where CloudFormation has no such resource.

    `aws:ec2/vpc:Vpc` is `AWS::EC2::VPC`.
    """
    if type_ in TABLE["types"]:
        return TABLE["types"][type_]
    module, name = type_.split(":")[1].split("/")
    return _resource_types().get(f"aws::{module}::{name}".lower())


def template(resources: Iterable[Resource], elsewhere: Container[str] = ()) -> dict[str, Json]:
    """The template that creates the resources. What CloudFormation has as a property joins its owner.

    `elsewhere`: types that are left out, since CloudFormation does not have them. Raises `Untranslated`.
    """
    resources = list(resources)
    entries: dict[str, Json] = {}
    pending = []
    for resource in resources:
        type_ = resource["type"]
        if type_ in elsewhere:
            continue
        if type_ in TABLE["parts"]:
            pending.append(resource)
            continue
        target = resource_type(type_)
        if target is None:
            raise Untranslated(
                f"{type_} has no CloudFormation type by rule. Fix: name it in data/cloudformation.yaml"
            )
        if logical_id(resource) in entries:
            raise ValueError(f"two resources would be called {logical_id(resource)}")
        entries[logical_id(resource)] = {"Type": target, "Properties": _properties(resource, target)}
    for part in pending:
        _join(part, resources, entries)
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": entries}


def logical_id(resource: Resource) -> str:
    """A name of letters and digits, by which a finding is traced to its resource."""
    type_, name = resource["urn"].split("::")[-2:]
    return re.sub(r"\W|_", "", f"{type_.rpartition(':')[2]}{name.title()}")


def _properties(resource: Resource, target: str) -> dict[str, Json]:
    schema = _schema(target)
    inputs = _REBUILT.get(resource["type"], dict)(resource["inputs"])
    properties = translate(inputs, schema, Names.in_cloudformation(resource["type"], target))
    # Pulumi's provider makes a name up where none is given.
    name_property = TABLE["autonamed"].get(resource["type"])
    if name_property and name_property not in properties:
        properties[name_property] = aws_values.physical_name(resource)
    return properties | TABLE["added"].get(resource["type"], {})


def _join(part: Resource, resources: list[Resource], entries: dict[str, Json]) -> None:
    """Writes a part into its owner's properties, as `data/cloudformation.yaml` says."""
    rule = TABLE["parts"][part["type"]]
    owners = [
        resource
        for resource in resources
        if resource["type"] == rule["owner"]
        and all(
            _key(resource, owner_key) == part["inputs"][owner_input]
            for owner_input, owner_key in rule["match"].items()
        )
    ]
    if len(owners) != 1:
        raise Untranslated(f"{part['urn']} belongs to {len(owners)} resources of {rule['owner']}")
    entry = entries[logical_id(owners[0])]
    schema = _schema(entry["Type"])
    inputs = _REBUILT.get(part["type"], dict)(part["inputs"])
    remaining = {key: value for key, value in inputs.items() if key not in {*rule["match"], *OWN}}
    # A part may be one property of its owner, or several.
    value = {rule["as"]: remaining.get(rule["of"], remaining) if "of" in rule else remaining}
    for name, translated in translate(
        value, schema, Names.in_cloudformation(part["type"], entry["Type"])
    ).items():
        if isinstance(translated, list):
            entry["Properties"].setdefault(name, []).extend(translated)
        else:
            entry["Properties"][name] = translated


def _key(resource: Resource, name: str) -> str:
    if name == "id":
        return aws_values.identifier(resource, aws_values.physical_name(resource))
    return resource["inputs"].get(name, "")


class Names:
    """AWS's names of one Pulumi type's inputs."""

    used: ClassVar[set[tuple[str, str]]] = set()
    """Types and paths for which a table was needed."""

    def __init__(
        self, type_: str, prefix: str, renames: Mapping[str, str], dropped: Container[str] = ()
    ) -> None:
        self.type, self.prefix, self.renames, self.dropped = type_, prefix, renames, dropped

    @classmethod
    def in_cloudformation(cls, type_: str, target: str) -> Names:
        renames, dropped = TABLE["properties"].get(type_, {}), TABLE["dropped"].get(type_, {})
        return cls(type_, target.rpartition("::")[2], renames, dropped)

    def of(self, key: str, path: str, properties: Iterable[str]) -> str | None:
        """The property, or path of properties, that an input stands for. None: AWS learns nothing of the input."""
        if path == key and key in OWN:
            return None
        if path in self.dropped or path in self.renames:
            self.used.add((self.type, path))
            return None if path in self.dropped else self.renames[path]
        properties = list(properties)
        # `name` of a trail is `TrailName`, `policy` of a bucket's policy is `PolicyDocument`.
        for expected in (key, self.prefix + key, f"{key}Document"):
            for simplify in (str.lower, _stem):
                matches = [name for name in properties if simplify(name) == simplify(expected)]
                if len(matches) == 1:
                    return matches[0]
        raise Untranslated(f"{self.type}: no property is called like '{path}' among {sorted(properties)}")


def _stem(name: str) -> str:
    """`volumes` and `Volume` alike."""
    return re.sub(r"(ies|y|es|e|s)$", "", name.lower())


def translate(inputs: dict[str, Json], schema: Json, names: Names) -> dict[str, Json]:
    """Inputs by the names of a JSON schema. Raises `Untranslated` for an input that it has no property for."""
    return _object(inputs, schema, schema, names)


def _object(value: dict[str, Json], node: Json, root: Json, names: Names, path: str = "") -> dict[str, Json]:
    properties = _without_references(node, root)
    translated = {}
    for key, item in value.items():
        if item is None:
            continue
        below = f"{path}.{key}" if path else key
        name = names.of(key, below, properties)
        if name is None:
            continue
        *above, last = name.split(".")
        place, inside = translated, node
        for step in above:
            place = place.setdefault(step, {})
            inside = _without_references(inside, root)[step]
        place[last] = _value(item, _without_references(inside, root)[last], root, names, below)
    return translated


def _value(value: Json, node: Json, root: Json, names: Names, path: str) -> Json:
    node = _resolved(node, root)
    kinds = _kinds(node)
    if path.rpartition(".")[2] in PAIRS and isinstance(value, dict):
        return _pairs(value, node, root, kinds)
    if isinstance(value, str) and "object" in kinds and value.lstrip().startswith(("{", "[")):
        return _without_nulls(json.loads(value))
    if isinstance(value, str) and "array" in kinds and value.lstrip().startswith("["):
        value = json.loads(value)
    if isinstance(value, dict) and "array" in kinds and "object" not in kinds:
        value = [value]
    if isinstance(value, list) and "object" in kinds and "array" not in kinds and len(value) == 1:
        value = value[0]
    if isinstance(value, list):
        items = node.get("items", {})
        # CloudFormation has `[{"Value": 20}]` where Pulumi has `[20]`.
        (wrapper,) = (
            _without_references(items, root) if len(_without_references(items, root)) == 1 else (None,)
        )
        if wrapper and not any(isinstance(item, dict) for item in value):
            value = [{wrapper: item} for item in value]
        return [_value(item, items, root, names, path) for item in value]
    if isinstance(value, dict):
        return _object(value, node, root, names, path) if _without_references(node, root) else value
    value = _scalar(value, kinds, node.get("enum", []))
    return [value] if "array" in kinds and not kinds & {"string", "object"} else value


def _scalar(value: Json, kinds: set[str], allowed: list[Json]) -> Json:
    """Pulumi's provider takes numbers and truth values as text too, and truth values for two words."""
    if isinstance(value, bool) and set(allowed) == {"ENABLED", "DISABLED"}:
        return "ENABLED" if value else "DISABLED"
    if value in ("true", "false") and kinds == {"boolean"}:
        return value == "true"
    if isinstance(value, str) and value.isdigit() and kinds & {"integer", "number"} and "string" not in kinds:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and kinds == {"string"}:
        return str(value)
    return value


def _without_nulls(value: Json) -> Json:
    """Pulumi's provider takes null for what is not set."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _pairs(value: dict[str, str], node: Json, root: Json, kinds: set[str]) -> Json:
    """A map as CloudFormation writes it: `[{"Key": …, "Value": …}]`, or a map too."""
    if "array" not in kinds:
        return value
    properties = _without_references(node.get("items", {}), root)
    key = next(name for name in properties if name.lower() in ("key", "name"))
    text = next(name for name in properties if name.lower() == "value")
    return [{key: name, text: content} for name, content in value.items()]


def _resolved(node: Json, root: Json) -> Json:
    while "$ref" in node:
        target: Json = root
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def _without_references(node: Json, root: Json) -> dict[str, Json]:
    """Properties of a schema's object, those of its alternatives too."""
    node = _resolved(node, root)
    properties = dict(node.get("properties", {}))
    for keyword_ in ("anyOf", "oneOf", "allOf"):
        for alternative in node.get(keyword_, []):
            properties |= _without_references(alternative, root)
    return properties


def _budget(inputs: dict[str, Json]) -> dict[str, Json]:
    def notification(inputs: dict[str, Json]) -> dict[str, Json]:
        inputs = dict(inputs)
        kinds = {"EMAIL": "subscriberEmailAddresses", "SNS": "subscriberSnsTopicArns"}
        subscribers = [
            {"address": address, "subscriptionType": kind}
            for kind, key in kinds.items()
            for address in inputs.pop(key, [])
        ]
        return {"notification": inputs, "subscribers": subscribers}

    inputs = dict(inputs)
    outer = {"resourceTags": inputs.pop("tags"), "accountId": inputs.pop("accountId")}
    limit = {"amount": inputs.pop("limitAmount"), "unit": inputs.pop("limitUnit")}
    filters = {filter_["name"]: filter_["values"] for filter_ in inputs.pop("costFilters", [])}
    notifications = [notification(alert) for alert in inputs.pop("notifications", [])]
    budget = {**inputs, "budgetLimit": limit, "costFilters": filters}
    return {"budget": budget, "notificationsWithSubscribers": notifications, **outer}


def _launch_template(inputs: dict[str, Json]) -> dict[str, Json]:
    inputs = dict(inputs)
    own_inputs = {key: inputs.pop(key) for key in ("description", "updateDefaultVersion")}
    tags = [{"resourceType": "launch-template", "tags": inputs.pop("tags")}]
    return {"launchTemplateData": inputs, "tagSpecifications": tags, **own_inputs}


def _lifecycle(inputs: dict[str, Json]) -> dict[str, Json]:
    def flat(rule: dict[str, Json]) -> dict[str, Json]:
        remaining = {key: value for key, value in rule.items() if key not in ("expiration", "filter")}
        expiration = dict(rule.get("expiration", {}))
        if "days" in expiration:
            remaining["expirationInDays"] = expiration.pop("days")
        return {**remaining, **expiration, **rule.get("filter", {})}

    return {**inputs, "rules": [flat(rule) for rule in inputs["rules"]]}


def _vpn_connection(inputs: dict[str, Json]) -> dict[str, Json]:
    tunnels: dict[str, dict[str, Json]] = {"1": {}, "2": {}}
    options = {}
    for key, value in inputs.items():
        tunnel = re.fullmatch(r"tunnel([12])(\w+)", key)
        if tunnel:
            tunnels[tunnel[1]][tunnel[2]] = value
        else:
            options[key] = value
    return {**options, "vpnTunnelOptionsSpecifications": list(tunnels.values())}


def _load_balancer(inputs: dict[str, Json]) -> dict[str, Json]:
    inputs = dict(inputs)
    scheme = "internal" if inputs.pop("internal") else "internet-facing"
    crossing = str(inputs.pop("enableCrossZoneLoadBalancing")).lower()
    attributes = [{"key": "load_balancing.cross_zone.enabled", "value": crossing}]
    return {
        "type": inputs.pop("loadBalancerType"),
        **inputs,
        "scheme": scheme,
        "loadBalancerAttributes": attributes,
    }


def _target_group(inputs: dict[str, Json]) -> dict[str, Json]:
    inputs = dict(inputs)
    health = dict(inputs.pop("healthCheck"))
    names = {
        "healthyThreshold": "healthyThresholdCount",
        "unhealthyThreshold": "unhealthyThresholdCount",
        "interval": "healthCheckIntervalSeconds",
        "timeout": "healthCheckTimeoutSeconds",
        "path": "healthCheckPath",
        "port": "healthCheckPort",
        "protocol": "healthCheckProtocol",
    }
    checks = {new: health.pop(old) for old, new in names.items() if old in health}
    attributes = {
        "deregistration_delay.timeout_seconds": inputs.pop("deregistrationDelay"),
        "preserve_client_ip.enabled": inputs.pop("preserveClientIp"),
    }
    return {
        **inputs,
        **checks,
        "matcher": {"httpCode": health.pop("matcher")},
        # What is not known here fails the translation.
        **health,
        "targetGroupAttributes": [{"key": key, "value": str(value)} for key, value in attributes.items()],
    }


_REBUILT = {
    "aws:budgets/budget:Budget": _budget,
    "aws:ec2/launchTemplate:LaunchTemplate": _launch_template,
    "aws:ec2/vpnConnection:VpnConnection": _vpn_connection,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _lifecycle,
    "aws:lb/loadBalancer:LoadBalancer": _load_balancer,
    "aws:lb/targetGroup:TargetGroup": _target_group,
}
"""Inputs in CloudFormation's arrangement, where names alone do not do."""


def _kinds(node: Json) -> set[str]:
    kind = node.get("type", [])
    return {kind} if isinstance(kind, str) else set(kind)
