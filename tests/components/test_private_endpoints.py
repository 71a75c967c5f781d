"""Private endpoints of AWS services: which there are, who gets in, and what their policies name."""

import asyncio
import json
from typing import Any

import pulumi
import pytest

from components import PrivateEndpoints
from components.aws.network.endpoint_policy import endpoint_policy
from isthmus.core.errors import EnvironmentFault, InputError
from tests.components.conftest import COMPUTED, Engine
from tests.components.policies import allowed

REGION = "eu-central-1"
ROLE = "arn:aws:iam::123456789012:role/internal-translator"
PROFILE = f"arn:aws:bedrock:{REGION}:123456789012:application-inference-profile/abc"
ANCHOR = f"arn:aws:rolesanywhere:{REGION}:123456789012:trust-anchor/0a"
BEDROCK: dict[str, Any] = {
    "service": "bedrock-runtime",
    "principals": [ROLE],
    "actions": ["bedrock:InvokeModel"],
    "resources": [PROFILE],
}
SESSIONS: dict[str, Any] = {
    "service": "rolesanywhere",
    "principals": ["internal-translator.isthmus-internal.svc"],
    "actions": ["rolesanywhere:CreateSession"],
    "resources": [ANCHOR],
}
PULLS: dict[str, Any] = {
    "service": "ecr.dkr",
    "principals": [ROLE],
    "actions": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    "resources": [f"arn:aws:ecr:{REGION}:123456789012:repository/edge"],
}
STORE: dict[str, Any] = {
    "service": "s3",
    "principals": [ROLE],
    "actions": ["s3:PutObject"],
    "resources": ["arn:aws:s3:::audit/*"],
}


def arguments(*grants: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": "frankfurt",
        "region": REGION,
        "vpc_id": "vpc-0a",
        "subnet_ids": ["subnet-1", "subnet-2"],
        "route_table_ids": ["rtb-1"],
        "vpc_cidr": "10.60.0.0/16",
        "sources": ["10.40.0.0/16"],
        "grants": list(grants),
        "tags": {"owner": "bank"},
        **more,
    }


def build(engine: Engine, *grants: dict[str, Any], **more: Any) -> None:
    engine.deploy(PrivateEndpoints, "net", arguments(*grants, **more))


def endpoint(engine: Engine, service: str) -> dict[str, Any]:
    inputses = [
        vpc_endpoint.inputs
        for vpc_endpoint in engine.all("VpcEndpoint")
        if vpc_endpoint.inputs["serviceName"].endswith(f".{service}")
    ]
    assert len(inputses) == 1, service
    return inputses[0]


def statements(engine: Engine, service: str) -> list[dict[str, Any]]:
    return json.loads(endpoint(engine, service)["policy"])["Statement"]


def test_a_service_that_is_granted_has_an_interface_endpoint_in_each_subnet(engine: Engine) -> None:
    build(engine, BEDROCK)
    vpc_endpoint = engine.only("VpcEndpoint").inputs
    assert vpc_endpoint["serviceName"] == f"com.amazonaws.{REGION}.bedrock-runtime"
    assert vpc_endpoint["vpcEndpointType"] == "Interface"
    assert vpc_endpoint["subnetIds"] == ["subnet-1", "subnet-2"]
    assert vpc_endpoint["privateDnsEnabled"], "callers in the VPC could go past it"
    assert vpc_endpoint["securityGroupIds"] == ["net-group-id"]
    assert engine.outputs["ids"] == {"bedrock-runtime": "net-bedrock-runtime-id"}


def test_beside_endpoints_of_the_organisation_names_lead_to_theirs(engine: Engine) -> None:
    build(engine, BEDROCK, private_dns=False)
    assert engine.only("VpcEndpoint").inputs["privateDnsEnabled"] is False
    assert engine.outputs["urls"]["bedrock-runtime"].startswith("https://vpce-"), (
        "on-prem asks by its own name"
    )


