"""Harmless changes of AWS resources and of the graph itself: the policies must not report them."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace
from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.parts import POLICY, TASKS, TRUST
from tests.broken_graphs.resources import beside, copied
from tests.mutation.shapes import HARMLESS, Context, Family

FAMILY = Family(HARMLESS)
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
SERVICE = "aws:ecs/service:Service"
TAGGED = (":Key", ":Role", ":Bucket", ":Vpc", ":LogGroup", ":Topic", ":Model", "ecs/service:Service")


@FAMILY.changes(*TAGGED, where=lambda inputs, _: "tags" in inputs)
def resource_tagged(inputs: Any, context: Context) -> None:
    """An AWS resource bears one more tag."""
    inputs["tags"]["cost-centre"] = "4711"


@FAMILY.redoes("aws:ec2/vpc:Vpc")
def everything_tagged(inputs: Any, context: Context) -> list[Resource]:
    """Every AWS resource that bears tags bears one more."""
    return [
        replace(
            resource,
            inputs={**resource.inputs, "tags": {**resource.inputs["tags"], "environment": "production"}},
        )
        if isinstance(resource.inputs.get("tags"), dict)
        else resource
        for resource in context.resources
    ]


@FAMILY.adds("aws:kms/key:Key")
def key_with_an_alias(inputs: Any, context: Context) -> list[Resource]:
    """A key has an alias."""
    name = f"{context.resource.name}-alias"
    alias = {"name": f"alias/{name}", "targetKeyId": f"${{{context.resource.name}.id}}"}
    return [beside(context.resource, "aws:kms/alias:Alias", name, alias)]


@FAMILY.changes("aws:kms/key:Key", where=lambda inputs, _: inputs.get("enableKeyRotation"))
def key_rotated_more_often(inputs: Any, context: Context) -> None:
    """A key is rotated twice a year."""
    inputs["rotationPeriodInDays"] = 180


@FAMILY.changes("aws:kms/key:Key", "aws:iam/role:Role", "aws:cloudwatch/eventRule:EventRule", INGRESS)
def described_in_other_words(inputs: Any, context: Context) -> None:
    """A key, role or rule is described in other words."""
    inputs["description"] = "See the runbook"


@FAMILY.changes("aws:cloudwatch/logGroup:LogGroup")
def log_kept_longer(inputs: Any, context: Context) -> None:
    """A log is kept for two years."""
    inputs["retentionInDays"] = 731


@FAMILY.changes("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
def records_stay_longer(inputs: Any, context: Context) -> None:
    """Records stay for another year after their lock has ended."""
    for rule in inputs["rules"]:
        if "expiration" in rule and "days" in rule["expiration"]:
            rule["expiration"]["days"] += 365


@FAMILY.changes("aws:cloudtrail/trail:Trail")
def trail_of_a_bucket_as_well(inputs: Any, context: Context) -> None:
    """The trail also records who opens the objects of buckets."""
    fields = {"eventCategory": "Data", "resources.type": "AWS::S3::Object"}
    selectors = [{"field": field, "equals": [value]} for field, value in fields.items()]
    inputs["advancedEventSelectors"].append({"name": "Objects", "fieldSelectors": selectors})


@FAMILY.changes("aws:cloudtrail/trail:Trail")
def trail_in_another_order(inputs: Any, context: Context) -> None:
    """What the trail records is listed in another order."""
    inputs["advancedEventSelectors"].reverse()


@FAMILY.changes("aws:budgets/budget:Budget")
def budget_that_warns_earlier(inputs: Any, context: Context) -> None:
    """A budget also warns at half."""
    inputs["notifications"].append({**inputs["notifications"][0], "threshold": 50})


@FAMILY.changes(ROLE_POLICY, lens=POLICY, where=lambda statements, _: len(statements) > 1)
def statements_in_another_order(statements: Any, context: Context) -> None:
    """The statements of a role's policy stand in another order."""
    statements.reverse()


@FAMILY.changes(ENDPOINT, lens=POLICY)
def resources_of_a_statement_in_another_order(statements: Any, context: Context) -> None:
    """What the policy of a private endpoint lets be used is listed in another order."""
    for statement in statements:
        for key in ("Action", "Resource"):
            statement[key] = (
                list(reversed(statement[key])) if isinstance(statement[key], list) else statement[key]
            )
        statement["Sid"] = f"Let{statement.get('Sid', '')}"


