"""The plan prices the AWS parts that are rendered, no fewer and no more, for every blueprint."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from isthmus import blueprints
from isthmus.contracts.hardware.system_nodes import vcpus as vcpus_of
from isthmus.contracts.plan import document as plans
from isthmus.contracts.requirements import document as wanted
from isthmus.planning.options.fixed_costs import FARGATE_GIB, FARGATE_VCPUS, HOURS_PER_MONTH, FixedCosts
from tests.graders import examples
from tests.graders.examples import Rendering

IN_AWS = ["bank-dev", "bank-overflow", "cloud-managed", "cloud-private", "hosted"]


def resources(rendering: Rendering, kind: str) -> list[dict]:
    """Inputs of all rendered AWS resources of a type, but for those of alarms to operations: overrides alone name whom
    they tell, and the plan does not know overrides.
    """
    documents = [json.loads(path.read_text()) for path in rendering.aws]
    return [
        document["inputs"]
        for document in documents
        if document["type"].split(":")[-1] == kind and ":ServingAlarms$" not in document["urn"]
    ]


def rendered_quantities(rendering: Rendering) -> dict[str, float]:
    """How many of each priced item a rendering has; hourly items count what runs at any time."""
    tasks = {
        document["urn"].split("::")[-1].removesuffix("-task"): document["inputs"]
        for document in map(json.loads, (path.read_text() for path in rendering.aws))
        if document["type"].endswith(":TaskDefinition")
    }
    services = {
        document["urn"].split("::")[-1].removesuffix("-service"): document["inputs"]
        for document in map(json.loads, (path.read_text() for path in rendering.aws))
        if document["type"] == "aws:ecs/service:Service"
    }
    endpoints = [
        resource
        for resource in resources(rendering, "VpcEndpoint")
        if resource["vpcEndpointType"] == "Interface"
    ]
    vcpus = sum(
        service["desiredCount"] * int(tasks[name]["cpu"]) / 1024 for name, service in services.items()
    )
    gib = sum(
        service["desiredCount"] * int(tasks[name]["memory"]) / 1024 for name, service in services.items()
    )
    system_groups = [
        json.loads(path.read_text())["inputs"] for path in rendering.aws if "-eks-system-" in path.name
    ]
    nodes = sum(group["scalingConfig"]["desiredSize"] for group in system_groups if "scalingConfig" in group)
    (kind,) = {group["instanceType"] for group in system_groups if "instanceType" in group} or {"m7i.xlarge"}
    return {
        "interface-endpoint": sum(len(endpoint["subnetIds"]) for endpoint in endpoints),
        "kms-key": len(resources(rendering, "Key")),
        "alarm": len(resources(rendering, "MetricAlarm")),
        "transit-gateway-attachment": len(resources(rendering, "VpcAttachment"))
        + len(resources(rendering, "VpnConnection")),
        "vpn-connection": len(resources(rendering, "VpnConnection")),
        # The outbound half is there for zones that an organisation's overrides name.
        "resolver-address": sum(
            len(endpoint["ipAddresses"])
            for endpoint in resources(rendering, "ResolverEndpoint")
            if endpoint["direction"] == "INBOUND"
        ),
        "load-balancer": len(resources(rendering, "LoadBalancer")),
        "private-zone": len(resources(rendering, "Zone")),
        "fargate-vcpu": vcpus,
        "fargate-gib": gib,
        "eks-cluster": len(
            [resource for resource in resources(rendering, "Cluster") if "roleArn" in resource]
        ),
        "m7i.xlarge": nodes * (vcpus_of(kind) or 0) / 4,
    }


def planned_quantities(rendering: Rendering) -> dict[str, float]:
    """How many of each item the plan pays for."""
    stacks = rendering.folder.parent / ".project" / "stacks"
    plan = plans.load(stacks / f"{rendering.name}.plan.yaml")
    requirements = wanted.load(stacks / f"{rendering.name}.requirements.yaml")
    fixed = FixedCosts(requirements, blueprints.show(plan.blueprint).header.builds)
    endpoints = {endpoint.id: endpoint for endpoint in plan.endpoints}
    places = [
        fixed.placed(placement.sensitivity, endpoint.site, endpoint.target)
        for placement in plan.placements
        for endpoint in [endpoints[placement.endpoint]]
    ]
    quantities: defaultdict[str, float] = defaultdict(float)
    for part in fixed.parts():
        if any(fixed.applies(part.scope, place) for place in places):
            hourly = part.unit == "hours"
            quantities[part.item] += part.quantity / (HOURS_PER_MONTH if hourly else 1)
    return quantities


@pytest.mark.parametrize("name", IN_AWS)
def test_the_plan_prices_each_aws_part_that_is_rendered(rendered: dict[str, Rendering], name: str) -> None:
    built = rendered_quantities(rendered[name])
    priced = planned_quantities(rendered[name])
    assert sum(built.values()) > 5, "nothing was counted"
    assert {item: round(priced[item], 6) for item in built} == built


def test_every_blueprint_with_aws_resources_is_compared(rendered: dict[str, Rendering]) -> None:
    assert {name for name in examples.names() if rendered[name].aws} == set(IN_AWS)


def test_a_fargate_task_is_priced_at_the_size_that_the_platform_gives_it(
    rendered: dict[str, Rendering],
) -> None:
    gateway = rendered["cloud-managed"].platform["gateways"][0]
    assert (gateway["fargate"]["cpu"] / 1024, gateway["fargate"]["memory"] / 1024) == (
        FARGATE_VCPUS,
        FARGATE_GIB,
    )
