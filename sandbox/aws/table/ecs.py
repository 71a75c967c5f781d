"""Amazon ECS: clusters, task definitions and services on Fargate."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type, fresh_token, list_all_ids, pairs
from sandbox.aws.schema import Prop, has_same_members, is_same_tail
from sandbox.aws.table.kms import REGION, TAGS

_TAGGING = Tagging(
    put=Call("tag_resource", {"resourceArn": "$arn", "tags": lambda scope: _tags(scope["tagsSet"])}),
    remove=Call("untag_resource", {"resourceArn": "$arn", "tagKeys": "$tagsGone"}),
)
_LISTED = {"tagsAll": "tags[].{Key: key, Value: value} || `[]`"}


def _tags(tags: Any) -> list[dict[str, str]] | None:
    return pairs(tags, "key", "value")


def _all_tags(scope: Scope) -> list[dict[str, str]] | None:
    return _tags(scope.get("tagsAll"))


def _by_name(call: Callable[..., Any], scope: Scope) -> str | None:
    clusters = call("describe_clusters", clusters=[scope["name"]])["clusters"]
    return next((cluster["clusterArn"] for cluster in clusters if cluster["status"] != "INACTIVE"), None)


CLUSTER = Type(
    "aws:ecs/cluster:Cluster",
    service="ecs",
    id="{arn}",
    inputs={
        "name": Prop(replace=True),
        "settings": Prop(
            "list",
            computed=True,
            item=Prop("object", fields={"name": Prop(api="name"), "value": Prop(api="value")}),
        ),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_cluster",
        {"clusterName": "$name", "settings": "$settings", "tags": _all_tags},
        result={"arn": "cluster.clusterArn"},
    ),
    # A second request with the same name returns the first cluster.
    allows_duplicates=False,
    find_only=_by_name,
    reads=(
        Call(
            "describe_clusters",
            {"clusters": ["$arn"], "include": ["SETTINGS", "TAGS"]},
            pick="clusters[?status!='INACTIVE'] | [0]",
            result={"name": "clusterName", "settings": "settings || `[]`", **_LISTED},
        ),
    ),
    facets=(Facet(("settings",), put=Call("update_cluster", {"cluster": "$arn", "settings": "$settings"})),),
    tagging=_TAGGING,
    delete=Call("delete_cluster", {"cluster": "$arn"}, absent=("ClusterNotFoundException",)),
    autoname=AutoName("name", None, longest=255),
    limits="Kept; nothing runs in it.",
)

_FILLED = {"cpu": 0, "mountPoints": [], "volumesFrom": [], "systemControls": [], "environment": []}
"""Defaults that ECS adds to a container definition."""


def _containers(text: Any) -> Any:
    boxes = json.loads(text) if isinstance(text, str) else text
    containers = []
    for box in boxes:
        plain = {key: value for key, value in box.items() if _FILLED.get(key, ...) != value}
        plain["portMappings"] = [
            {key: value for key, value in port.items() if (key, value) != ("hostPort", port["containerPort"])}
            for port in box.get("portMappings", [])
        ]
        for key in ("environment", "secrets"):
            plain[key] = sorted(box.get(key, []), key=lambda entry: str(entry["name"]))
        containers.append(plain)
    return containers


def _same_containers(left: Any, right: Any) -> bool:
    try:
        return bool(_containers(left) == _containers(right))
    except (ValueError, TypeError, KeyError, AttributeError):
        return bool(left == right)


_AUTHORISED = Prop(
    "object",
    api="authorizationConfig",
    fields={"accessPointId": Prop(api="accessPointId"), "iam": Prop(api="iam")},
)
_VOLUME = Prop(
    "object",
    fields={
        "name": Prop(api="name"),
        "efsVolumeConfiguration": Prop(
            "object",
            api="efsVolumeConfiguration",
            fields={
                "fileSystemId": Prop(api="fileSystemId"),
                "transitEncryption": Prop(api="transitEncryption"),
                "authorizationConfig": _AUTHORISED,
            },
        ),
    },
)


def _same_volumes(left: Any, right: Any) -> bool:
    """Compare volumes by name, in any order. None equals an empty list."""

    def volumes_by_name(volumes: Any) -> dict[str, Any]:
        return {volume["name"]: volume for volume in volumes or []}

    return volumes_by_name(left) == volumes_by_name(right)


def _no_json(text: Any) -> str:
    try:
        return "" if isinstance(json.loads(text), list) else "it is no list of containers."
    except ValueError as error:
        return f"it is not valid JSON: {error}."


TASK_DEFINITION = Type(
    "aws:ecs/taskDefinition:TaskDefinition",
    service="ecs",
    id="{arn}",
    inputs={
        "family": Prop(required=True, replace=True),
        "containerDefinitions": Prop(required=True, replace=True, alike=_same_containers, check=_no_json),
        "cpu": Prop(replace=True),
        "memory": Prop(replace=True),
        "networkMode": Prop(replace=True, computed=True),
        "requiresCompatibilities": Prop("list", replace=True, alike=has_same_members),
        "executionRoleArn": Prop(replace=True),
        "taskRoleArn": Prop(replace=True),
        "volumes": Prop("list", replace=True, item=_VOLUME, alike=_same_volumes),
        "runtimePlatform": Prop(
            "object",
            replace=True,
            fields={
                "cpuArchitecture": Prop(api="cpuArchitecture"),
                "operatingSystemFamily": Prop(api="operatingSystemFamily"),
            },
        ),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "arnWithoutRevision": Prop(),
        "revision": Prop("number"),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "register_task_definition",
        {
            "family": "$family",
            "containerDefinitions": lambda scope: json.loads(scope["containerDefinitions"]),
            "cpu": "$cpu",
            "memory": "$memory",
            "networkMode": "$networkMode",
            "requiresCompatibilities": "$requiresCompatibilities",
            "executionRoleArn": "$executionRoleArn",
            "taskRoleArn": "$taskRoleArn",
            "runtimePlatform": "$runtimePlatform",
            "volumes": "$volumes",
            "tags": _all_tags,
        },
        result={"arn": "taskDefinition.taskDefinitionArn"},
    ),
    list_all=list_all_ids(
        "list_task_definitions", "taskDefinitionArns", familyPrefix=lambda scope: scope["family"]
    ),
    reads=(
        Call(
            "describe_task_definition",
            {"taskDefinition": "$arn", "include": ["TAGS"]},
            result={
                "family": "taskDefinition.family",
                "containerDefinitions": lambda answer: json.dumps(
                    answer["taskDefinition"]["containerDefinitions"], sort_keys=True
                ),
                **{
                    name: f"taskDefinition.{name}"
                    for name in (
                        *("cpu", "memory", "networkMode", "requiresCompatibilities", "executionRoleArn"),
                        *("taskRoleArn", "runtimePlatform", "revision", "volumes"),
                    )
                },
                "arnWithoutRevision": lambda answer: answer["taskDefinition"]["taskDefinitionArn"].rpartition(
                    ":"
                )[0],
                "_status": "taskDefinition.status",
                **_LISTED,
            },
            absent=("ClientException",),
        ),
    ),
    is_gone=lambda scope: scope.get("_status") == "INACTIVE",
    tagging=_TAGGING,
    delete=Call("deregister_task_definition", {"taskDefinition": "$arn"}, absent=("ClientException",)),
    limits="Kept; no task is started, no image fetched, no secret read. The real plugin's id is the family.",
)


def _network(scope: Scope) -> dict[str, Any] | None:
    configuration = scope.get("networkConfiguration")
    if not configuration:
        return None
    public = "ENABLED" if configuration.get("assignPublicIp") else "DISABLED"
    members = {
        "subnets": configuration.get("subnets"),
        "securityGroups": configuration.get("securityGroups"),
        "assignPublicIp": public,
    }
    return {"awsvpcConfiguration": {name: value for name, value in members.items() if value is not None}}


def _as_network(service: Any) -> dict[str, Any] | None:
    configuration = (service.get("networkConfiguration") or {}).get("awsvpcConfiguration")
    if not configuration:
        return None
    return {
        "Subnets": configuration.get("subnets", []),
        "SecurityGroups": configuration.get("securityGroups", []),
        "AssignPublicIp": configuration.get("assignPublicIp") == "ENABLED",
    }


def _cluster_of(scope: Scope) -> str:
    """Return the cluster from a service's ARN, `…service/CLUSTER/NAME`, which is all that an import gives."""
    return str(scope["id"]).split("/")[-2]


