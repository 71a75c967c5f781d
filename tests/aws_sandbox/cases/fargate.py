"""Cases of what a gateway on Fargate is made of: ECS and its load balancer."""

from __future__ import annotations

import json
from typing import Any

from tests.aws_sandbox.cases import link
from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.cases.network import NEW_TAGS, TAGS, group, subnet, vpc
from tests.aws_sandbox.driver import World

ROLE = "arn:aws:iam::123456789012:role/"


def containers(image: str = "edge@sha256:1") -> str:
    """One container, as little as a gateway's says."""
    box = {
        "name": "edge",
        "image": image,
        "essential": True,
        "portMappings": [{"containerPort": 8443, "protocol": "tcp"}],
        "environment": [{"name": "EDGE_CONFIG", "value": "mode: gateway\n"}],
        "secrets": [{"name": "EDGE_KEY", "valueFrom": "arn:aws:secretsmanager:x:key::"}],
    }
    return json.dumps([box])


def cluster(world: World) -> Inputs:
    return {
        "name": world.name("gateway"),
        "settings": [{"name": "containerInsights", "value": "enabled"}],
        **TAGS,
    }


def _cluster_behind(world: World, inputs: Inputs) -> str:
    settings: Any = [{"name": "containerInsights", "value": "disabled"}]
    world.boto("ecs").update_cluster(cluster=inputs["arn"], settings=settings)
    return "settings"


def _active(world: World, inputs: Inputs) -> bool:
    listed = world.boto("ecs").describe_clusters(clusters=[inputs["arn"]])["clusters"]
    return any(service["status"] != "INACTIVE" for service in listed)


def task(world: World) -> Inputs:
    return {
        "family": world.name("edge"),
        "containerDefinitions": containers(),
        "cpu": "1024",
        "memory": "2048",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": ROLE + "start",
        "taskRoleArn": ROLE + "task",
        "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
        **TAGS,
    }


def _task_behind(world: World, inputs: Inputs) -> str:
    world.boto("ecs").deregister_task_definition(taskDefinition=inputs["arn"])
    return ""


def _task_left(world: World, inputs: Inputs) -> bool:
    answer = found(lambda: world.boto("ecs").describe_task_definition(taskDefinition=inputs["arn"]))
    return bool(answer and answer["taskDefinition"]["status"] == "ACTIVE")


def balancer(world: World) -> Inputs:
    network, subnets = link.vpc(world)
    return {
        "name": world.name("door"),
        "internal": True,
        "loadBalancerType": "network",
        "securityGroups": [group(world, network)],
        "subnets": subnets,
        "enableCrossZoneLoadBalancing": True,
        "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic": "on",
        **TAGS,
    }


def _other_balancer(world: World, inputs: Inputs) -> Inputs:
    ec2 = world.boto("ec2")
    network = ec2.describe_subnets(SubnetIds=[inputs["subnets"][0]])["Subnets"][0]["VpcId"]
    return {
        **inputs,
        "securityGroups": [group(world, network)],
        "subnets": [inputs["subnets"][0], subnet(world, network, "10.20.3.0/24", "c")],
        "enableCrossZoneLoadBalancing": False,
        "enableDeletionProtection": False,
        **NEW_TAGS,
    }


def _balancer_behind(world: World, inputs: Inputs) -> str:
    attribute: Any = [{"Key": "load_balancing.cross_zone.enabled", "Value": "false"}]
    world.boto("elbv2").modify_load_balancer_attributes(LoadBalancerArn=inputs["arn"], Attributes=attribute)
    return "enableCrossZoneLoadBalancing"


def _listed(operation: str, part: str, key: str) -> Any:
    def left(world: World, inputs: Inputs) -> bool:
        answer = found(lambda: getattr(world.boto("elbv2"), operation)(**{key: [inputs["arn"]]}))
        return bool(answer and answer[part])

    return left


def targets(world: World, network: str | None = None) -> Inputs:
    return {
        "name": world.name("edge"),
        "port": 8443,
        "protocol": "TCP",
        "targetType": "ip",
        "vpcId": network or vpc(world),
        "healthCheck": {
            "protocol": "HTTP",
            "port": "9090",
            "path": "/health",
            "matcher": "200",
            "interval": 10,
            "timeout": 6,
            "healthyThreshold": 2,
            "unhealthyThreshold": 3,
        },
        "preserveClientIp": "false",
        **TAGS,
    }


def _other_targets(world: World, inputs: Inputs) -> Inputs:
    check = {**inputs["healthCheck"], "path": "/ready", "unhealthyThreshold": 2}
    return {
        **inputs,
        "healthCheck": check,
        "deregistrationDelay": 120,
        "preserveClientIp": "true",
        **NEW_TAGS,
    }


def _targets_behind(world: World, inputs: Inputs) -> str:
    attribute: Any = [{"Key": "deregistration_delay.timeout_seconds", "Value": "10"}]
    world.boto("elbv2").modify_target_group_attributes(TargetGroupArn=inputs["arn"], Attributes=attribute)
    return "deregistrationDelay"


