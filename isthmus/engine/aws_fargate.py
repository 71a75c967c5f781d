"""How the types of a gateway on Fargate are looked for after a creation that was cut off (as `aws_ways`)."""

from __future__ import annotations

from isthmus.engine.aws_account import Aws
from isthmus.engine.aws_lookup import Way, child, named, tagged
from isthmus.engine.pending import Creation, Verdict


def _balancing(call: str, items: str, arn: str) -> Way:
    """Of Elastic Load Balancing, by name. A name that is not there is an error of AWS's, so all are listed."""
    return named(
        "elbv2",
        call,
        {},
        f"{{found[{arn}]}}",
        found=f"{items}[?{arn.removesuffix('Arn')}Name=='{{name}}'] | [0]",
        tags=("describe_tags", {"ResourceArns": [f"{{found[{arn}]}}"]}, "TagDescriptions[0].Tags"),
    )


def _record(aws: Aws, creation: Creation) -> Verdict:
    """A record by its zone, name and type; it bears no tags, and in a zone of ours nobody else writes."""
    way = child(
        "route53",
        "list_resource_record_sets",
        {"HostedZoneId": "{zoneId}"},
        "ResourceRecordSets[?(Name=='{name}' || Name=='{name}.') && Type=='{type}']",
        "{zoneId}_{name}_{type}",
    )
    return way(aws, creation)


def _service(aws: Aws, creation: Creation) -> Verdict:
    way = named(
        "ecs",
        "describe_services",
        {"cluster": "{cluster}", "services": ["{name}"], "include": ["TAGS"]},
        "{found[serviceArn]}",
        found="services[?status!='INACTIVE'] | [0]",
        tags="tags",
    )
    return way(aws, creation)


_ZONE = {"ResourceType": "hostedzone", "ResourceId": "{found[Id]}"}

FARGATE: dict[str, Way] = {
    "aws:ecs/cluster:Cluster": named(
        "ecs",
        "describe_clusters",
        {"clusters": ["{name}"], "include": ["TAGS"]},
        "{found[clusterArn]}",
        found="clusters[?status!='INACTIVE'] | [0]",
        tags="tags",
    ),
    "aws:ecs/taskDefinition:TaskDefinition": tagged(
        "ecs",
        "list_task_definitions",
        "taskDefinitionArns",
        "{found[_]}",
        params={"familyPrefix": "{family}"},
        tags=("describe_task_definition", {"taskDefinition": "{found[_]}", "include": ["TAGS"]}, "tags"),
        more=("describe_task_definition", {"taskDefinition": "{found[_]}"}, "taskDefinition"),
        created="registeredAt",
    ),
    "aws:ecs/service:Service": _service,
    "aws:lb/loadBalancer:LoadBalancer": _balancing(
        "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"
    ),
    "aws:lb/targetGroup:TargetGroup": _balancing("describe_target_groups", "TargetGroups", "TargetGroupArn"),
    "aws:lb/listener:Listener": child(
        "elbv2",
        "describe_listeners",
        {"LoadBalancerArn": "{loadBalancerArn}"},
        "Listeners[?Port==`{port}`]",
        "{found[ListenerArn]}",
    ),
    "aws:route53/zone:Zone": tagged(
        "route53",
        "list_hosted_zones_by_name",
        "HostedZones",
        "{found[ResourceId]}",
        params={"DNSName": "{name}"},
        tags=("list_tags_for_resource", _ZONE, "ResourceTagSet.Tags"),
        more=("list_tags_for_resource", _ZONE, "ResourceTagSet"),
    ),
    "aws:route53/record:Record": _record,
    "aws:ec2/vpcEndpointService:VpcEndpointService": tagged(
        "ec2",
        "describe_vpc_endpoint_service_configurations",
        "ServiceConfigurations",
        "{found[ServiceId]}",
        gone="ServiceState=='Deleted' || ServiceState=='Deleting'",
    ),
}
