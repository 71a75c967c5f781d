"""Faults in a rendered gateway on Fargate, one at a time: the rules find each."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.render import rendering
from isthmus.graph.resources.resources import Graph
from isthmus.reports.stack import network_diagram
from policies.data_path import own_settings, pod_contents, task_contents
from policies.data_path import redaction as redaction_rules
from policies.rules.rule import Subject
from tests.broken_graphs import resources as broken_resources
from tests.broken_graphs.changes import Change, document, finds
from tests.components.fargate import used_by_people
from tests.policies import holding
from tests.recording import record

pytestmark = pytest.mark.whole

EDGE, TRANSLATOR = "gateway-edge", "gateway-translator"


@functools.cache
def platform() -> Platform:
    data = used_by_people()
    data["gateways"][0]["fargate"]["principals"] = ["arn:aws:iam::222233334444:root"]
    return CheckedPlatform.model_validate(data)


@functools.cache
def rendered() -> rendering.Rendered:
    return record(platform())


def altered(kind: str, name: str, how: Change) -> Graph:
    return broken_resources.altered(rendered().resources, kind, name, how)


def box(**changes: Any) -> Change:
    """Changes the only container of a task definition; None removes a key."""

    def change(inputs: dict[str, Any]) -> None:
        (container,) = json.loads(inputs["containerDefinitions"])
        for key, value in changes.items():
            container.pop(key, None)
            if value is not None:
                container[key] = value
        inputs["containerDefinitions"] = json.dumps([container])

    return change


def replace_text(old: str, new: str) -> Change:
    """Changes the text of a task's containers."""

    def change(inputs: dict[str, Any]) -> None:
        assert old in inputs["containerDefinitions"]
        inputs["containerDefinitions"] = inputs["containerDefinitions"].replace(old, new)

    return change


def test_the_rendered_fargate_gateway_has_no_findings():
    assert holding.all_of(Graph(rendered().resources), platform()) == []