def test_only_named_networks_get_in_on_443_and_nothing_gets_out(engine: Engine) -> None:
    build(engine, BEDROCK, SESSIONS, sources=["10.40.0.0/16", "10.41.7.0/24", "10.60.0.0/16"])
    rules = [
        security_group_ingress_rule.inputs
        for security_group_ingress_rule in engine.all("SecurityGroupIngressRule")
    ]
    assert {(rule["ipProtocol"], rule["fromPort"], rule["toPort"]) for rule in rules} == {("tcp", 443, 443)}
    assert [rule["cidrIpv4"] for rule in rules] == ["10.60.0.0/16", "10.40.0.0/16", "10.41.7.0/24"]
    assert {rule["securityGroupId"] for rule in rules} == {"net-group-id"}
    assert not engine.all("SecurityGroupEgressRule")
    # AWS's own rule to everywhere: the provider takes it away from a group that names no rules itself.
    assert not {"ingress", "egress"} & set(engine.only("SecurityGroup").inputs)


def test_a_policy_names_roles_actions_and_resources(engine: Engine) -> None:
    build(engine, BEDROCK)
    assert statements(engine, "bedrock-runtime") == [
        {
            "Sid": "Grant0",
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["bedrock:InvokeModel"],
            "Resource": [PROFILE],
            "Condition": {"ArnEquals": {"aws:PrincipalArn": [ROLE]}},
        }
    ]


def test_grants_for_one_service_become_one_endpoint_with_a_statement_each(engine: Engine) -> None:
    second_grant = {**BEDROCK, "principals": [f"{ROLE}-public"], "resources": [f"{PROFILE}d"]}
    build(engine, BEDROCK, SESSIONS, second_grant)
    assert len(engine.all("VpcEndpoint")) == 2
    first, second = statements(engine, "bedrock-runtime")
    assert (first["Resource"], second["Resource"]) == ([PROFILE], [f"{PROFILE}d"])
    assert second["Condition"] == {"ArnEquals": {"aws:PrincipalArn": [f"{ROLE}-public"]}}


def test_sessions_are_for_named_certificates_at_a_named_trust_anchor(engine: Engine) -> None:
    build(engine, SESSIONS)
    (session,) = statements(engine, "rolesanywhere")
    assert session["Resource"] == [ANCHOR]
    name = "internal-translator.isthmus-internal.svc"
    assert session["Condition"] == {"StringEquals": {"rolesanywhere:x509Subject/CN": [name]}}, (
        "a role's ARN would match nobody: whoever asks for a session has none yet"
    )


def test_outputs_of_other_resources_end_in_the_policy(engine: Engine) -> None:
    grant = {
        **BEDROCK,
        "principals": [pulumi.Output.from_input(ROLE)],
        "resources": [pulumi.Output.from_input(PROFILE)],
    }
    build(engine, grant)
    (only,) = statements(engine, "bedrock-runtime")
    assert only["Resource"] == [PROFILE]
    assert only["Condition"]["ArnEquals"]["aws:PrincipalArn"] == [ROLE]


def test_a_list_of_resources_that_is_known_later_ends_in_the_policy(engine: Engine) -> None:
    build(engine, {**BEDROCK, "resources": pulumi.Output.from_input([PROFILE, f"{PROFILE}d"])})
    (only,) = statements(engine, "bedrock-runtime")
    assert only["Resource"] == [PROFILE, f"{PROFILE}d"]


@pytest.mark.parametrize(
    ("later", "message"),
    [
        ({"principals": ["*"]}, "is not a principal of bedrock-runtime"),
        ({"resources": ["*"]}, "matches any resource of bedrock-runtime"),
        ({"resources": []}, "lists no resources"),
    ],
)
def test_a_late_grant_that_is_too_wide_or_empty_is_refused(later: dict[str, list[str]], message: str) -> None:
    async def document() -> Any:
        resources_later = {
            key: pulumi.Output.from_input(value) for key, value in later.items() if key == "resources"
        }
        outputs = {key: [pulumi.Output.from_input(item) for item in value] for key, value in later.items()}
        grants: Any = [{**BEDROCK, **outputs, **resources_later}]
        return await endpoint_policy("bedrock-runtime", grants, REGION).future()

    with pytest.raises(InputError, match=message):
        asyncio.run(document())


def test_s3_has_a_gateway_endpoint_for_named_buckets(engine: Engine) -> None:
    build(engine, STORE)
    gateway_endpoint = endpoint(engine, "s3")
    assert gateway_endpoint["vpcEndpointType"] == "Gateway"
    assert gateway_endpoint["routeTableIds"] == ["rtb-1"]
    assert "subnetIds" not in gateway_endpoint
    (only,) = statements(engine, "s3")
    assert only["Resource"] == ["arn:aws:s3:::audit/*"]
    assert engine.outputs["urls"] == {}
    assert engine.outputs["ids"] == {"s3": "net-s3-id"}


