"""Elastic Load Balancing: network load balancers, target groups, listeners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type
from sandbox.aws.schema import Prop, has_same_members
from sandbox.aws.table.kms import REGION, TAGS

_BALANCER = {"LoadBalancerArn": "$arn"}
_TARGETS = {"TargetGroupArn": "$arn"}
_TAGGING = Tagging(
    put=Call("add_tags", {"ResourceArns": ["$arn"], "Tags": "$tagsSet"}),
    remove=Call("remove_tags", {"ResourceArns": ["$arn"], "TagKeys": "$tagsGone"}),
)
_READ_TAGS = Call(
    "describe_tags", {"ResourceArns": ["$arn"]}, result={"tagsAll": "TagDescriptions[0].Tags || `[]`"}
)


def _attribute(key: str) -> Callable[[Any], str | None]:
    """Return a function that reads one attribute of a load balancer or target group, as text."""

    def read_value(answer: Any) -> str | None:
        return next(
            (str(attribute["Value"]) for attribute in answer["Attributes"] if attribute["Key"] == key), None
        )

    return read_value


def _flag(key: str) -> Callable[[Any], bool]:
    return lambda answer: _attribute(key)(answer) == "true"


def _attributes(**names: tuple[str, Any]) -> Callable[[Scope], list[dict[str, str]]]:
    """Return a function for attributes: API name by (property, default)."""

    def build(scope: Scope) -> list[dict[str, str]]:
        return [
            {"Key": key.replace("__", "."), "Value": _text(value)}
            for key, (name, absent) in names.items()
            if (value := scope.get(name, absent)) is not None
        ]

    return build


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) else str(value)


LOAD_BALANCER = Type(
    "aws:lb/loadBalancer:LoadBalancer",
    service="elbv2",
    id="{arn}",
    inputs={
        "name": Prop(replace=True),
        "internal": Prop("flag", replace=True, default=False),
        "loadBalancerType": Prop(replace=True, default="application"),
        "securityGroups": Prop("list", computed=True, alike=has_same_members),
        "subnets": Prop("list", computed=True, alike=has_same_members),
        "enableCrossZoneLoadBalancing": Prop("flag", default=False),
        "enableDeletionProtection": Prop("flag", default=False),
        "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic": Prop(local=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "arnSuffix": Prop(),
        "dnsName": Prop(),
        "vpcId": Prop(),
        "zoneId": Prop(),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_load_balancer",
        {
            "Name": "$name",
            "Scheme": lambda scope: "internal" if scope.get("internal") else "internet-facing",
            "Type": "$loadBalancerType",
            "SecurityGroups": "$securityGroups",
            "Subnets": "$subnets",
            "Tags": "$tagsAll",
        },
        result={"arn": "LoadBalancers[0].LoadBalancerArn"},
    ),
    allows_duplicates=True,
    list_all=lambda call, scope: [
        str(load_balancer["LoadBalancerArn"])
        for load_balancer in call("describe_load_balancers")["LoadBalancers"]
        if load_balancer["LoadBalancerName"] == scope["name"]
    ],
    reads=(
        Call(
            "describe_load_balancers",
            {"LoadBalancerArns": ["$arn"]},
            pick="LoadBalancers[0]",
            result={
                "name": "LoadBalancerName",
                "internal": "Scheme=='internal'",
                "loadBalancerType": "Type",
                "securityGroups": "SecurityGroups || `[]`",
                "subnets": "AvailabilityZones[].SubnetId",
                "dnsName": "DNSName",
                "vpcId": "VpcId",
                "zoneId": "CanonicalHostedZoneId",
                "arnSuffix": lambda answer: str(answer["LoadBalancerArn"]).partition(":loadbalancer/")[2],
            },
            absent=("LoadBalancerNotFound",),
        ),
        Call(
            "describe_load_balancer_attributes",
            _BALANCER,
            result={
                "enableCrossZoneLoadBalancing": _flag("load_balancing.cross_zone.enabled"),
                "enableDeletionProtection": _flag("deletion_protection.enabled"),
            },
        ),
        _READ_TAGS,
    ),
    facets=(
        Facet(
            ("enableCrossZoneLoadBalancing", "enableDeletionProtection"),
            at_create=True,
            put=Call(
                "modify_load_balancer_attributes",
                {
                    **_BALANCER,
                    "Attributes": _attributes(
                        load_balancing__cross_zone__enabled=("enableCrossZoneLoadBalancing", False),
                        deletion_protection__enabled=("enableDeletionProtection", False),
                    ),
                },
            ),
        ),
        Facet(
            ("securityGroups",),
            put=Call("set_security_groups", {**_BALANCER, "SecurityGroups": "$securityGroups"}),
        ),
        Facet(("subnets",), put=Call("set_subnets", {**_BALANCER, "Subnets": "$subnets"})),
    ),
    tagging=_TAGGING,
    delete=Call("delete_load_balancer", _BALANCER, absent=("LoadBalancerNotFound",)),
    autoname=AutoName("name", None, longest=32),
    limits="Kept; its name resolves nowhere and nothing passes it. Its ARN says `app` whatever its type. Whether "
    "PrivateLink's traffic is held to the security groups is recorded, not kept by the endpoint. A second request of "
    "the same name makes a second one, where AWS answers with the first.",
)

_HEALTH = {
    "enabled": ("HealthCheckEnabled", Prop("flag", computed=True)),
    "protocol": ("HealthCheckProtocol", Prop(computed=True)),
    "port": ("HealthCheckPort", Prop(computed=True)),
    "path": ("HealthCheckPath", Prop(computed=True)),
    "matcher": ("Matcher", Prop(computed=True)),
    "interval": ("HealthCheckIntervalSeconds", Prop("number", computed=True)),
    "timeout": ("HealthCheckTimeoutSeconds", Prop("number", computed=True)),
    "healthyThreshold": ("HealthyThresholdCount", Prop("number", computed=True)),
    "unhealthyThreshold": ("UnhealthyThresholdCount", Prop("number", computed=True)),
}


def _checked(key: str) -> Callable[[Scope], Any]:
    """Return a function that reads one health check setting, which the API has in the target group itself."""

    def read_property(scope: Scope) -> Any:
        value = (scope.get("healthCheck") or {}).get(key)
        if value is None:
            return None
        return {"HttpCode": value} if key == "matcher" else int(value) if isinstance(value, float) else value

    return read_property


def _health(group: Any) -> dict[str, Any]:
    properties = {key: group.get(api) for key, (api, _) in _HEALTH.items()}
    properties["matcher"] = (group.get("Matcher") or {}).get("HttpCode")
    return {key[:1].upper() + key[1:]: value for key, value in properties.items() if value is not None}


_CHECK = {api: _checked(key) for key, (api, _) in _HEALTH.items()}


def _by_name(call: Callable[..., Any], scope: Scope) -> str | None:
    listed = call("describe_target_groups", Names=[scope["name"]])["TargetGroups"]
    return str(listed[0]["TargetGroupArn"]) if listed else None


TARGET_GROUP = Type(
    "aws:lb/targetGroup:TargetGroup",
    service="elbv2",
    id="{arn}",
    inputs={
        "name": Prop(replace=True),
        "port": Prop("number", replace=True),
        "protocol": Prop(replace=True),
        "targetType": Prop(replace=True, default="instance"),
        "vpcId": Prop(replace=True),
        "healthCheck": Prop(
            "object", computed=True, fields={key: prop for key, (_, prop) in _HEALTH.items()}
        ),
        "deregistrationDelay": Prop("number", default=300),
        "preserveClientIp": Prop(computed=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "arnSuffix": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_target_group",
        {
            "Name": "$name",
            "Port": "$port",
            "Protocol": "$protocol",
            "TargetType": "$targetType",
            "VpcId": "$vpcId",
            **_CHECK,
            "Tags": "$tagsAll",
        },
        result={"arn": "TargetGroups[0].TargetGroupArn"},
    ),
    allows_duplicates=False,
    find_only=_by_name,
    reads=(
        Call(
            "describe_target_groups",
            {"TargetGroupArns": ["$arn"]},
            pick="TargetGroups[0]",
            result={
                "name": "TargetGroupName",
                "port": "Port",
                "protocol": "Protocol",
                "targetType": "TargetType",
                "vpcId": "VpcId",
                "healthCheck": _health,
                "arnSuffix": lambda answer: str(answer["TargetGroupArn"]).rpartition(":")[2],
            },
            absent=("TargetGroupNotFound",),
        ),
        Call(
            "describe_target_group_attributes",
            _TARGETS,
            result={
                "deregistrationDelay": lambda answer: int(
                    _attribute("deregistration_delay.timeout_seconds")(answer) or 300
                ),
                "preserveClientIp": _attribute("preserve_client_ip.enabled"),
            },
        ),
        _READ_TAGS,
    ),
    facets=(
        Facet(("healthCheck",), put=Call("modify_target_group", {**_TARGETS, **_CHECK})),
        Facet(
            ("deregistrationDelay", "preserveClientIp"),
            at_create=True,
            put=Call(
                "modify_target_group_attributes",
                {
                    **_TARGETS,
                    "Attributes": _attributes(
                        deregistration_delay__timeout_seconds=("deregistrationDelay", 300),
                        preserve_client_ip__enabled=("preserveClientIp", None),
                    ),
                },
            ),
        ),
    ),
    tagging=_TAGGING,
    delete=Call("delete_target_group", _TARGETS, absent=("TargetGroupNotFound",)),
    autoname=AutoName("name", None, longest=32),
    limits="Kept; no target is asked for its health.",
)

LISTENER = Type(
    "aws:lb/listener:Listener",
    service="elbv2",
    id="{arn}",
    inputs={
        "loadBalancerArn": Prop(required=True, replace=True),
        "port": Prop("number"),
        "protocol": Prop(computed=True),
        "defaultActions": Prop(
            "list",
            required=True,
            item=Prop("object", fields={"type": Prop(required=True), "targetGroupArn": Prop()}),
        ),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_listener",
        {
            "LoadBalancerArn": "$loadBalancerArn",
            "Port": "$port",
            "Protocol": "$protocol",
            "DefaultActions": "$defaultActions",
            "Tags": "$tagsAll",
        },
        result={"arn": "Listeners[0].ListenerArn"},
    ),
    allows_duplicates=True,
    list_all=lambda call, scope: [
        str(listener["ListenerArn"])
        for listener in call("describe_listeners", LoadBalancerArn=scope["loadBalancerArn"])["Listeners"]
        if listener.get("Port") == scope.get("port")
    ],
    reads=(
        Call(
            "describe_listeners",
            {"ListenerArns": ["$arn"]},
            pick="Listeners[0]",
            result={
                "loadBalancerArn": "LoadBalancerArn",
                "port": "Port",
                "protocol": "Protocol",
                "defaultActions": "DefaultActions",
            },
            absent=("ListenerNotFound", "LoadBalancerNotFound"),
        ),
        _READ_TAGS,
    ),
    facets=(
        Facet(
            ("port", "protocol", "defaultActions"),
            put=Call(
                "modify_listener",
                {
                    "ListenerArn": "$arn",
                    "Port": "$port",
                    "Protocol": "$protocol",
                    "DefaultActions": "$defaultActions",
                },
            ),
        ),
    ),
    tagging=_TAGGING,
    delete=Call("delete_listener", {"ListenerArn": "$arn"}, absent=("ListenerNotFound",)),
    limits="Kept; nothing listens. One target group in the default action; no rules, no certificates. A "
    "second one on the port is made, where AWS refuses it.",
)

TYPES = (LOAD_BALANCER, TARGET_GROUP, LISTENER)