def _service_by_name(call: Callable[..., Any], scope: Scope) -> str | None:
    services = call("describe_services", cluster=scope["cluster"], services=[scope["name"]])["services"]
    return next((service["serviceArn"] for service in services if service["status"] != "INACTIVE"), None)


_SERVICE = {"cluster": _cluster_of, "service": "$arn"}
_BREAKER = Prop("object", local=True, fields={"enable": Prop("flag"), "rollback": Prop("flag")})

SERVICE = Type(
    "aws:ecs/service:Service",
    service="ecs",
    id="{arn}",
    inputs={
        "name": Prop(replace=True),
        "cluster": Prop(replace=True, alike=is_same_tail),
        "launchType": Prop(replace=True, computed=True),
        "taskDefinition": Prop(alike=is_same_tail),
        "desiredCount": Prop("number"),
        "platformVersion": Prop(computed=True),
        "networkConfiguration": Prop(
            "object",
            fields={
                "subnets": Prop("list", alike=has_same_members),
                "securityGroups": Prop("list", alike=has_same_members),
                "assignPublicIp": Prop("flag", default=False),
            },
        ),
        "loadBalancers": Prop(
            "list",
            item=Prop(
                "object",
                fields={
                    "targetGroupArn": Prop(api="targetGroupArn"),
                    "containerName": Prop(api="containerName"),
                    "containerPort": Prop("number", api="containerPort"),
                },
            ),
        ),
        "propagateTags": Prop(computed=True),
        "deploymentCircuitBreaker": _BREAKER,
        "deploymentMaximumPercent": Prop("number", local=True),
        "deploymentMinimumHealthyPercent": Prop("number", local=True),
        "availabilityZoneRebalancing": Prop(local=True),
        "healthCheckGracePeriodSeconds": Prop("number", local=True),
        "enableEcsManagedTags": Prop("flag", local=True),
        "enableExecuteCommand": Prop("flag", local=True),
        "waitForSteadyState": Prop("flag", local=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_service",
        {
            "clientToken": fresh_token,
            "serviceName": "$name",
            "cluster": "$cluster",
            "taskDefinition": "$taskDefinition",
            "desiredCount": "$desiredCount",
            "launchType": "$launchType",
            "platformVersion": "$platformVersion",
            "networkConfiguration": _network,
            "loadBalancers": "$loadBalancers",
            "propagateTags": "$propagateTags",
            "tags": _all_tags,
        },
        result={"arn": "service.serviceArn"},
    ),
    find_only=_service_by_name,
    reads=(
        Call(
            "describe_services",
            {"cluster": _cluster_of, "services": ["$arn"], "include": ["TAGS"]},
            pick="services[?status!='INACTIVE'] | [0]",
            result={
                "name": "serviceName",
                "cluster": "clusterArn",
                "launchType": "launchType",
                "taskDefinition": "taskDefinition",
                "desiredCount": "desiredCount",
                "platformVersion": "platformVersion",
                "networkConfiguration": _as_network,
                "loadBalancers": "loadBalancers || `[]`",
                "propagateTags": "propagateTags",
                **_LISTED,
            },
            absent=("ClusterNotFoundException",),
        ),
    ),
    facets=(
        Facet(
            (
                *("taskDefinition", "desiredCount", "platformVersion", "networkConfiguration"),
                *("loadBalancers", "propagateTags"),
            ),
            put=Call(
                "update_service",
                {
                    **_SERVICE,
                    "taskDefinition": "$taskDefinition",
                    "desiredCount": "$desiredCount",
                    "platformVersion": "$platformVersion",
                    "networkConfiguration": _network,
                    "loadBalancers": "$loadBalancers",
                    "propagateTags": "$propagateTags",
                },
            ),
        ),
    ),
    tagging=_TAGGING,
    delete=Call(
        "delete_service",
        {**_SERVICE, "force": True},
        absent=("ServiceNotFoundException", "ClusterNotFoundException", "ServiceNotActiveException"),
    ),
    autoname=AutoName("name", None, longest=255),
    limits="Kept; no task is started, so nothing waits for a steady state, no target becomes healthy and no "
    "deployment fails. How it deploys, its grace period and whether commands may be executed are recorded, not kept "
    "by the endpoint.",
)

TYPES = (CLUSTER, TASK_DEFINITION, SERVICE)