def test_image_pulls_bring_s3_for_the_registrys_layers_and_no_other_bucket(engine: Engine) -> None:
    build(engine, PULLS)
    (layers,) = statements(engine, "s3")
    assert layers["Action"] == ["s3:GetObject"]
    assert layers["Resource"] == [f"arn:aws:s3:::prod-{REGION}-starport-layer-bucket/*"]
    fresh_engine = Engine()
    build(fresh_engine, PULLS, STORE)
    assert [statement["Sid"] for statement in statements(fresh_engine, "s3")] == ["Grant0", "ImageLayers"]


def test_without_image_pulls_nobody_reaches_the_layer_bucket(engine: Engine) -> None:
    build(engine, STORE, BEDROCK)
    assert "starport" not in json.dumps(statements(engine, "s3"))


def test_urls_are_the_endpoints_own_regional_names(engine: Engine) -> None:
    name = "https://vpce-0a-1b.service.eu-central-1.vpce.amazonaws.com"

    def program() -> pulumi.ComponentResource:
        private_endpoints = PrivateEndpoints("net", arguments(BEDROCK, STORE))  # type: ignore[arg-type]
        pulumi.Output.all(private_endpoints.url("bedrock-runtime")).apply(lambda urls: seen_urls.extend(urls))
        for service in ("s3", "kms"):
            with pytest.raises(InputError, match=f"no interface endpoint of '{service}'"):
                private_endpoints.url(service)
        return private_endpoints

    seen_urls: list[str] = []
    engine.run(program)
    assert engine.outputs["urls"] == {"bedrock-runtime": name}
    assert seen_urls == [name]


def test_an_endpoint_without_a_name_is_an_error_not_an_empty_url(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMPUTED, "aws:ec2/vpcEndpoint:VpcEndpoint", {"dnsEntries": []})
    with pytest.raises(EnvironmentFault, match="has no DNS name"):
        build(engine, BEDROCK)


def test_every_taggable_resource_is_tagged(engine: Engine) -> None:
    build(engine, BEDROCK, PULLS)
    assert all(resource.inputs["tags"]["owner"] == "bank" for resource in engine.made)


@pytest.mark.parametrize(
    ("change", "message", "where"),
    [
        ({"service": "dynamodb"}, "'dynamodb' has no private endpoint", "service"),
        ({"principals": []}, "lists no principals", "principals"),
        ({"resources": []}, "lists no resources", "resources"),
        ({"actions": []}, "lists no actions", "actions"),
        ({"principals": ["*"]}, "is not a principal", "principals.0"),
        ({"principals": [f"{ROLE[:-4]}*"]}, "is not a principal", "principals.0"),
        ({"principals": ["internal-translator"]}, "is not a principal", "principals.0"),
        ({"actions": ["bedrock:*"]}, "is not one action", "actions.0"),
        ({"actions": ["s3:GetObject"]}, "is not one action of bedrock-runtime", "actions.0"),
        ({"resources": ["*"]}, "matches any resource", "resources.0"),
        *(
            ({"resources": [PROFILE, resource]}, "matches any resource", "resources.1")
            for resource in (
                *("", "*", "?", "arn:aws:bedrock", "arn:aws:bedrock:eu-central-1:1:", "arn:*"),
                *("arn:aws:bedrock:eu-central-1:1:*", "arn:aws:bedrock:eu-central-1:1:*/*"),
                *("arn:aws:bedrock:*::foundation-model/*", "arn:aws:bedrock:*::foundation-model/**"),
                *("arn:aws:bedrock:eu-central-1:1:guardrail/?*", "arn:aws:bedrock:eu-central-1:1:*/a"),
                *("arn:aws:bedrock:eu-central-1:*:guardrail/a", "arn:*:bedrock:eu-central-1:1:guardrail/a"),
                *("arn:aws:*:eu-central-1:1:guardrail/a", "arn:aws:bedrock:eu-central-1:?23:guardrail/a"),
                *("arn:aws:logs:eu-central-1:1:log-group:*", "arn:aws:s3:::*", "arn:aws:s3:::*/records/1"),
            )
        ),
    ],
)
def test_a_grant_that_names_too_little_or_too_much_is_refused(
    engine: Engine, change: dict[str, Any], message: str, where: str
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        build(engine, SESSIONS, {**BEDROCK, **change})
    assert refused.value.where == f"networks.frankfurt.grants.1.{where}"
    assert refused.value.fix
    assert not engine.made


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:bedrock:*::foundation-model/amazon.nova-lite-v1:0",
        "arn:aws:bedrock:eu-central-1::foundation-model/amazon.nova-*",
        "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:guardrail/abc",
        "arn:aws:s3:::audit",
        "arn:aws:s3:::audit/*",
        "arn:aws:s3:::*-audit/records/*",
        "arn:aws:logs:eu-central-1:123456789012:log-group:/isthmus/trail:*",
        "arn:aws:sqs:eu-central-1:123456789012:queue",
        "${bank-frankfurt-profile.arn}",
    ],
)
def test_a_wildcard_for_a_region_or_for_a_part_of_a_name_is_taken(engine: Engine, resource: str) -> None:
    build(engine, {**BEDROCK, "resources": [resource]})
    assert statements(engine, "bedrock-runtime")[0]["Resource"] == [resource]


