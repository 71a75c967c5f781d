"""How the types of a gateway on Fargate are looked for after a creation that was cut off (as `aws_ways`)."""

from __future__ import annotations

from isthmus.engine.project.aws_account import Aws
from isthmus.engine.recovery.aws.lookup import RESOURCE_TAG, STACK_TAG, Way, child, named, plain, tagged
from isthmus.engine.state.interrupted_creations import Creation, Made, NotMade, Unknown, Verdict


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


def _zone(aws: Aws, creation: Creation) -> Verdict:
    """A zone by its name and our tags, which are set after it is made: one of the name without tags is named."""
    asked = {"DNSName": str(creation.inputs.get("name", ""))}
    ours, bare = [], []
    for zone in aws.ask("route53", "list_hosted_zones_by_name", **asked).get("HostedZones", []):
        id = zone["Id"].rpartition("/")[2]
        if zone["Name"].rstrip(".") != asked["DNSName"].rstrip(".") or (creation.type, id) in aws.known:
            continue
        of = {"ResourceType": "hostedzone", "ResourceId": id}
        tags = plain(aws.ask("route53", "list_tags_for_resource", **of).get("ResourceTagSet", {}).get("Tags"))
        if tags.get(STACK_TAG) == aws.stack and tags.get(RESOURCE_TAG) == creation.name:
            ours.append(id)
        elif not tags.get(STACK_TAG):
            bare.append(id)
    if len(ours) == 1 and not bare:
        return Made(ours[0])
    if ours or bare:
        may = ", ".join([*ours, *bare])
        line = aws.line("route53", "list_hosted_zones_by_name", **asked)
        return Unknown(f"{creation.type} `{creation.name}`: of that name there is {may}", line)
    return NotMade()


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
    "aws:lb/listener:Listener": named(
        "elbv2",
        "describe_listeners",
        {"LoadBalancerArn": "{loadBalancerArn}"},
        "{found[ListenerArn]}",
        name="loadBalancerArn",
        found="Listeners[?Port==`{port}`] | [0]",
        tags=("describe_tags", {"ResourceArns": ["{found[ListenerArn]}"]}, "TagDescriptions[0].Tags"),
    ),
    "aws:route53/zone:Zone": _zone,
    "aws:route53/record:Record": _record,
    "aws:ec2/vpcEndpointService:VpcEndpointService": tagged(
        "ec2",
        "describe_vpc_endpoint_service_configurations",
        "ServiceConfigurations",
        "{found[ServiceId]}",
        gone="ServiceState=='Deleted' || ServiceState=='Deleting'",
    ),
}