@FAMILY.changes(
    ROLE_POLICY,
    lens=POLICY,
    where=lambda statements, _: any(
        isinstance(statement["Action"], list) and len(statement["Action"]) == 1 for statement in statements
    ),
)
def one_action_without_a_list(statements: Any, context: Context) -> None:
    """A policy writes a single action as itself, not as a list of one."""
    for statement in statements:
        if isinstance(statement["Action"], list) and len(statement["Action"]) == 1:
            (statement["Action"],) = statement["Action"]


@FAMILY.changes(ROLE_POLICY, ENDPOINT, "aws:iam/policy:Policy", where=lambda inputs, _: "policy" in inputs)
def policy_written_over_several_lines(inputs: Any, context: Context) -> None:
    """A policy's text is indented."""
    inputs["policy"] = json.dumps(json.loads(inputs["policy"]), indent=2)


@FAMILY.changes("aws:iam/role:Role", lens=TRUST)
def trust_with_a_name(statements: Any, context: Context) -> None:
    """The statement of a role's trust bears another name."""
    statements[0]["Sid"] = "Trusted"


@FAMILY.changes(
    "aws:iam/role:Role",
    lens=TRUST,
    where=lambda statements, _: "StringEquals" in statements[0].get("Condition", {}),
)
def trust_in_a_list_of_one(statements: Any, context: Context) -> None:
    """The condition of a role's trust lists its one value."""
    equal = statements[0]["Condition"]["StringEquals"]
    for key, value in equal.items():
        equal[key] = [value] if isinstance(value, str) else value


@FAMILY.changes(ROLE_POLICY, lens=POLICY)
def role_with_one_more_denial(statements: Any, context: Context) -> None:
    """A role is also denied whatever comes without TLS."""
    plain = {"Bool": {"aws:SecureTransport": "false"}}
    statements.append({"Sid": "Tls", "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": plain})


@FAMILY.changes("aws:ec2/subnet:Subnet")
def subnet_elsewhere_in_the_network(inputs: Any, context: Context) -> None:
    """A subnet has other addresses of the network's."""
    inputs["cidrBlock"] = free(context)


@FAMILY.adds("aws:ec2/subnet:Subnet")
def subnet_in_a_third_zone(inputs: Any, context: Context) -> list[Resource]:
    """The network has a private subnet in one more zone."""
    zone = f"{inputs['availabilityZone'][:-1]}c"
    more = {**inputs, "availabilityZone": zone, "cidrBlock": free(context)}
    return [copied(context.resource, f"{context.resource.name[:-1]}c", more)]


def free(context: Context) -> str:
    """Addresses of the network that no subnet has."""
    vpc = ipaddress.ip_network(context.of("aws:ec2/vpc:Vpc")[0].inputs["cidrBlock"])
    size = ipaddress.ip_network(context.resource.inputs["cidrBlock"]).prefixlen
    return str(list(vpc.subnets(new_prefix=size))[-1])


@FAMILY.changes(INGRESS, where=lambda inputs, _: str(inputs.get("cidrIpv4", "")).endswith("/16"))
def group_that_lets_half_the_site_in(inputs: Any, context: Context) -> None:
    """A security group takes connections of a part of the network that it took all of."""
    inputs["cidrIpv4"] = inputs["cidrIpv4"].replace("/16", "/17")


@FAMILY.adds(INGRESS, where=lambda inputs, _: str(inputs.get("cidrIpv4", "")).endswith("/16"))
def group_that_says_it_twice(inputs: Any, context: Context) -> list[Resource]:
    """A security group has a further rule for addresses that it lets in already."""
    more = {**inputs, "cidrIpv4": inputs["cidrIpv4"].replace("/16", "/24")}
    return [copied(context.resource, f"{context.resource.name}-more", more)]


@FAMILY.changes("aws:cloudwatch/metricAlarm:MetricAlarm", where=lambda inputs, _: inputs["period"] == 300)
def alarm_that_looks_more_often(inputs: Any, context: Context) -> None:
    """An alarm looks at its figure every minute."""
    inputs["period"] = 60


@FAMILY.changes("aws:sagemaker/endpointConfiguration:EndpointConfiguration")
def hosted_model_on_one_more_machine(inputs: Any, context: Context) -> None:
    """A model on SageMaker runs on one machine more."""
    inputs["productionVariants"][0]["initialInstanceCount"] += 1


@FAMILY.changes("aws:sagemaker/endpoint:Endpoint")
def release_with_a_smaller_canary(inputs: Any, context: Context) -> None:
    """A new release on SageMaker first gets a tenth of the requests."""
    policy = inputs["deploymentConfig"]["blueGreenUpdatePolicy"]
    policy["trafficRoutingConfiguration"]["canarySize"]["value"] = 10


