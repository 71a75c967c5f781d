"""Lookups of the resources of a Fargate gateway after an interrupted creation (see `types`)."""

from __future__ import annotations

from isthmus.engine.project.aws_account import Aws
from isthmus.engine.recovery.aws.lookup import (
    RESOURCE_TAG,
    STACK_TAG,
    ByTags,
    Lookup,
    by_name,
    by_parent,
    tags_as_mapping,
)
from isthmus.engine.state.interrupted_creations import Creation, Made, NotMade, Unknown, Verdict


def _load_balancing(call: str, items: str, arn: str) -> Lookup:
    """A lookup in Elastic Load Balancing by name. Lists all, because AWS returns an error for an unknown name."""
    return by_name(
        "elbv2",
        call,
        {},
        f"{{item[{arn}]}}",
        item_path=f"{items}[?{arn.removesuffix('Arn')}Name=='{{name}}'] | [0]",
        tags=("describe_tags", {"ResourceArns": [f"{{item[{arn}]}}"]}, "TagDescriptions[0].Tags"),
    )


def _record(aws: Aws, creation: Creation) -> Verdict:
    """A DNS record by zone, name and type. It has no tags, but only this stack writes to its zone."""
    find = by_parent(
        "route53",
        "list_resource_record_sets",
        {"HostedZoneId": "{zoneId}"},
        "ResourceRecordSets[?(Name=='{name}' || Name=='{name}.') && Type=='{type}']",
        "{zoneId}_{name}_{type}",
    )
    return find(aws, creation)


def _service(aws: Aws, creation: Creation) -> Verdict:
    find = by_name(
        "ecs",
        "describe_services",
        {"cluster": "{cluster}", "services": ["{name}"], "include": ["TAGS"]},
        "{item[serviceArn]}",
        item_path="services[?status!='INACTIVE'] | [0]",
        tags="tags",
    )
    return find(aws, creation)


def _zone(aws: Aws, creation: Creation) -> Verdict:
    """A zone by name and tags. Tags are set after the creation, so an untagged zone with the name is undecided."""
    params = {"DNSName": str(creation.inputs.get("name", ""))}
    own_zones, untagged = [], []
    for zone in aws.ask("route53", "list_hosted_zones_by_name", **params).get("HostedZones", []):
        id = zone["Id"].rpartition("/")[2]
        if zone["Name"].rstrip(".") != params["DNSName"].rstrip(".") or (creation.type, id) in aws.known:
            continue
        tag_params = {"ResourceType": "hostedzone", "ResourceId": id}
        tags = tags_as_mapping(
            aws.ask("route53", "list_tags_for_resource", **tag_params).get("ResourceTagSet", {}).get("Tags")
        )
        if tags.get(STACK_TAG) == aws.stack and tags.get(RESOURCE_TAG) == creation.name:
            own_zones.append(id)
        elif not tags.get(STACK_TAG):
            untagged.append(id)
    if len(own_zones) == 1 and not untagged:
        return Made(own_zones[0])
    if own_zones or untagged:
        candidates = ", ".join([*own_zones, *untagged])
        line = aws.line("route53", "list_hosted_zones_by_name", **params)
        return Unknown(f"{creation.type} `{creation.name}`: zones with that name are {candidates}", line)
    return NotMade()


FARGATE: dict[str, Lookup] = {
    "aws:ecs/cluster:Cluster": by_name(
        "ecs",
        "describe_clusters",
        {"clusters": ["{name}"], "include": ["TAGS"]},
        "{item[clusterArn]}",
        item_path="clusters[?status!='INACTIVE'] | [0]",
        tags="tags",
    ),
    "aws:ecs/taskDefinition:TaskDefinition": ByTags(
        "ecs",
        "list_task_definitions",
        "taskDefinitionArns",
        "{item[_]}",
        params={"familyPrefix": "{family}"},
        tags=("describe_task_definition", {"taskDefinition": "{item[_]}", "include": ["TAGS"]}, "tags"),
        more=("describe_task_definition", {"taskDefinition": "{item[_]}"}, "taskDefinition"),
        created="registeredAt",
    ),
    "aws:ecs/service:Service": _service,
    "aws:lb/loadBalancer:LoadBalancer": _load_balancing(
        "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"
    ),
    "aws:lb/targetGroup:TargetGroup": _load_balancing(
        "describe_target_groups", "TargetGroups", "TargetGroupArn"
    ),
    "aws:lb/listener:Listener": by_name(
        "elbv2",
        "describe_listeners",
        {"LoadBalancerArn": "{loadBalancerArn}"},
        "{item[ListenerArn]}",
        name="loadBalancerArn",
        item_path="Listeners[?Port==`{port}`] | [0]",
        tags=("describe_tags", {"ResourceArns": ["{item[ListenerArn]}"]}, "TagDescriptions[0].Tags"),
    ),
    "aws:route53/zone:Zone": _zone,
    "aws:route53/record:Record": _record,
    "aws:ec2/vpcEndpointService:VpcEndpointService": ByTags(
        "ec2",
        "describe_vpc_endpoint_service_configurations",
        "ServiceConfigurations",
        "{item[ServiceId]}",
        gone="ServiceState=='Deleted' || ServiceState=='Deleting'",
    ),
}
