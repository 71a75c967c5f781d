"""A gateway where there is no cluster: what its tasks are, who reaches them, and whom they reach."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from components.gateway.fargate.execution_role import TaskExecution
from components.gateway.fargate.gateway import FargateGateway
from isthmus.core.errors import InputError, Refused
from tests.components.conftest import Engine, Made
from tests.components.fargate import HOST, execution_args, gateway_args, secret

TASKS = ("edge", "translator")


def deploy(engine: Engine, **changes: Any) -> None:
    engine.deploy(FargateGateway, "gw", gateway_args(**changes))


def settings(**changes: Any) -> dict[str, Any]:
    return {**gateway_args()["fargate"], **changes}


def definition(engine: Engine, task: str) -> Made:
    return engine.only("TaskDefinition", f"gw-{task}-task")


def box(engine: Engine, task: str) -> dict[str, Any]:
    (container,) = json.loads(definition(engine, task).inputs["containerDefinitions"])
    return container


def edge_config(engine: Engine, task: str) -> dict[str, Any]:
    environment = {variable["name"]: variable["value"] for variable in box(engine, task)["environment"]}
    return YAML(typ="safe").load(environment["EDGE_CONFIG"])


def rules(engine: Engine, direction: str) -> set[tuple[str, str, int]]:
    """Group, peer and port of each rule of one direction."""
    found_rules = set()
    for rule in engine.all(f"SecurityGroup{direction}Rule"):
        peers = ("cidrIpv4", "referencedSecurityGroupId", "prefixListId")
        (peer,) = [rule.inputs[key] for key in peers if key in rule.inputs]
        assert rule.inputs["fromPort"] == rule.inputs["toPort"]
        found_rules.add((rule.inputs["securityGroupId"], peer, rule.inputs["fromPort"]))
    return found_rules


def test_the_translator_alone_has_the_aws_identity(engine: Engine):
    deploy(engine)
    assert definition(engine, "translator").inputs["taskRoleArn"].endswith(":role/internal")
    assert "taskRoleArn" not in definition(engine, "edge").inputs, "callers speak with the edge"


def test_tasks_run_rootless_with_nothing_to_write_to_and_no_capability(engine: Engine):
    deploy(engine)
    for task in TASKS:
        task_definition, container = definition(engine, task).inputs, box(engine, task)
        assert container["readonlyRootFilesystem"] is True
        assert container["user"] == "65532:65532"
        assert container["linuxParameters"] == {"capabilities": {"drop": ["ALL"]}}
        assert "volumes" not in task_definition
        assert "mountPoints" not in container
        assert (task_definition["networkMode"], task_definition["requiresCompatibilities"]) == (
            "awsvpc",
            ["FARGATE"],
        )
        assert "@sha256:" in container["image"]


def test_secrets_come_from_secrets_manager_and_not_from_variables(engine: Engine):
    deploy(engine)
    secrets = {variable["name"]: variable["valueFrom"] for variable in box(engine, "edge")["secrets"]}
    tls = secret("internal-gateway-tls")
    assert secrets == {
        "EDGE_CERTIFICATE": f"{tls}:certificate::",
        "EDGE_KEY": f"{tls}:key::",
        "EDGE_CA": f"{tls}:ca::",
        "EDGE_CALLERS": secret("internal-callers"),
    }
    behind = {variable["name"] for variable in box(engine, "translator")["secrets"]}
    assert behind == {"EDGE_CERTIFICATE", "EDGE_KEY", "EDGE_CA"}, "who calls is not the translator's to know"
    assert {variable["name"] for variable in box(engine, "edge")["environment"]} == {"EDGE_CONFIG"}


def test_the_edge_ends_mutual_tls_and_sends_to_its_own_translator(engine: Engine):
    deploy(engine)
    front, behind = edge_config(engine, "edge"), edge_config(engine, "translator")
    assert front["listen"]["client_ca"] == "env:EDGE_CA"
    (route,) = front["routes"]
    assert route == {
        "workload": "claims",
        "url": "https://localhost:8444",
        "server_name": "internal-translator.frankfurt.isthmus.internal",
        "model": "internal-haiku--claims",
    }
    assert behind["allowed_clients"] == [HOST]
    assert (behind["listen"]["port"], behind["health"]["port"]) == (8444, 9091)
    assert front["limits"]["drain_timeout_s"] < box(engine, "edge")["stopTimeout"]


def test_callers_of_a_public_gateway_need_no_certificate(engine: Engine):
    deploy(engine, sensitivity="public", host="public-gateway.a.internal")
    assert "client_ca" not in edge_config(engine, "edge")["listen"]
    assert edge_config(engine, "translator")["listen"]["client_ca"] == "env:EDGE_CA", (
        "its only caller is the edge"
    )


def test_the_load_balancer_is_internal_and_opens_no_tls(engine: Engine):
    deploy(engine)
    door = engine.only("LoadBalancer").inputs
    assert (door["internal"], door["loadBalancerType"]) == (True, "network")
    assert door["enforceSecurityGroupInboundRulesOnPrivateLinkTraffic"] == "on"
    assert {
        (listener.inputs["port"], listener.inputs["protocol"]) for listener in engine.all("Listener")
    } == {
        (443, "TCP"),
        (8444, "TCP"),
    }
    for group in engine.all("TargetGroup"):
        assert group.inputs["healthCheck"]["protocol"] == "HTTP"
        assert group.inputs["deregistrationDelay"] >= 300, "a request under way is finished"


def test_only_named_networks_reach_the_edge_and_only_the_edge_its_translator(engine: Engine):
    deploy(engine)
    door, edge, translator = (f"gw-{part}-group-id" for part in ("door", *TASKS))
    assert rules(engine, "Ingress") == {
        (door, "10.20.0.0/16", 443),
        (door, edge, 8444),
        (edge, door, 8443),
        (edge, door, 9090),
        (translator, door, 8444),
        (translator, door, 9091),
    }


def test_scrapers_reach_the_health_ports_and_nothing_else(engine: Engine):
    deploy(engine)
    without = rules(engine, "Ingress")
    engine.made.clear()
    deploy(engine, fargate=settings(scrapers=["10.70.4.0/24", "10.71.0.0/16"]))
    edge, translator = (f"gw-{part}-group-id" for part in TASKS)
    assert rules(engine, "Ingress") - without == {
        (edge, "10.70.4.0/24", 9090),
        (translator, "10.70.4.0/24", 9091),
        (edge, "10.71.0.0/16", 9090),
        (translator, "10.71.0.0/16", 9091),
    }
    for task, port in (("edge", 9090), ("translator", 9091)):
        assert edge_config(engine, task)["health"]["port"] == port


@pytest.mark.parametrize(
    ("scraper", "message"),
    [
        ("0.0.0.0/0", "'0.0.0.0/0' is not a private network"),
        ("52.29.1.0/24", "'52.29.1.0/24' is not a private network"),
        ("10.70.4.9/24", "is not an IPv4 network"),
    ],
)
def test_a_scraper_that_is_no_private_network_is_refused(engine: Engine, scraper: str, message: str):
    with pytest.raises(InputError, match=message) as error:
        deploy(engine, fargate=settings(scrapers=[scraper]))
    assert error.value.where == "gateways.internal-frankfurt.fargate.scrapers.0"


def test_the_only_ways_out_are_the_private_endpoints_and_the_next_hop(engine: Engine):
    deploy(engine)
    door, edge, translator = (f"gw-{part}-group-id" for part in ("door", *TASKS))
    assert rules(engine, "Egress") == {
        (door, edge, 8443),
        (door, edge, 9090),
        (door, translator, 8444),
        (door, translator, 9091),
        (edge, door, 8444),
        (edge, "sg-endpoints", 443),
        (edge, "pl-s3", 443),
        (translator, "sg-endpoints", 443),
        (translator, "pl-s3", 443),
    }
    for service in engine.all("Service"):
        assert service.inputs["networkConfiguration"]["assignPublicIp"] is False


def test_a_failed_deployment_is_rolled_back_while_old_tasks_serve(engine: Engine):
    deploy(engine, replicas=3)
    assert len(engine.all("Service")) == 2
    for service in engine.all("Service"):
        settings = service.inputs
        assert settings["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
        assert (settings["deploymentMinimumHealthyPercent"], settings["deploymentMaximumPercent"]) == (
            100,
            200,
        )
        assert (settings["desiredCount"], settings["waitForSteadyState"]) == (3, True)
        assert settings["networkConfiguration"]["subnets"] == ["subnet-a", "subnet-b"]
        assert settings["enableExecuteCommand"] is False
    front = engine.only("Service", "gw-edge-service")
    assert "gw-translator-service" in front.depends_on


def test_aws_adds_tasks_by_their_cpu_up_to_the_maximum(engine: Engine):
    deploy(engine, replicas=3, max_replicas=8)
    for task in TASKS:
        (target,) = [made.inputs for made in engine.all("Target") if made.name == f"gw-{task}-tasks"]
        assert (target["minCapacity"], target["maxCapacity"]) == (3, 8)
        assert target["scalableDimension"] == "ecs:service:DesiredCount"
        assert target["resourceId"].startswith("service/")
        assert target["resourceId"].endswith(
            f"/{engine.only('Service', f'gw-{task}-service').inputs['name']}"
        )
        (policy,) = [made.inputs for made in engine.all("Policy") if made.name == f"gw-{task}-load"]
        tracking = policy["targetTrackingScalingPolicyConfiguration"]
        assert tracking["targetValue"] == 70
        assert tracking["predefinedMetricSpecification"] == {
            "predefinedMetricType": "ECSServiceAverageCPUUtilization"
        }


def test_without_a_maximum_nothing_scales_the_tasks(engine: Engine):
    deploy(engine, replicas=3)
    assert not engine.all("Target")


def test_one_zone_is_refused(engine: Engine):
    with pytest.raises(InputError, match="1 subnets: the failure of one zone"):
        deploy(engine, subnet_ids=["subnet-a"])


def test_the_name_is_the_only_one_of_a_private_zone_of_its_own(engine: Engine):
    deploy(engine)
    zone, record = engine.only("Zone").inputs, engine.only("Record").inputs
    assert (zone["name"], zone["vpcs"]) == (HOST, [{"vpcId": "vpc-1", "vpcRegion": "eu-central-1"}])
    assert (record["name"], record["type"], record["zoneId"]) == (HOST, "A", "ZOWN")
    assert record["aliases"][0]["name"] == "localhost"
    assert engine.outputs["address"] == f"https://{HOST}"


def test_the_name_may_be_written_in_a_zone_of_the_organisations(engine: Engine):
    deploy(engine, fargate=settings(zone_id="ZTHEIRS"))
    assert not engine.all("Zone")
    assert engine.only("Record").inputs["zoneId"] == "ZTHEIRS"


def test_nobody_comes_by_privatelink_unless_named(engine: Engine):
    deploy(engine)
    assert not engine.all("VpcEndpointService")
    assert engine.outputs["endpoint_service"] == ""


def test_named_accounts_may_come_by_privatelink(engine: Engine):
    principals = ["arn:aws:iam::222233334444:root"]
    deploy(engine, fargate=settings(principals=principals))
    link = engine.only("VpcEndpointService").inputs
    assert (link["allowedPrincipals"], link["acceptanceRequired"]) == (principals, False)
    assert engine.outputs["endpoint_service"].startswith("com.amazonaws.vpce.")


@pytest.mark.parametrize(("cpu", "memory"), [(1024, 1024), (1024, 16384), (256, 512), (2048, 4000)])
def test_a_size_that_aws_does_not_offer_is_refused(engine: Engine, cpu: int, memory: int):
    with pytest.raises(InputError, match="not a size that Fargate offers"):
        deploy(engine, fargate=settings(cpu=cpu, memory=memory))


def test_a_size_and_an_architecture_are_the_tasks(engine: Engine):
    deploy(engine, fargate=settings(cpu=2048, memory=8192, architecture="arm64"))
    for task in TASKS:
        task_definition = definition(engine, task).inputs
        assert (task_definition["cpu"], task_definition["memory"]) == ("2048", "8192")
        assert task_definition["runtimePlatform"]["cpuArchitecture"] == "ARM64"


def test_an_unknown_architecture_is_refused(engine: Engine):
    with pytest.raises(InputError, match=r"fargate.architecture"):
        deploy(engine, fargate=settings(architecture="riscv"))


def test_every_address_is_refused_as_a_client(engine: Engine):
    with pytest.raises(InputError, match="covers every address"):
        deploy(engine, fargate=settings(clients=["0.0.0.0/0"]))


def test_restricted_work_has_no_gateway_in_aws(engine: Engine):
    with pytest.raises(Refused, match="class restricted may not use bedrock or any other target in AWS"):
        deploy(engine, sensitivity="restricted")
    with pytest.raises(Refused, match="class restricted may not use bedrock or any other target in AWS"):
        engine.deploy(TaskExecution, "tasks", execution_args(sensitivity="restricted"))


def test_more_workloads_than_a_task_definition_holds_are_refused(engine: Engine):
    routes = [{"workload": f"workload-{at}", "endpoint": f"e--{at}" * 4} for at in range(400)]
    with pytest.raises(InputError, match="but AWS accepts at most 65,536"):
        deploy(engine, routes=routes)
    models = [{**gateway_args()["models"][0], "name": f"e--{at}" * 4} for at in range(400)]
    with pytest.raises(InputError, match="but AWS accepts at most 65,536"):
        deploy(engine, models=models)


def statements(engine: Engine, name: str) -> dict[str, Any]:
    policy = json.loads(engine.only("RolePolicy", name).inputs["policy"])
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def test_ecs_may_start_each_task_with_its_own_image_and_secrets_only(engine: Engine):
    engine.deploy(TaskExecution, "tasks", execution_args())
    edge = statements(engine, "tasks-edge-start-policy")
    assert edge["Secrets"]["Resource"] == [secret("internal-gateway-tls"), secret("internal-callers")]
    assert edge["Image"]["Resource"] == ["arn:aws:ecr:eu-central-1:111122223333:repository/llm/edge"]
    behind = statements(engine, "tasks-translator-start-policy")
    assert behind["Secrets"]["Resource"] == [secret("internal-translator-tls")]
    assert all(
        statement["Condition"] == {"StringEquals": {"aws:SourceVpc": "vpc-1"}}
        for statement in (*edge.values(), *behind.values())
    )
    assert "OpenSecrets" not in edge


def test_tasks_of_this_account_only_may_take_the_roles_and_a_boundary_holds_them(engine: Engine):
    engine.deploy(TaskExecution, "tasks", execution_args())
    roles = engine.all("Role")
    assert len(roles) == 2
    for role in roles:
        (trusted,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        assert trusted["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
        assert trusted["Condition"] == {
            "StringEquals": {"aws:SourceAccount": "123456789012"},
            "ArnLike": {"aws:SourceArn": "arn:aws:ecs:eu-central-1:123456789012:*"},
        }
        assert "policy" in role.inputs["permissionsBoundary"]
    boundary = "arn:aws:iam::111122223333:policy/bound"
    engine.deploy(TaskExecution, "again", execution_args(permissions_boundary=boundary))
    assert {role.inputs["permissionsBoundary"] for role in engine.all("Role")[2:]} == {boundary}


def test_a_key_of_the_organisations_is_opened_through_secrets_manager_only(engine: Engine):
    key = "arn:aws:kms:eu-central-1:111122223333:key/1"
    engine.deploy(TaskExecution, "tasks", execution_args(secrets_key=key))
    opens = statements(engine, "tasks-edge-start-policy")["OpenSecrets"]
    assert (opens["Action"], opens["Resource"]) == (["kms:Decrypt"], [key])
    via = "secretsmanager.eu-central-1.amazonaws.com"
    assert opens["Condition"] == {"StringEquals": {"kms:ViaService": via}}


def test_logs_are_sealed_kept_as_long_as_asked_and_left_by_a_destroy(engine: Engine):
    engine.deploy(TaskExecution, "tasks", execution_args())
    group, key = engine.only("LogGroup"), engine.only("Key")
    assert group.inputs["retentionInDays"] == 400, "the next longer period that AWS knows"
    assert group.inputs["kmsKeyId"] == "arn:aws:kms/key:::tasks-log-key"
    assert (group.retained, key.retained) == (True, True)
    assert len(engine.outputs["retained"]) == 2


def test_an_image_from_elsewhere_is_refused(engine: Engine):
    images = {"edge": "registry.bank.example/edge@sha256:" + "a" * 64}
    with pytest.raises(InputError, match="is not in Amazon ECR"):
        engine.deploy(TaskExecution, "tasks", execution_args(images=images))
