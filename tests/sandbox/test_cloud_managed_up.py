"""A stack without a site of one's own, from its requirements to its end: no cluster is made, asked for or needed.

The real engine and the sandbox's AWS. ECS keeps what it is told and starts no task. One stack, brought up once; the
tests run in the order of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from sandbox import api
from tests.accounting import aws
from tests.sandbox.begun import Begun, begun

pytestmark = pytest.mark.sandbox

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "cloud-managed.requirements.yaml"
CLUSTER = "insurer-frankfurt-internal-gateway-"
SCRAPER = "10.70.4.0/24"
"""Network of the Prometheus that reads metrics of the internal gateway."""


@pytest.fixture(scope="module")
def insurer(toolchain: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    with begun("insurer", EXAMPLE, tmp_path_factory.mktemp("insurer")) as stack:
        stack.override(gateways=[{"name": "internal-frankfurt", "fargate": {"scrapers": [SCRAPER]}}])
        stack.must("up", "insurer", "--yes")
        yield stack


def services(stack: Begun) -> dict[str, dict[str, Any]]:
    """ECS's services of the internal gateway, by their container's name."""
    ecs = aws.clients(stack.env)("ecs")
    [cluster] = [cluster_arn for cluster_arn in ecs.list_clusters()["clusterArns"] if CLUSTER in cluster_arn]
    names = ecs.list_services(cluster=cluster)["serviceArns"]
    answer = ecs.describe_services(cluster=cluster, services=names)["services"]
    return {
        entry["loadBalancers"][0]["containerName"] if entry["loadBalancers"] else "sealer": entry
        for entry in answer
    }


def test_it_is_up_without_a_cluster(insurer: Begun):
    assert not api.status(insurer.home).clusters
    actual = services(insurer)
    assert {name: service["desiredCount"] for name, service in actual.items()} == {
        **{"edge": 2, "translator": 2, "sealer": 1}
    }
    assert {service["launchType"] for service in actual.values()} == {"FARGATE"}
    balancers = aws.clients(insurer.env)("elbv2").describe_load_balancers()["LoadBalancers"]
    assert {balancer["Scheme"] for balancer in balancers} == {"internal"}
    state = insurer.state()
    [stack] = [resource for resource in state if resource["type"] == "pulumi:pulumi:Stack"]
    assert {gateway["address"] for gateway in stack["outputs"]["gateways"]} == {
        f"https://{sensitivity}-gateway.frankfurt.isthmus.internal" for sensitivity in ("internal", "public")
    }
    assert not aws.strange(state)
    known = aws.in_state(state)
    unknown = {kind: ids - known[kind] for kind, ids in insurer.in_account().items()}
    assert {kind: ids for kind, ids in unknown.items() if ids} == {}


def test_a_stated_prometheus_reaches_the_health_port_of_each_task_of_its_gateway_alone(insurer: Begun):
    ec2 = aws.clients(insurer.env)("ec2")
    rules = ec2.describe_security_group_rules()["SecurityGroupRules"]
    opened = {
        (rule["GroupId"], rule["FromPort"], rule["ToPort"], rule["IsEgress"])
        for rule in rules
        if rule.get("CidrIpv4") == SCRAPER
    }
    ports = {"edge": 9090, "translator": 9091, "sealer": 9090}
    groups = {
        task: service["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"]
        for task, service in services(insurer).items()
    }
    assert opened == {(group, ports[task], ports[task], False) for task in ports for group in groups[task]}


def test_records_lie_on_a_sealed_share_and_their_sealers_alone_put_into_the_store(insurer: Begun):
    client = aws.clients(insurer.env)
    efs, iam, s3 = client("efs"), client("iam"), client("s3")
    shares = efs.describe_file_systems()["FileSystems"]
    assert len(shares) == 2, "one for each class"
    assert all(share["Encrypted"] and share["KmsKeyId"] for share in shares)
    roles = {role["RoleName"]: role["Arn"] for role in iam.list_roles()["Roles"]}
    sealer = next(arn for name, arn in roles.items() if "-internal-sealer-identity-role-" in name)
    edge = next(arn for name, arn in roles.items() if "-internal-gateway-records-role-" in name)
    tasks = {
        name: client("ecs").describe_task_definition(taskDefinition=service["taskDefinition"])[
            "taskDefinition"
        ]
        for name, service in services(insurer).items()
    }
    assert {name: task.get("taskRoleArn") for name, task in tasks.items() if name != "translator"} == {
        **{"edge": edge, "sealer": sealer}
    }
    for name in ("edge", "sealer"):
        for volume in tasks[name]["volumes"]:
            how = volume["efsVolumeConfiguration"]
            assert how["transitEncryption"] == "ENABLED"
            assert how["authorizationConfig"]["iam"] == "ENABLED"
    [share] = {each["efsVolumeConfiguration"]["fileSystemId"] for each in tasks["edge"]["volumes"]}
    document = json.loads(efs.describe_file_system_policy(FileSystemId=share)["Policy"])["Statement"]
    writes = {
        statement["Sid"]: statement["Principal"]["AWS"]
        for statement in document
        if statement["Effect"] == "Allow" and "elasticfilesystem:ClientWrite" in statement["Action"]
    }
    assert writes == {"GatewayRecords": [edge], "SealerSeals": [sealer]}
    stores = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    [denied] = [
        statement
        for bucket in stores
        for statement in json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        if statement["Sid"] == "SealersAlonePut"
    ]
    names = denied["Condition"]["ArnNotLike"]["aws:PrincipalArn"]
    assert {arn for arn in roles.values() if any(fnmatchcase(arn, each) for each in names)} == {
        arn for name, arn in roles.items() if "-sealer-identity-role-" in name
    }


@pytest.mark.soak
def test_up_again_changes_nothing(insurer: Begun):
    insurer.unchanged("--refresh")


def open_network(ec2: Any, endpoint: dict[str, Any]) -> None:
    """Lets the internet reach a private endpoint, and anybody use it."""
    internet = {
        **{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443},
        "IpRanges": [{"CidrIp": "52.0.0.0/8"}],
    }
    [group] = endpoint["Groups"]
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[internet])
    document = json.loads(endpoint["PolicyDocument"])
    document["Statement"].append(
        {"Sid": "Anybody", "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    )
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint["VpcEndpointId"], PolicyDocument=json.dumps(document))


def network(ec2: Any, endpoint: dict[str, Any]) -> tuple[Any, Any]:
    """The policy of a private endpoint, and the rules of its security group."""
    [now] = ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])["VpcEndpoints"]
    groups = [group["GroupId"] for group in endpoint["Groups"]]
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": groups}])
    ids = {rule["SecurityGroupRuleId"] for rule in rules["SecurityGroupRules"]}
    return json.loads(now["PolicyDocument"]), ids


def test_a_change_and_what_another_hand_turned_off_are_made_and_nothing_else(insurer: Begun):
    elb, ec2 = aws.clients(insurer.env)("elbv2"), aws.clients(insurer.env)("ec2")
    [endpoint] = [
        endpoint
        for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"]
        if endpoint["ServiceName"].endswith(".bedrock-runtime")
    ]
    closed = network(ec2, endpoint)
    open_network(ec2, endpoint)
    assert network(ec2, endpoint) != closed
    [door] = [
        load_balancer["LoadBalancerArn"]
        for load_balancer in elb.describe_load_balancers()["LoadBalancers"]
        if "-inter" in load_balancer["LoadBalancerName"]
    ]
    off: Any = [{"Key": "load_balancing.cross_zone.enabled", "Value": "false"}]
    elb.modify_load_balancer_attributes(LoadBalancerArn=door, Attributes=off)
    insurer.override(
        gateways=[{"name": "internal-frankfurt", "replicas": 3}],
        budgets=[{"name": "internal-frankfurt", "monthly_usd": 900}],
    )
    output = insurer.must("up", "insurer", "--yes")
    made = "two services, the budget, the load balancer, and the private endpoint"
    assert "Resources: 5 updated, " in output, f"{made}: {output}"
    assert "Set back: SecurityGroup " in output
    assert network(ec2, endpoint) == closed
    counts = {name: service["desiredCount"] for name, service in services(insurer).items()}
    assert counts == {"edge": 3, "translator": 3, "sealer": 1}, "of sealers there is never a second"
    attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=door)["Attributes"]
    assert {"Key": "load_balancing.cross_zone.enabled", "Value": "true"} in attributes


def test_its_gateways_run_here_from_their_task_definitions_and_answer(insurer: Begun):
    before = aws.listed(aws.clients(insurer.env))["aws:s3/bucket:Bucket"]
    shown = insurer.must("sandbox", "serve", "insurer", "--substitutions")
    try:
        assert "internal-translator: AWS identity: the role of its task -> keys of the sandbox" in shown
        assert "internal-gateway: listen.certificate: env:EDGE_CERTIFICATE -> " in shown
        verified = json.loads(insurer.isthmus("verify", "insurer", "--format", "json").stdout)
        prompts = {entry["class"]: entry for entry in verified["prompts"]}
        assert {name: entry["outcome"] for name, entry in prompts.items()} == {
            "internal": "answered",
            "public": "answered",
        }
        assert all(entry["well"] for entry in prompts.values()), "each has a sealed record"
        assert all("stand-in for Amazon Bedrock" in entry["answer"] for entry in prompts.values())
    finally:
        insurer.must("sandbox", "serve", "insurer", "--stop")
    # The stores of the records stay, with their locked seals.
    stores = aws.listed(aws.clients(insurer.env))["aws:s3/bucket:Bucket"] - before
    assert len(stores) == 1, "one, in which each class has a folder"
    insurer.aws_before["aws:s3/bucket:Bucket"] |= stores


def test_a_destroy_of_what_is_disposable_leaves_keys_that_wait_for_their_end_and_says_so(insurer: Begun):
    output = insurer.must("destroy", "insurer", "--yes")
    assert "Keys that AWS deletes after their waiting period:" in output
    assert insurer.in_account() == {}
    assert not aws.clients(insurer.env)("ecs").list_task_definitions()["taskDefinitionArns"]