def test_a_roles_arn_is_no_principal_of_roles_anywhere(engine: Engine) -> None:
    with pytest.raises(InputError, match="common name"):
        build(engine, {**SESSIONS, "principals": [ROLE]})


def test_any_bucket_is_refused_and_any_resource_only_where_an_action_knows_none(engine: Engine) -> None:
    with pytest.raises(InputError, match="matches any resource"):
        build(engine, {**STORE, "resources": ["arn:aws:s3:::*"]})
    token = {**PULLS, "service": "ecr.api", "actions": ["ecr:GetAuthorizationToken"], "resources": ["*"]}
    build(engine, token)
    (only,) = statements(engine, "ecr.api")
    assert only["Condition"]["ArnEquals"]["aws:PrincipalArn"] == [ROLE]


@pytest.mark.parametrize(
    ("change", "message", "where"),
    [
        ({"sources": ["0.0.0.0/0"]}, "every address", "sources.1"),
        ({"sources": ["fra1.bank.example"]}, "not an IPv4 network", "sources.1"),
        ({"sources": ["10.60.7.0/24"]}, "overlap", "sources.1"),
        ({"sources": [], "vpc_cidr": ""}, "no network may reach", "sources"),
        ({"grants": [STORE], "route_table_ids": []}, "needs route tables", "route_tables"),
        ({"grants": []}, "grants is empty", "grants"),
    ],
)
def test_wrong_networks_are_refused_with_their_place(
    engine: Engine, change: dict[str, Any], message: str, where: str
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        build(engine, BEDROCK, **change)
    assert refused.value.where == f"networks.frankfurt.{where}"
    assert not engine.made


DEPLOYER = "arn:aws:iam::123456789012:role/isthmus-deploy"


def admits(engine: Engine, service: str, action: str, role: str, **context: str) -> bool:
    document = {"Statement": statements(engine, service)}
    return allowed(document, action, "arn:aws:x:::y", aws_PrincipalArn=role, **context)


def test_the_deployer_is_admitted_to_infrastructure_endpoints(engine: Engine) -> None:
    build(
        engine, BEDROCK, STORE, deployers=[DEPLOYER], deployment_services=["eks", "kms", "cloudtrail", "s3"]
    )
    for service, action in (
        ("eks", "eks:CreateCluster"),
        ("kms", "kms:CreateKey"),
        ("cloudtrail", "cloudtrail:CreateTrail"),
    ):
        assert admits(engine, service, action, DEPLOYER), service
        assert not admits(engine, service, action, ROLE), "a role of the platform's makes nothing"
    own_account = {"aws_ResourceAccount": "${aws:PrincipalAccount}"}
    assert admits(engine, "s3", "s3:PutBucketPolicy", DEPLOYER, **own_account)
    assert not admits(engine, "s3", "s3:PutObject", DEPLOYER, aws_ResourceAccount="999999999999")


def test_the_deployer_is_not_admitted_to_model_endpoints(engine: Engine) -> None:
    build(engine, BEDROCK, SESSIONS, deployers=[DEPLOYER])
    assert not admits(engine, "bedrock-runtime", "bedrock:InvokeModel", DEPLOYER)
    assert [statement["Sid"] for statement in statements(engine, "rolesanywhere")] == ["Grant0"]
    with pytest.raises(InputError, match="'bedrock-runtime' is not a service that deployments call"):
        build(engine, STORE, deployers=[DEPLOYER], deployment_services=["bedrock-runtime"])
