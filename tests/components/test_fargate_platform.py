"""The whole platform where there is no cluster: what it makes, what it does not, and who may call what."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest
from pulumi_aws import Provider

from components import LlmPlatform
from isthmus.contracts.platform.checked import CheckedPlatform
from tests.components.conftest import Engine
from tests.components.fargate import HOST, cloud, secret, used_by_people

NAME = "insurer-frankfurt-internal-gateway"


@pytest.fixture
def built(engine: Engine) -> Engine:
    def program() -> Any:
        providers: dict[str, pulumi.ProviderResource] = {
            "frankfurt": Provider("frankfurt", region="eu-central-1")
        }
        return LlmPlatform("insurer", CheckedPlatform.model_validate(cloud()), providers)

    engine.run(program)
    return engine


def statements(engine: Engine, service: str) -> list[dict[str, Any]]:
    endpoint = engine.only("VpcEndpoint", f"insurer-frankfurt-endpoints-{service}")
    return json.loads(endpoint.inputs["policy"])["Statement"]


def principals(statement: dict[str, Any]) -> list[str]:
    return statement["Condition"]["ArnEquals"]["aws:PrincipalArn"]


def test_nothing_of_kubernetes_and_no_certificate_of_an_identity_is_made(built: Engine):
    assert not [resource.type for resource in built.made if resource.type.startswith("kubernetes:")]
    assert not [resource.type for resource in built.made if "rolesanywhere" in resource.type]


def test_the_outputs_hold_name_address_and_service_of_the_gateway(built: Engine):
    (gateway,) = built.outputs["gateways"]
    assert (gateway["class"], gateway["site"]) == ("internal", "frankfurt")
    assert gateway["address"] == f"https://{HOST}"
    cluster, service = gateway["service"].split("/")
    assert cluster.startswith("insurer-frankfurt-internal-gateway-")
    assert service.startswith("insurer-frankfurt-internal-gateway-edge-")


def test_each_private_endpoint_lets_in_the_role_that_needs_it(built: Engine):
    tasks = ("edge", "sealer", "translator")
    start = {task: f"arn:aws:iam/role:::{NAME}-tasks-{task}-start-role" for task in tasks}
    identity = "arn:aws:iam/role:::insurer-internal-frankfurt-identity-role"
    (calls,) = statements(built, "bedrock-runtime")
    assert principals(calls) == [identity]
    for statement in statements(built, "secretsmanager"):
        (role,) = principals(statement)
        secrets = [arn.rpartition(":")[2] for arn in statement["Resource"]]
        secrets_of_task = {
            "edge": ("internal-gateway-tls", "internal-callers", "internal-audit"),
            "sealer": ("internal-sealer",),
            "translator": ("internal-translator-tls",),
        }
        task = next(name for name, arn in start.items() if arn == role)
        assert secrets == [f"llm/{secret}-a1B2c3" for secret in secrets_of_task[task]]
    login, *pulls = statements(built, "ecr-api")
    assert (login["Action"], sorted(principals(login))) == (
        ["ecr:GetAuthorizationToken"],
        sorted(start.values()),
    )
    assert {(principals(pull)[0], pull["Resource"][0].rpartition("/")[2]) for pull in pulls} == {
        (start["edge"], "edge"),
        (start["sealer"], "translator"),
        (start["translator"], "translator"),
    }
    assert not [
        statement
        for service in ("logs", "ecr-dkr")
        for statement in statements(built, service)
        if identity in principals(statement)
    ]


def test_people_come_by_token_and_only_the_edges_task_gets_the_keys_of_their_sign_on(engine: Engine):
    platform, arn = CheckedPlatform.model_validate(used_by_people()), secret("sign-on")

    def program() -> Any:
        return LlmPlatform("insurer", platform, {"frankfurt": Provider("frankfurt", region="eu-central-1")})

    engine.run(program)
    taken = {}
    for task in ("edge", "sealer", "translator"):
        made = engine.only("TaskDefinition", f"{NAME}-{task}-task").inputs["containerDefinitions"]
        (box,) = json.loads(made)
        taken[task] = [entry["name"] for entry in box["secrets"] if entry["valueFrom"] == arn]
        variables = {entry["name"]: entry["value"] for entry in box["environment"]}
        assert ("env:EDGE_SIGN_ON_KEYS" in variables["EDGE_CONFIG"]) == (task == "edge")
    assert taken == {"edge": ["EDGE_SIGN_ON_KEYS"], "sealer": [], "translator": []}
    allowed = [entry for entry in statements(engine, "secretsmanager") if arn in entry["Resource"]]
    assert [principals(entry) for entry in allowed] == [[f"arn:aws:iam/role:::{NAME}-tasks-edge-start-role"]]


def test_the_endpoints_let_the_tasks_networks_in(built: Engine):
    rules = [
        security_group_ingress_rule.inputs["cidrIpv4"]
        for security_group_ingress_rule in built.all("SecurityGroupIngressRule")
        if security_group_ingress_rule.inputs["securityGroupId"] == "insurer-frankfurt-endpoints-group-id"
    ]
    assert rules == ["10.90.0.0/16"]


def test_tasks_start_behind_their_endpoints(built: Engine):
    out = built.only("SecurityGroupEgressRule", f"{NAME}-translator-out-endpoints")
    assert out.inputs["referencedSecurityGroupId"] == "insurer-frankfurt-endpoints-group-id"
    assert built.only("SecurityGroupEgressRule", f"{NAME}-edge-out-s3").inputs["prefixListId"] == "pl-s3"


def test_the_identity_is_the_tasks_and_bound_as_one_by_certificate_is(built: Engine):
    role = built.only("Role", "insurer-internal-frankfurt-identity-role")
    (trusted,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trusted["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    bound = built.only("Policy", "insurer-internal-frankfurt-identity-boundary")
    sids = {statement["Sid"] for statement in json.loads(bound.inputs["policy"])["Statement"]}
    assert {"AtMost", "NoIam", "KeepTheTrail", "NoOtherRegion"} <= sids
    definition = built.only("TaskDefinition", f"{NAME}-translator-task")
    assert definition.inputs["taskRoleArn"].endswith(role.name)


def test_a_destroy_retains_the_logs_of_the_gateway(built: Engine):
    left = built.outputs["retained"]
    assert [line for line in left if f"{NAME}-tasks-logs" in line]
    assert [line for line in left if f"{NAME}-tasks-log-key" in line]


def test_each_task_mounts_its_own_folders_in_its_roles_name_and_the_translator_none(built: Engine):
    points = "insurer-frankfurt-internal-records"
    for task, owner in (("edge", "gateway"), ("sealer", "sealer")):
        task_definition = built.only("TaskDefinition", f"{NAME}-{task}-task").inputs
        for volume in task_definition["volumes"]:
            how = volume["efsVolumeConfiguration"]
            assert how["transitEncryption"] == "ENABLED"
            authorization = {"accessPointId": f"{points}-{owner}-{volume['name']}-id", "iam": "ENABLED"}
            assert how["authorizationConfig"] == authorization
        (box,) = json.loads(task_definition["containerDefinitions"])
        read = {mount_point["sourceVolume"]: mount_point["readOnly"] for mount_point in box["mountPoints"]}
        assert read == {"records": task == "sealer", "seals": task == "edge"}
    assert "volumes" not in built.only("TaskDefinition", f"{NAME}-translator-task").inputs


def test_the_sealer_is_one_unreachable_task_with_its_own_role_and_secret(built: Engine):
    service = built.only("Service", f"{NAME}-sealer-service").inputs
    assert (service["desiredCount"], service["deploymentMaximumPercent"]) == (1, 100), "never two at once"
    assert "loadBalancers" not in service
    roles = {
        task: built.only("TaskDefinition", f"{NAME}-{task}-task").inputs["taskRoleArn"]
        for task in ("edge", "sealer", "translator")
    }
    assert len(set(roles.values())) == 3
    inside = [
        security_group_ingress_rule.name
        for security_group_ingress_rule in built.all("SecurityGroupIngressRule")
        if security_group_ingress_rule.inputs["securityGroupId"] == f"{NAME}-sealer-group-id"
    ]
    assert inside == []
    targets = {
        security_group_egress_rule.name.removeprefix(f"{NAME}-"): security_group_egress_rule.inputs[
            "fromPort"
        ]
        for security_group_egress_rule in built.all("SecurityGroupEgressRule")
        if security_group_egress_rule.inputs["securityGroupId"] == f"{NAME}-sealer-group-id"
    }
    assert targets == {"sealer-out-endpoints": 443, "sealer-out-s3": 443, "sealer-out-share": 2049}
    edge = built.only("Service", f"{NAME}-edge-service")
    assert f"{NAME}-sealer-service" in edge.depends_on, "the edge serves nothing until somebody seals"


def test_the_platforms_scrapers_reach_the_health_port_of_each_task(engine: Engine):
    data = cloud()
    data["gateways"][0]["fargate"]["scrapers"] = ["10.70.4.0/24"]
    platform = CheckedPlatform.model_validate(data)

    def program() -> Any:
        return LlmPlatform("insurer", platform, {"frankfurt": Provider("frankfurt", region="eu-central-1")})

    engine.run(program)
    opened = {
        rule.inputs["securityGroupId"]: (rule.inputs["fromPort"], rule.inputs["toPort"])
        for rule in engine.all("SecurityGroupIngressRule")
        if rule.inputs.get("cidrIpv4") == "10.70.4.0/24"
    }
    assert opened == {
        f"{NAME}-edge-group-id": (9090, 9090),
        f"{NAME}-translator-group-id": (9091, 9091),
        f"{NAME}-sealer-group-id": (9090, 9090),
    }


def test_s3s_endpoint_lets_the_sealer_in_to_its_prefix_and_nobody_else_to_the_store(built: Engine):
    role = "arn:aws:iam/role:::insurer-frankfurt-internal-sealer-identity-role"
    puts, looks = (statement for statement in statements(built, "s3") if "Condition" in statement)
    assert principals(puts) == principals(looks) == [role]
    assert puts["Resource"] == ["arn:aws:s3/bucket:::insurer-frankfurt-bucket/frankfurt/internal/*"]
    assert not [
        action for action in (*puts["Action"], *looks["Action"]) if "Delete" in action or "Bypass" in action
    ]