TASK, RULE = ":TaskDefinition", ":SecurityGroupIngressRule"
BROKEN: dict[str, tuple[str, str, Change, str]] = {
    "a root that can be written": (
        TASK,
        f"{EDGE}-task",
        box(readonlyRootFilesystem=False),
        "may write to the root",
    ),
    "root as the user": (TASK, f"{EDGE}-task", box(user="0:0"), "runs edge as root"),
    "no user": (TASK, f"{EDGE}-task", box(user=None), "runs edge as root"),
    "capabilities kept": (TASK, f"{EDGE}-task", box(linuxParameters=None), "runs edge with capabilities"),
    "a privileged container": (TASK, f"{EDGE}-task", box(privileged=True), "runs edge with capabilities"),
    "an image by tag": (TASK, f"{EDGE}-task", box(image="edge:latest"), "from an image that can change"),
    "an access key": (
        TASK,
        f"{EDGE}-task",
        box(environment=[{"name": "AWS_ACCESS_KEY_ID", "value": "x"}]),
        "sets AWS_ACCESS_KEY_ID in edge",
    ),
    "an identity for the edge": (
        TASK,
        f"{EDGE}-task",
        lambda inputs: inputs.update(taskRoleArn="arn:aws:iam::1:role/x"),
        "faces callers and has an AWS identity",
    ),
    "another's identity for the translator": (
        TASK,
        f"{TRANSLATOR}-task",
        lambda inputs: inputs.update(taskRoleArn="arn:aws:iam::1:role/x"),
        "does not let insurer-frankfurt-internal-gateway-translator-task call",
    ),
    "no identity for the translator": (
        TASK,
        f"{TRANSLATOR}-task",
        lambda inputs: inputs.pop("taskRoleArn"),
        "has no AWS identity",
    ),
    "Bedrock's public name": (
        TASK,
        f"{TRANSLATOR}-task",
        replace_text("https://vpce-", "https://else-"),
        "calls internal-haiku--claims at https://else-",
    ),
    "another class": (
        TASK,
        f"{TRANSLATOR}-task",
        replace_text("class: internal", "class: public"),
        "is told that it is public",
    ),
    "public addresses": (
        ":Service",
        f"{EDGE}-service",
        lambda inputs: inputs["networkConfiguration"].update(assignPublicIp=True),
        "has public addresses",
    ),
    "no security group": (
        ":Service",
        f"{EDGE}-service",
        lambda inputs: inputs["networkConfiguration"].update(securityGroups=[]),
        "has no security group of its own",
    ),
    "a load balancer on the internet": (
        ":LoadBalancer",
        "-door",
        lambda inputs: inputs.update(internal=False),
        "can be reached from the internet",
    ),
    "a load balancer for everybody": (
        ":LoadBalancer",
        "-door",
        lambda inputs: inputs.update(securityGroups=[]),
        "so AWS lets everybody in",
    ),
    "a client whom nobody named": (
        RULE,
        "door-in-10-20-0-0-16",
        lambda inputs: inputs.update(cidrIpv4="10.0.0.0/8"),
        "lets 10.0.0.0/8 in",
    ),
    "an edge past its load balancer": (
        RULE,
        "edge-in-requests",
        lambda inputs: (inputs.pop("referencedSecurityGroupId"), inputs.update(cidrIpv4="10.20.0.0/16")),
        "edge-service lets 10.20.0.0/16 in",
    ),
    "a way out to addresses": (
        ":SecurityGroupEgressRule",
        "translator-out-endpoints",
        lambda inputs: (inputs.pop("referencedSecurityGroupId"), inputs.update(cidrIpv4="0.0.0.0/0")),
        "translator-service reaches 0.0.0.0/0",
    ),
    "a way out to another's prefix list": (
        ":SecurityGroupEgressRule",
        "edge-out-s3",
        lambda inputs: inputs.update(prefixListId="pl-other"),
        "edge-service reaches pl-other",
    ),
    "an account whom nobody named": (
        ":VpcEndpointService",
        "-link",
        lambda inputs: inputs.update(allowedPrincipals=["*"]),
        "lets * make endpoints",
    ),
    "a profile that routes anywhere": (
        TASK,
        f"{TRANSLATOR}-task",
        replace_text("inference_profile: eu.", "inference_profile: global."),
        "routes to every commercial region",
    ),
    "a translator whose port nobody listens at": (
        "lb/listener:Listener",
        "translator-listener",
        lambda inputs: inputs.update(port=9),
        "nobody is known to answer as insurer-frankfurt-internal-gateway-door",
    ),
    "secrets for anybody": (
        ":VpcEndpoint",
        "endpoints-secretsmanager",
        document(lambda statements: statements[0].pop("Condition")),
        "lets anybody in",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_every_fault_of_a_fargate_gateway_is_found(name: str):
    kind, of, how, says = BROKEN[name]
    finds(holding.all_of(altered(kind, of, how), platform()), says)


def test_a_fargate_model_without_its_guardrail_is_found():
    def messages_of(graph: Graph) -> list[str]:
        (rule,) = [
            rule for rule in redaction_rules.RULES if rule.id == "data-path/redacts-secrets-in-answers"
        ]
        return [violation.message for violation in rule.check(Subject(graph, platform()))]

    assert messages_of(Graph(rendered().resources)) == []
    (message,) = messages_of(altered(TASK, f"{TRANSLATOR}-task", replace_text("guardrail:", "was:")))
    edge = "insurer-frankfurt-internal-gateway-edge-task"
    assert message == f"{edge} does not scan answers of claims for secrets: it uses no guardrail"


def test_the_network_diagram_shows_which_part_reaches_which():
    drawn = network_diagram.draw_network(Graph(rendered().resources), platform())
    door, edge = "insurer_frankfurt_internal_gateway_door", "insurer_frankfurt_internal_gateway_edge_service"
    assert f'10_20_0_0_16 -->|"443"| {door}' in drawn
    assert f'{door} -->|"8443"| {edge}' in drawn
    assert f'{edge} -->|"8444"| {door}' in drawn
    assert "edge: 2 tasks on Fargate" in drawn
    assert drawn == network_diagram.draw_network(Graph(reversed(rendered().resources)), platform())


def _task(**changes: Any) -> Change:
    return lambda inputs: inputs.update(changes)


OTHER_CONTENTS: dict[str, Change] = {
    "container": box(name="other"),
    "field": box(extraHosts=[{"hostname": "db", "ipAddress": "10.9.9.9"}]),
    "command": box(entryPoint=["sh", "-c", "cat"]),
    "arguments": box(command=["--config", "/tmp/other.yaml"]),
    "variable": box(environment=[{"name": "HTTPS_PROXY", "value": "http://10.9.9.9"}]),
    "secret": box(
        secrets=[{"name": "EDGE_CALLERS", "valueFrom": "arn:aws:secretsmanager:eu-central-1:1:secret:evil"}]
    ),
    "keys of another sign-on": replace_text("llm/sign-on-a1B2c3", "llm/another-a1B2c3"),
    "unknown-secret": box(secrets=[{"name": "EDGE_CALLERS", "valueFrom": "${other.arn}"}]),
    "log": box(logConfiguration={"logDriver": "splunk", "options": {}}),
    "health": box(healthCheck={"command": ["CMD-SHELL", "cat"]}),
    "unreadable": _task(containerDefinitions="["),
    "proxy": _task(proxyConfiguration={"containerName": "edge"}),
    "share": _task(
        volumes=[{"name": "x", "efsVolumeConfiguration": {"fileSystemId": "fs-0123456789abcdef0"}}]
    ),
    "folder": _task(volumes=[{"name": "x", "hostPath": "/var"}]),
}


@pytest.mark.parametrize("row", OTHER_CONTENTS, ids=list(OTHER_CONTENTS))
def test_what_isthmus_never_makes_in_a_classs_own_task_is_undecided(row: str):
    graph = altered("aws:ecs/taskDefinition:TaskDefinition", "gateway-edge-task", OTHER_CONTENTS[row])
    [rule] = pod_contents.RULES
    assert {violation.verdict for violation in rule.check(Subject(graph, platform()))} == {"undecided"}


def test_the_own_tasks_of_a_gateway_on_fargate_contain_what_isthmus_makes():
    graph = Graph(rendered().resources)
    assert len(list(task_contents.own_tasks(Subject(graph)))) > 1
    assert list(pod_contents.RULES[0].check(Subject(graph, platform()))) == []


def test_settings_of_a_task_that_the_platform_does_not_state_are_critical():
    extra = "traces: [{endpoint: https://10.9.9.9:4318}]"

    def change(inputs: dict[str, Any]) -> None:
        (container,) = json.loads(inputs["containerDefinitions"])
        for variable in container["environment"]:
            if variable["name"] == "EDGE_CONFIG":
                variable["value"] += extra + "\n"
        inputs["containerDefinitions"] = json.dumps([container])

    graph = altered("aws:ecs/taskDefinition:TaskDefinition", "gateway-edge-task", change)
    found = list(own_settings.RULES[0].check(Subject(graph, platform())))
    assert [violation.verdict for violation in found] == ["violated"]
    assert list(own_settings.RULES[0].check(Subject(Graph(rendered().resources), platform()))) == []


def test_people_whom_the_platform_does_not_state_are_critical():
    graph = altered(
        "aws:ecs/taskDefinition:TaskDefinition", "gateway-edge-task", replace_text("- clerks", "- everybody")
    )
    [violation] = own_settings.RULES[0].check(Subject(graph, platform()))
    assert "accepts access tokens with workloads, which the platform does not state" in violation.message
