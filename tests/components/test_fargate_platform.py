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
from tests.components.fargate import HOST, cloud

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


def who(statement: dict[str, Any]) -> list[str]:
    return statement["Condition"]["ArnEquals"]["aws:PrincipalArn"]


def test_nothing_of_kubernetes_and_no_certificate_of_an_identity_is_made(built: Engine):
    assert not [each.type for each in built.made if each.type.startswith("kubernetes:")]
    assert not [each.type for each in built.made if "rolesanywhere" in each.type]


def test_the_gateway_is_told_by_name_address_and_service(built: Engine):
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
    assert who(calls) == [identity]
    for statement in statements(built, "secretsmanager"):
        (role,) = who(statement)
        named = [each.rpartition(":")[2] for each in statement["Resource"]]
        wanted = {
            "edge": ("internal-gateway-tls", "internal-callers", "internal-audit"),
            "sealer": ("internal-sealer",),
            "translator": ("internal-translator-tls",),
        }
        task = next(each for each, arn in start.items() if arn == role)
        assert named == [f"llm/{each}-a1B2c3" for each in wanted[task]]
    login, *pulls = statements(built, "ecr-api")
    assert (login["Action"], sorted(who(login))) == (["ecr:GetAuthorizationToken"], sorted(start.values()))
    assert {(who(each)[0], each["Resource"][0].rpartition("/")[2]) for each in pulls} == {
        (start["edge"], "edge"),
        (start["sealer"], "translator"),
        (start["translator"], "translator"),
    }
    assert not [
        each
        for service in ("logs", "ecr-dkr")
        for each in statements(built, service)
        if identity in who(each)
    ]


def test_the_endpoints_let_the_tasks_networks_in(built: Engine):
    rules = [
        each.inputs["cidrIpv4"]
        for each in built.all("SecurityGroupIngressRule")
        if each.inputs["securityGroupId"] == "insurer-frankfurt-endpoints-group-id"
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
    sids = {each["Sid"] for each in json.loads(bound.inputs["policy"])["Statement"]}
    assert {"AtMost", "NoIam", "KeepTheTrail", "NoOtherRegion"} <= sids
    definition = built.only("TaskDefinition", f"{NAME}-translator-task")
    assert definition.inputs["taskRoleArn"].endswith(role.name)


def test_what_a_destroy_leaves_holds_the_gateways_logs(built: Engine):
    left = built.outputs["retained"]
    assert [each for each in left if f"{NAME}-tasks-logs" in each]
    assert [each for each in left if f"{NAME}-tasks-log-key" in each]


def test_each_task_mounts_its_own_folders_in_its_roles_name_and_the_translator_none(built: Engine):
    points = "insurer-frankfurt-internal-records"
    for task, who in (("edge", "gateway"), ("sealer", "sealer")):
        made = built.only("TaskDefinition", f"{NAME}-{task}-task").inputs
        for volume in made["volumes"]:
            how = volume["efsVolumeConfiguration"]
            assert how["transitEncryption"] == "ENABLED"
            named = {"accessPointId": f"{points}-{who}-{volume['name']}-id", "iam": "ENABLED"}
            assert how["authorizationConfig"] == named
        (box,) = json.loads(made["containerDefinitions"])
        read = {each["sourceVolume"]: each["readOnly"] for each in box["mountPoints"]}
        assert read == {"records": task == "sealer", "seals": task == "edge"}
    assert "volumes" not in built.only("TaskDefinition", f"{NAME}-translator-task").inputs


def test_the_sealer_is_one_task_that_nobody_reaches_with_a_role_and_a_secret_of_its_own(built: Engine):
    service = built.only("Service", f"{NAME}-sealer-service").inputs
    assert (service["desiredCount"], service["deploymentMaximumPercent"]) == (1, 100), "never two at once"
    assert "loadBalancers" not in service
    roles = {
        task: built.only("TaskDefinition", f"{NAME}-{task}-task").inputs["taskRoleArn"]
        for task in ("edge", "sealer", "translator")
    }
    assert len(set(roles.values())) == 3
    inside = [
        each.name
        for each in built.all("SecurityGroupIngressRule")
        if each.inputs["securityGroupId"] == f"{NAME}-sealer-group-id"
    ]
    assert inside == []
    ways = {
        each.name.removeprefix(f"{NAME}-"): each.inputs["fromPort"]
        for each in built.all("SecurityGroupEgressRule")
        if each.inputs["securityGroupId"] == f"{NAME}-sealer-group-id"
    }
    assert ways == {"sealer-out-endpoints": 443, "sealer-out-s3": 443, "sealer-out-share": 2049}
    edge = built.only("Service", f"{NAME}-edge-service")
    assert f"{NAME}-sealer-service" in edge.depends_on, "the edge serves nothing until somebody seals"


def test_s3s_endpoint_lets_the_sealer_in_to_its_prefix_and_nobody_else_to_the_store(built: Engine):
    role = "arn:aws:iam/role:::insurer-frankfurt-internal-sealer-identity-role"
    puts, looks = (each for each in statements(built, "s3") if "Condition" in each)
    assert who(puts) == who(looks) == [role]
    assert puts["Resource"] == ["arn:aws:s3/bucket:::insurer-frankfurt-bucket/frankfurt/internal/*"]
    assert not [each for each in (*puts["Action"], *looks["Action"]) if "Delete" in each or "Bypass" in each]