@FAMILY.changes(SERVICE)
def one_more_task(inputs: Any, context: Context) -> None:
    """A gateway on Fargate has one task more."""
    inputs["desiredCount"] += 1


@FAMILY.changes("aws:ecs/taskDefinition:TaskDefinition")
def task_with_more_room(inputs: Any, context: Context) -> None:
    """A gateway's task has twice the processor and memory."""
    inputs.update(cpu="2048", memory="4096")


@FAMILY.changes("aws:ecs/taskDefinition:TaskDefinition", lens=TASKS)
def task_with_a_setting(container: Any, context: Context) -> None:
    """A container of a task has a variable more, which is no secret."""
    container["environment"] = [*container.get("environment", []), {"name": "LOG_LEVEL", "value": "info"}]


@FAMILY.changes("aws:lb/loadBalancer:LoadBalancer")
def door_that_nobody_deletes_by_mistake(inputs: Any, context: Context) -> None:
    """The load balancer before a gateway is protected from deletion."""
    inputs["enableDeletionProtection"] = True


@FAMILY.changes("aws:ec2/launchTemplate:LaunchTemplate")
def machines_with_a_larger_disk(inputs: Any, context: Context) -> None:
    """Machines have a larger disk."""
    for mapping in inputs["blockDeviceMappings"]:
        mapping["ebs"]["volumeSize"] += 50


@FAMILY.changes("aws:eks/nodeGroup:NodeGroup")
def machines_labelled(inputs: Any, context: Context) -> None:
    """Machines bear one more label."""
    inputs["labels"] = {**inputs.get("labels", {}), "cost-centre": "4711"}


@FAMILY.adds("aws:s3/bucket:Bucket")
def parameter_of_their_own(inputs: Any, context: Context) -> list[Resource]:
    """The organisation keeps the address of its runbook in a parameter."""
    inputs_made = {
        "name": "/runbooks/llm",
        "type": "String",
        "value": "https://wiki.bank.example",
        "tags": inputs["tags"],
    }
    return [beside(context.resource, "aws:ssm/parameter:Parameter", "runbooks-llm", inputs_made)]


@FAMILY.redoes(
    "aws:cloudwatch/logGroup:LogGroup",
    "aws:ec2/securityGroup:SecurityGroup",
    "aws:kms/key:Key",
    "aws:ec2/vpc:Vpc",
)
def resource_of_another_name(inputs: Any, context: Context) -> list[Resource]:
    """A resource bears another name in the program, and whatever refers to it says so."""
    old_name, own_urn = context.resource.name, context.resource.urn
    new, urn = f"{old_name}-b", f"{own_urn}-b"
    copies = []
    for resource in context.resources:
        text = json.dumps(resource.inputs).replace(f"${{{old_name}.", f"${{{new}.")
        now = replace(
            resource,
            inputs=json.loads(text),
            dependencies=sorted(
                urn if dependency == own_urn else dependency for dependency in resource.dependencies
            ),
            property_dependencies={
                key: sorted(urn if dependency == own_urn else dependency for dependency in urns)
                for key, urns in resource.property_dependencies.items()
            },
        )
        if resource.urn == own_urn:
            tags = {**now.inputs["tags"], "isthmus-resource": new}
            now = replace(now, name=new, urn=urn, inputs={**now.inputs, "tags": tags})
        copies.append(now)
    return sorted(copies, key=lambda resource: resource.urn)


@FAMILY.redoes(":Bucket", ":Namespace")
def graph_in_another_order(inputs: Any, context: Context) -> list[Resource]:
    """The resources come in another order, as they do in every run of an engine."""
    copies = list(context.resources)
    context.rng.shuffle(copies)
    return copies


@FAMILY.redoes(":Bucket", ":Key", ":Deployment")
def resource_that_is_protected(inputs: Any, context: Context) -> list[Resource]:
    """A resource is protected from deletion by Pulumi."""
    original = context.resource
    protected = replace(original, options={**original.options, "protect": True})
    return [protected if resource.urn == original.urn else resource for resource in context.resources]


@FAMILY.redoes(":Deployment", ":Trail", ":Service")
def resource_that_waits_for_another(inputs: Any, context: Context) -> list[Resource]:
    """A resource is made only after one that it has nothing to do with."""
    original = context.resource
    first = next(
        resource
        for resource in context.resources
        if resource.made and resource.urn not in (original.urn, *original.dependencies)
    )
    late = replace(original, dependencies=sorted([*original.dependencies, first.urn]))
    return [late if resource.urn == original.urn else resource for resource in context.resources]
