"""How the types of a gateway on Fargate are looked for after a creation that was cut off (as `aws_ways`)."""

from __future__ import annotations

from isthmus.engine.project.aws_account import Aws
from isthmus.engine.recovery.aws.lookup import (
    RESOURCE_TAG,
    STACK_TAG,
    Lookup,
    by_name,
    by_parent,
    by_tags,
    tags_as_mapping,
)
from isthmus.engine.state.interrupted_creations import Creation, Made, NotMade, Unknown, Verdict


def _load_balancing(call: str, items: str, arn: str) -> Lookup:
    """Of Elastic Load Balancing, by name. A name that is not there is an error of AWS's, so all are listed."""
    return by_name(
        "elbv2",
        call,
        {},
        f"{{item[{arn}]}}",
        item_path=f"{items}[?{arn.removesuffix('Arn')}Name=='{{name}}'] | [0]",
        tags=("describe_tags", {"ResourceArns": [f"{{item[{arn}]}}"]}, "TagDescriptions[0].Tags"),
    )


def _record(aws: Aws, creation: Creation) -> Verdict:
    """A record by its zone, name and type; it bears no tags, and in a zone of ours nobody else writes."""
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
    """A zone by its name and our tags, which are set after it is made: one of the name without tags is named."""
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
        return Unknown(f"{creation.type} `{creation.name}`: of that name there is {candidates}", line)
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
    "aws:ecs/taskDefinition:TaskDefinition": by_tags(
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
    "aws:ec2/vpcEndpointService:VpcEndpointService": by_tags(
        "ec2",
        "describe_vpc_endpoint_service_configurations",
        "ServiceConfigurations",
        "{item[ServiceId]}",
        gone="ServiceState=='Deleted' || ServiceState=='Deleting'",
    ),
}