def _group_of(world: World, network: str) -> str:
    group = world.boto("elbv2").create_target_group(
        Name=world.name("t"), Protocol="TCP", Port=8443, VpcId=network, TargetType="ip"
    )
    return group["TargetGroups"][0]["TargetGroupArn"]


def balancer_of(world: World, subnets: list[str]) -> str:
    balancer = world.boto("elbv2").create_load_balancer(
        Name=world.name("d"), Type="network", Scheme="internal", Subnets=subnets
    )
    return balancer["LoadBalancers"][0]["LoadBalancerArn"]


def listener(world: World) -> Inputs:
    network, subnets = link.vpc(world)
    return {
        "loadBalancerArn": balancer_of(world, subnets),
        "port": 443,
        "protocol": "TCP",
        "defaultActions": [{"type": "forward", "targetGroupArn": _group_of(world, network)}],
        **TAGS,
    }


def _listener_elsewhere(world: World, inputs: Inputs) -> Inputs:
    return {**inputs, "loadBalancerArn": balancer_of(world, link.vpc(world)[1])}


def _listener_behind(world: World, inputs: Inputs) -> str:
    world.boto("elbv2").modify_listener(ListenerArn=inputs["arn"], Port=8443)
    return "port"


def service(world: World) -> Inputs:
    ecs = world.boto("ecs")
    network, subnets = link.vpc(world)
    target = _group_of(world, network)
    world.boto("elbv2").create_listener(
        LoadBalancerArn=balancer_of(world, subnets),
        Protocol="TCP",
        Port=443,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": target}],
    )
    return {
        "name": world.name("edge"),
        "cluster": ecs.create_cluster(clusterName=world.name("gateway"))["cluster"]["clusterArn"],
        "taskDefinition": _revision(world),
        "desiredCount": 2,
        "launchType": "FARGATE",
        "platformVersion": "1.4.0",
        "networkConfiguration": {
            "subnets": subnets,
            "securityGroups": [group(world, network)],
            "assignPublicIp": False,
        },
        "loadBalancers": [{"targetGroupArn": target, "containerName": "edge", "containerPort": 8443}],
        "propagateTags": "SERVICE",
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        "waitForSteadyState": True,
        **TAGS,
    }


def _revision(world: World) -> str:
    definition = world.boto("ecs").register_task_definition(
        family=world.name("edge"), containerDefinitions=json.loads(containers()), cpu="1024", memory="2048"
    )
    return definition["taskDefinition"]["taskDefinitionArn"]


def _service_behind(world: World, inputs: Inputs) -> str:
    world.boto("ecs").update_service(cluster=inputs["cluster"], service=inputs["arn"], desiredCount=1)
    return "desiredCount"


def _served(world: World, inputs: Inputs) -> bool:
    request = {"cluster": inputs["cluster"], "services": [inputs["arn"]]}
    answer = found(lambda: world.boto("ecs").describe_services(**request))
    return any(service["status"] != "INACTIVE" for service in (answer or {}).get("services", []))


CASES: dict[str, Case] = {
    "aws:ecs/cluster:Cluster": Case(
        make=cluster,
        change=changed(settings=[{"name": "containerInsights", "value": "enhanced"}], **NEW_TAGS),
        replace=lambda world, inputs: {**inputs, "name": world.name("another")},
        behind=_cluster_behind,
        left=_active,
    ),
    "aws:ecs/taskDefinition:TaskDefinition": Case(
        make=task,
        change=changed(**NEW_TAGS),
        replace=changed(containerDefinitions=containers("edge@sha256:2")),
        behind=_task_behind,
        left=_task_left,
    ),
    "aws:ecs/service:Service": Case(
        make=service,
        change=lambda world, inputs: {
            **inputs,
            "desiredCount": 3,
            "taskDefinition": _revision(world),
            "waitForSteadyState": False,
            **NEW_TAGS,
        },
        replace=lambda world, inputs: {**inputs, "name": world.name("another")},
        behind=_service_behind,
        left=_served,
    ),
    "aws:lb/loadBalancer:LoadBalancer": Case(
        make=balancer,
        change=_other_balancer,
        replace=lambda world, inputs: {**inputs, "name": world.name("another")},
        behind=_balancer_behind,
        left=_listed("describe_load_balancers", "LoadBalancers", "LoadBalancerArns"),
    ),
    "aws:lb/targetGroup:TargetGroup": Case(
        make=targets,
        change=_other_targets,
        replace=lambda world, inputs: {
            **inputs,
            "name": world.name("another"),
            "port": 8444,
        },
        behind=_targets_behind,
        left=_listed("describe_target_groups", "TargetGroups", "TargetGroupArns"),
    ),
    "aws:lb/listener:Listener": Case(
        make=listener,
        change=changed(port=444, **NEW_TAGS),
        replace=_listener_elsewhere,
        behind=_listener_behind,
        left=_listed("describe_listeners", "Listeners", "ListenerArns"),
    ),
}
