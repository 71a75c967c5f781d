"""Data-path and account rules on small stacks: clients, guardrail regions, and when a rule applies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.contracts.platform.model.aws.account import Network, Trail
from isthmus.contracts.platform.model.platform import Gateway, Platform, Site
from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.resources import Graph
from policies.evaluation.evaluation import judge
from policies.evaluation.registry import RULES
from policies.rules.rule import Subject
from tests.policies.cases_inside import WORD
from tests.policies.cases_models import GUARD, config
from tests.policies.making import applicable, findings_of, platform_with, resource_of

UNKNOWN = "${other.value}"


def verdicts(rule: str, *resources: Resource, platform: Platform | None = None) -> list[str]:
    return [finding.verdict for finding in findings_of(rule, *resources, platform=platform)]


def task(name: str, settings: dict[str, Any]) -> Resource:
    box = {"name": "edge", "environment": [{"name": "EDGE_CONFIG", "value": json.dumps(settings)}]}
    kind = "aws:ecs/taskDefinition:TaskDefinition"
    return resource_of(kind, name, {"containerDefinitions": json.dumps([box])})


# Clients of model servers and translators.


CLIENTS = "data-path/gateways-alone-ask"
ROUTER = {
    **{"gateway_class": "envoy", "service": "router", "ca": "ca"},
    **{"control_namespace": "envoy-system", "control_port": 18000},
}


def with_gateway(**fields: Any) -> Platform:
    (gateway,) = WORD.gateways
    settings = {**gateway.model_dump(by_alias=True), "host": "llm.bank.example", **fields}
    return platform_with(
        sites=WORD.sites, endpoints=WORD.endpoints, gateways=[Gateway.model_validate(settings)]
    )


def server(*clients: str, mode: str = "sidecar", class_: str = "internal") -> dict[str, Any]:
    return {"mode": mode, "class": class_, "allowed_clients": list(clients)}


@pytest.mark.parametrize(
    ("client", "fields", "expected"),
    [
        ("internal-gateway.space.svc", {}, []),
        ("internal-gateway.other.svc", {}, ["violated"]),
        ("public-gateway.space.svc", {}, ["violated"]),
        ("llm.bank.example", {}, ["violated"]),
        ("router.space.svc", {"router": ROUTER}, []),
        ("router.space.svc", {}, ["violated"]),
        ("router.other.svc", {"router": ROUTER}, ["violated"]),
        ("internal-gateway.space.svc", {"class": "public"}, ["violated"]),
        (UNKNOWN, {}, ["undecided"]),
    ],
)
def test_a_server_in_a_cluster_accepts_only_its_classs_gateway_and_router(
    client: str, fields: dict[str, Any], expected: list[str]
):
    for mode in ("sidecar", "translator"):
        found = verdicts(CLIENTS, config(server(client, mode=mode)), platform=with_gateway(**fields))
        assert found == expected


def test_a_task_accepts_only_the_host_of_its_classs_gateway():
    for client, expected in (
        ("llm.bank.example", []),
        ("internal-gateway.space.svc", ["violated"]),
        ("router.space.svc", ["violated"]),
    ):
        translator = task("translator", server(client, mode="translator"))
        assert verdicts(CLIENTS, translator, platform=with_gateway(router=ROUTER)) == expected
        assert verdicts(CLIENTS, translator) == []


def test_without_a_platform_a_server_in_a_cluster_accepts_clients_of_its_own_namespace():
    for client, expected in (
        ("anything.space.svc", []),
        ("anything.other.svc", ["violated"]),
        ("anything.space.svc.evil.example", ["violated"]),
        (UNKNOWN, ["undecided"]),
    ):
        assert verdicts(CLIENTS, config(server(client))) == expected


def test_clients_of_a_gateway_are_no_clients_of_a_model_server():
    for platform in (None, with_gateway()):
        gateway = config(server("x", mode="gateway"))
        assert verdicts(CLIENTS, gateway, platform=platform) == []
        assert applicable(CLIENTS, gateway, platform=platform) == []


def test_the_rule_about_clients_applies_where_the_gateway_is_known():
    in_cluster, on_fargate = config(server("x")), task("task", server("x"))
    assert applicable(CLIENTS, in_cluster) == ["cfg"]
    assert applicable(CLIENTS, on_fargate) == []
    assert applicable(CLIENTS, on_fargate, platform=with_gateway()) == ["task"]
    assert applicable(CLIENTS, config(server())) == []


# Regions in which a guardrail is evaluated.


REGIONS = "data-path/guardrails-stay"


def evaluated(profile: Any, region: str = "eu-central-1", class_: str = "", **inputs: Any) -> Resource:
    tags = {"isthmus.dev/class": class_} if class_ else {}
    return resource_of(
        GUARD.type,
        "guard",
        {
            **{"region": region, "tags": tags, **inputs},
            "crossRegionConfig": {"guardrailProfileIdentifier": profile} if profile else {},
        },
    )


@pytest.mark.parametrize(
    ("guard", "expected"),
    [
        (evaluated(None), []),
        (evaluated("eu.guardrail.v1:0"), []),
        (evaluated("us.guardrail.v1:0"), ["violated"]),
        (evaluated("us.guardrail.v1:0", "us-east-1"), []),
        (evaluated("eu.guardrail.v1:0", "us-east-1"), ["violated"]),
        (evaluated("us-gov.guardrail.v1:0", "us-east-1"), []),
        (evaluated("us.guardrail.v1:0", "nowhere"), []),
        (evaluated("apac.guardrail.v1:0"), ["undecided"]),
        (evaluated("apac.guardrail.v1:0", "nowhere"), ["undecided"]),
        (evaluated(UNKNOWN), ["undecided"]),
        (evaluated(f"eu.guardrail.{UNKNOWN}"), ["undecided"]),
        (evaluated(f"arn:aws:bedrock:us-east-1:{UNKNOWN}:guardrail-profile/us.guardrail.v1:0"), ["violated"]),
        (evaluated(f"arn:aws:bedrock:eu-central-1:1:guardrail-profile/{UNKNOWN}"), ["undecided"]),
    ],
)
def test_a_guardrail_is_evaluated_only_in_the_jurisdiction_of_its_own_region(
    guard: Resource, expected: list[str]
):
    assert verdicts(REGIONS, guard) == expected


@pytest.mark.parametrize(
    ("residency", "class_", "expected"),
    [
        (["eu"], "internal", []),
        (["de"], "internal", ["violated"]),
        (["us"], "internal", ["violated"]),
        (["de"], "public", []),
        (["de"], "a class that is none", []),
        ([], "internal", []),
        (["a place that is none"], "internal", ["undecided"]),
    ],
)
def test_a_guardrail_of_a_class_is_evaluated_only_where_its_workloads_may_be(
    residency: list[str], class_: str, expected: list[str]
):
    platform = with_gateway(workloads=[{"name": "kyc", "endpoint": "llama", "residency": residency}])
    guard = evaluated("eu.guardrail.v1:0", class_=class_)
    assert verdicts(REGIONS, guard, platform=platform) == expected


def test_a_guardrail_at_an_unknown_region_is_judged_by_its_class_alone():
    guard = evaluated("us.guardrail.v1:0", "nowhere", "internal")
    platform = with_gateway(workloads=[{"name": "kyc", "endpoint": "llama", "residency": ["eu"]}])
    assert verdicts(REGIONS, guard, platform=platform) == ["violated"]


def test_a_guardrail_is_at_the_site_of_its_provider():
    platform = platform_with(sites=[Site(name="ohio", kind="aws", jurisdiction="us", region="us-east-2")])
    guard = evaluated("eu.guardrail.v1:0")
    provider = "urn:pulumi:s::p::pulumi:providers:aws::ohio"
    at_ohio = guard.__class__(**{**guard.__dict__, "provider": provider})
    assert verdicts(REGIONS, at_ohio, platform=platform) == ["violated"]


def test_the_rule_about_regions_applies_to_guardrails_that_can_be_compared():
    for guard, expected in (
        (evaluated(None), []),
        (evaluated("eu.guardrail.v1:0"), ["guard"]),
        (evaluated("eu.guardrail.v1:0", "nowhere"), []),
        (evaluated("eu.guardrail.v1:0", "nowhere", "internal"), ["guard"]),
        (evaluated("apac.guardrail.v1:0", "nowhere"), ["guard"]),
    ):
        assert applicable(REGIONS, guard) == expected


# Paths.


def pod(in_: str = "apps", name: str = "work", **box: Any) -> Resource:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "x", **box}]}}
    inputs = {"metadata": {"name": name, "namespace": in_}, "spec": {"template": template}}
    return resource_of("kubernetes:apps/v1:Deployment", name, inputs)


def namespace(class_: str, name: str = "apps") -> Resource:
    meta = {"name": name, "labels": {"isthmus.dev/class": class_}}
    return resource_of("kubernetes:core/v1:Namespace", name, {"metadata": meta})


def egress(*cidrs: str, in_: str = "apps") -> Resource:
    rules = [{"to": [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]}] if cidrs else []
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": rules}
    meta = {"name": "egress", "namespace": in_}
    kind = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
    return resource_of(kind, f"{in_}-egress", {"metadata": meta, "spec": spec})


NETWORK, HOSTS, IDENTITIES = "data-path/own-network", "data-path/no-cloud-names", "identity/translators-only"


def test_each_rule_reports_only_its_own_kind_of_path():
    url = [{"name": "URL", "value": "https://api.openai.com"}]
    role = resource_of(
        "aws:eks/podIdentityAssociation:PodIdentityAssociation",
        "role",
        {"namespace": "apps", "serviceAccount": "default", "roleArn": "arn:aws:iam::1:role/x"},
    )
    stacks = {
        NETWORK: [namespace("restricted"), egress("8.8.8.0/24"), pod()],
        HOSTS: [namespace("restricted"), egress(), pod(env=url)],
        IDENTITIES: [namespace("restricted"), egress(), pod(), role],
    }
    for kind, resources in stacks.items():
        found = {finding.policy for finding in judge(resources) if finding.policy in stacks}
        assert found == {kind}


def test_one_finding_stands_for_all_pods_of_a_namespace_and_each_namespace_has_its_own():
    resources = [
        *(namespace("internal"), egress("8.8.8.0/24"), pod(), pod(name="more")),
        *(namespace("internal", "other"), egress("8.8.8.0/24", in_="other"), pod("other", "third")),
    ]
    assert sorted(finding.resource for finding in findings_of(NETWORK, *resources)) == ["apps", "other"]


def test_an_undecided_path_is_an_undecided_finding():
    resources = [namespace("internal"), egress("10.1.0.0/16"), pod()]
    assert verdicts(NETWORK, *resources) == ["undecided"]
    resources = [namespace("internal"), egress("8.8.8.0/24"), pod()]
    assert verdicts(NETWORK, *resources) == ["violated"]


@pytest.mark.parametrize(
    ("class_", "runs_on", "count"),
    [("restricted", "kubernetes", 1), ("restricted", "fargate", 0), ("internal", "kubernetes", 0)],
)
def test_a_restricted_gateway_in_a_cluster_needs_its_namespace(class_: str, runs_on: str, count: int):
    platform = with_gateway(**{"class": class_, "runs_on": runs_on})
    closed = [namespace("public"), egress(), pod()]
    assert len(verdicts(NETWORK, *closed, platform=platform)) == count
    closed = [namespace("restricted"), egress(), pod()]
    assert verdicts(NETWORK, *closed, platform=platform) == []


def test_a_raised_class_is_judged_anew_on_the_same_graph():
    settings = {
        **{"mode": "gateway", "class": "internal"},
        "routes": [{"workload": "kyc", "url": "https://llama.space.svc"}],
    }
    gateway = pod("space", "gateway")
    gateway.inputs["spec"]["template"]["spec"]["volumes"] = [{"configMap": {"name": "cfg"}}]
    gateway.inputs["spec"]["template"]["metadata"]["labels"]["isthmus.dev/role"] = "gateway"
    model = pod("space", "llama")
    model.inputs["spec"]["template"]["metadata"]["labels"]["isthmus.dev/role"] = "model"
    service = resource_of(
        "kubernetes:core/v1:Service",
        "llama-service",
        {"metadata": {"name": "llama", "namespace": "space"}, "spec": {"selector": {"app": "llama"}}},
    )
    resources = [
        namespace("internal", "space"),
        egress(in_="space"),
        gateway,
        model,
        service,
        config(settings),
    ]
    graph = Graph(resources)
    (rule,) = [rule for rule in RULES if rule.id == "data-path/stays-where-it-may"]
    assert list(rule.check(Subject(graph, None))) == []
    raised = Subject(graph, None, raised_sensitivities={"kyc": "restricted"})
    assert [violation.verdict for violation in rule.check(raised)] == ["undecided"]
    assert list(rule.check(Subject(graph, None))) == []


def test_a_path_with_two_reasons_is_one_finding():
    settings = {
        **{"mode": "gateway", "class": "public"},
        "routes": [{"workload": "kyc", "url": "https://api.openai.com"}],
    }
    gateway = pod("space", "gateway")
    gateway.inputs["spec"]["template"]["spec"]["volumes"] = [{"configMap": {"name": "cfg"}}]
    resources = [namespace("internal", "space"), egress(in_="space"), gateway, config(settings)]
    (finding,) = findings_of("data-path/stays-where-it-may", *resources)
    assert "of class public" in finding.message
    assert "api.openai.com" in finding.message


def test_rules_about_paths_apply_to_stacks_with_workloads_or_configurations():
    gateway = config({"mode": "gateway", "class": "internal"})
    fargate = task("task", {"mode": "gateway", "class": "internal"})
    for rule, resources, expected in (
        (NETWORK, [namespace("internal")], []),
        (NETWORK, [pod()], [None]),
        (NETWORK, [fargate], [None]),
        ("data-path/stays-where-it-may", [pod()], []),
        ("data-path/stays-where-it-may", [gateway], [None]),
        ("data-path/calls-by-private-endpoints", [gateway], []),
        ("data-path/calls-by-private-endpoints", [config({"mode": "translator", "models": [{}]})], [None]),
    ):
        assert applicable(rule, *resources) == expected


def test_without_a_platform_the_networks_of_a_private_endpoint_are_undecided():
    endpoint = resource_of(
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "door",
        {
            "policy": {
                "Statement": [
                    {
                        **{"Effect": "Allow", "Action": ["bedrock:InvokeModel"], "Principal": "*"},
                        "Resource": ["arn:aws:bedrock:eu-central-1::foundation-model/x"],
                        "Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::1:role/x"}},
                    }
                ]
            },
            "securityGroupIds": ["${group.id}"],
        },
    )
    group = resource_of("aws:ec2/securityGroup:SecurityGroup", "group", {})
    rule = resource_of(
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "rule",
        {"securityGroupId": "${group.id}", "cidrIpv4": "10.1.0.0/16"},
    )
    name = "data-path/private-endpoints"
    assert verdicts(name, endpoint, group, rule) == ["undecided"]
    assert verdicts(name, endpoint, group, rule, platform=with_gateway()) == ["violated"]


def test_an_endpoint_that_creates_infrastructure_is_open_to_the_deployers_of_the_platform_alone():
    deployer = "arn:aws:iam::123456789012:role/deployer"
    statement = {
        **{"Effect": "Allow", "Action": "*", "Principal": "*", "Resource": "*"},
        "Condition": {"ArnEquals": {"aws:PrincipalArn": deployer}},
    }
    endpoint = resource_of(
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "door",
        {"serviceName": "com.amazonaws.eu-central-1.ec2", "policy": {"Statement": [statement]}},
    )
    network = {"name": "net", "site": "frankfurt", "classes": ["internal"], "cidr": "10.80.0.0/16"}
    for deployers, expected in (([deployer], False), ([deployer.replace("deployer", "other")], True)):
        networks = [Network.model_validate({**network, "deployers": deployers})]
        platform = platform_with(sites=WORD.sites, networks=networks)
        assert bool(findings_of("data-path/private-endpoints", endpoint, platform=platform)) == expected
    assert findings_of("data-path/private-endpoints", endpoint)


# Rules for the whole stack.


BUCKET = resource_of("aws:s3/bucket:Bucket", "bucket", {})


def test_rules_about_the_platforms_trails_and_tags_leave_other_teams_programs_alone():
    for rule in ("audit/trail-stands", "audit/everything-is-tagged"):
        assert findings_of(rule, BUCKET) == []
    tagged = findings_of("audit/everything-is-tagged", BUCKET, platform=WORD)
    assert [finding.resource for finding in tagged] == ["bucket"]
    assert applicable("audit/everything-is-tagged", BUCKET) == []
    assert applicable("audit/everything-is-tagged", BUCKET, platform=WORD) == [None]
    assert applicable("audit/everything-is-tagged", pod(), platform=WORD) == []


def test_every_trail_of_the_platform_is_created():
    platform = platform_with(trails=[Trail.model_construct(name="trail", mode="manage")])
    assert verdicts("audit/trail-stands", BUCKET, platform=platform) == ["violated"]
    trail = resource_of("aws:cloudtrail/trail:Trail", "trail", {})
    assert verdicts("audit/trail-stands", BUCKET, trail, platform=platform) == []


def test_a_role_without_a_boundary_and_a_user_are_left_to_the_rules_of_identities():
    role = resource_of("aws:iam/role:Role", "role", {})
    user = resource_of("aws:iam/user:User", "user", {})
    assert findings_of("audit/trail-out-of-reach", role, user) == []
    trail = resource_of("aws:cloudtrail/trail:Trail", "trail", {"enableLogging": False})
    assert verdicts("audit/trail-out-of-reach", role, trail)


def test_the_rule_about_access_keys_applies_to_every_stack_with_resources():
    assert applicable("identity/no-access-keys") == []
    assert applicable("identity/no-access-keys", BUCKET) == [None]


def test_the_rule_about_trails_applies_if_the_platform_creates_one():
    for mode, expected in (("manage", [None]), ("existing", [])):
        trail = Trail.model_construct(name="trail", mode=mode)
        assert applicable("audit/trail-stands", BUCKET, platform=platform_with(trails=[trail])) == expected
    assert applicable("audit/trail-stands", BUCKET) == []
    assert applicable("audit/trail-stands", BUCKET, platform=platform_with()) == []
