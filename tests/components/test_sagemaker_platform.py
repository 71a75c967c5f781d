"""A platform with a model on SageMaker: who may call it, through what, and what its gateway is told."""

import json
from typing import Any

import pytest

from components import SageMakerAccess
from components.data_paths import data_paths
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.core import yaml_files
from isthmus.core.errors import InputError, Refused
from tests.components.conftest import ACCOUNT, Engine, build
from tests.components.platforms import bank
from tests.hosted import HOSTED, endpoint, platform

ARN = f"arn:aws:sagemaker:eu-central-1:{ACCOUNT}:endpoint/bank-qwen-1"
CALLS = ["sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream"]


@pytest.fixture(scope="module")
def hosted() -> Engine:
    engine = Engine()
    build(engine, platform(), name="hosted")
    return engine


def documents(engine: Engine, kind: str) -> dict[str, list[dict[str, Any]]]:
    iam = (resource for resource in engine.all(kind) if resource.type.startswith("aws:iam/"))
    return {policy.name: json.loads(policy.inputs["policy"])["Statement"] for policy in iam}


def the_arn(engine: Engine) -> str:
    return f"arn:aws:sagemaker:eu-central-1:{ACCOUNT}:endpoint/{engine.only('Endpoint').inputs['name']}"


def test_the_identity_may_call_this_endpoint_and_from_its_network_alone(hosted: Engine) -> None:
    (policy,) = [
        statements
        for name, statements in documents(hosted, "Policy").items()
        if name.endswith("sagemaker-policy")
    ]
    assert policy[0] == {
        "Sid": "CallEndpoints",
        "Effect": "Allow",
        "Action": CALLS,
        "Resource": [the_arn(hosted)],
    }
    assert (policy[1]["Effect"], policy[1]["Action"], policy[1]["Resource"]) == ("Deny", CALLS, "*")
    assert policy[1]["Condition"] == {"StringNotEquals": {"aws:SourceVpc": "hosted-frankfurt-network-vpc-id"}}
    attached = hosted.only("RolePolicyAttachment").inputs["role"]
    assert attached == hosted.only("Role", "hosted-confidential-frankfurt-identity-role").inputs["name"]


def test_sessions_and_boundary_allow_only_the_endpoint_calls(hosted: Engine) -> None:
    most = json.loads(hosted.only("Profile").inputs["sessionPolicy"])["Statement"]
    (bound,) = [
        [statement for statement in statements if statement["Effect"] == "Allow"]
        for name, statements in documents(hosted, "Policy").items()
        if name == "hosted-confidential-frankfurt-identity-boundary"
    ]
    for statements in (most, bound):
        assert [statement["Action"] for statement in statements] == [CALLS], (
            "calls of Bedrock, of which it has none"
        )
        assert [statement["Resource"] for statement in statements] == [[the_arn(hosted)]]


def test_the_private_endpoint_lets_the_translators_role_call_it_and_nothing_else(hosted: Engine) -> None:
    vpc_endpoint = hosted.only("VpcEndpoint", "hosted-frankfurt-endpoints-sagemaker-runtime").inputs
    (grant,) = json.loads(vpc_endpoint["policy"])["Statement"]
    assert (grant["Action"], grant["Resource"]) == (CALLS, [the_arn(hosted)])
    assert grant["Condition"] == {
        "ArnEquals": {"aws:PrincipalArn": ["arn:aws:iam/role:::hosted-confidential-frankfurt-identity-role"]}
    }


def test_the_s3_endpoint_lets_sagemakers_role_fetch_these_weights_and_write_captures(hosted: Engine) -> None:
    vpc_endpoint = hosted.only("VpcEndpoint", "hosted-frankfurt-endpoints-s3").inputs
    fetch, write = json.loads(vpc_endpoint["policy"])["Statement"]
    role = hosted.only("Role", f"hosted-{HOSTED}-execution").inputs["name"]
    for statement in (fetch, write):
        assert statement["Condition"]["ArnEquals"]["aws:PrincipalArn"] == [
            f"arn:aws:iam::{ACCOUNT}:role/{role}"
        ]
    assert fetch["Resource"] == [
        "arn:aws:s3:::insurer-weights",
        "arn:aws:s3:::insurer-weights/qwen3-14b/*",
        "arn:aws:s3:::insurer-weights/qwen3-8b/*",
    ]
    name = hosted.only("Endpoint").inputs["name"]
    bucket = hosted.only("Bucket", f"hosted-{HOSTED}-captured").name
    assert (write["Action"], write["Resource"]) == (["s3:PutObject"], [f"arn:aws:s3:::{bucket}-*/{name}/*"])


def test_a_capture_goes_to_a_bucket_of_this_account_only(hosted: Engine) -> None:
    vpc_endpoint = hosted.only("VpcEndpoint", "hosted-frankfurt-endpoints-s3").inputs
    fetch, write = json.loads(vpc_endpoint["policy"])["Statement"]
    assert write["Condition"]["StringEquals"] == {"aws:ResourceAccount": ACCOUNT}
    assert "StringEquals" not in fetch["Condition"], "weights may lie in another account of the organisation"


def test_the_translator_config_holds_endpoint_model_and_address(hosted: Engine) -> None:
    (config,) = [
        config_map.inputs["data"]["config.yaml"]
        for config_map in hosted.all("ConfigMap")
        if config_map.meta["namespace"] == "isthmus-confidential"
        and "provider" in config_map.inputs["data"].get("config.yaml", "")
    ]
    assert "provider: sagemaker" in config
    assert f"endpoint: {hosted.only('Endpoint').inputs['name']}" in config
    assert "model: Qwen/Qwen3-8B" in config
    assert "endpoint_url: https://vpce-0a-1b.service" in config
    assert "inference_profile" not in config


def test_nothing_of_bedrock_is_made_where_nothing_calls_it(hosted: Engine) -> None:
    kinds = {resource.kind for resource in hosted.made}
    assert not {"Guardrail", "InferenceProfile", "InvocationLoggingConfiguration"} & kinds
    assert not [
        vpc_endpoint.name for vpc_endpoint in hosted.all("VpcEndpoint") if "bedrock" in vpc_endpoint.name
    ]


def test_a_used_up_budget_denies_calls_of_sagemaker_too(hosted: Engine) -> None:
    (denial,) = [
        statements for name, statements in documents(hosted, "Policy").items() if name.endswith("-deny")
    ]
    assert set(CALLS) <= set(denial[0]["Action"])


def test_the_cost_of_an_endpoint_belongs_to_its_only_workload(hosted: Engine) -> None:
    tags = hosted.only("Endpoint").inputs["tags"]
    assert (tags["isthmus.dev/class"], tags["isthmus.dev/workload"]) == ("confidential", "policy-letters")


def test_the_data_path_is_reported_in_one_line() -> None:
    lines = data_paths(CheckedPlatform.model_validate(platform()))
    assert lines[-1] == (
        f"policy-letters (confidential): frankfurt/{HOSTED} on Amazon SageMaker, processed in eu-central-1"
    )
    assert not lines[-1].endswith("never AWS")


def test_without_capture_nothing_may_be_written_to_s3() -> None:
    data, engine = platform(), Engine()
    del endpoint(data)["sagemaker"]["capture"]
    build(engine, data, name="hosted")
    policy = engine.only("VpcEndpoint", "hosted-frankfurt-endpoints-s3").inputs["policy"]
    assert "PutObject" not in policy


def bedrock_and_sagemaker() -> dict[str, Any]:
    """The bank's internal class with an open model on SageMaker beside its model on Bedrock."""
    data = bank()
    hosts = endpoint(platform())
    data["endpoints"].append(
        {
            **hosts,
            **{"id": "internal-open", "class": "internal"},
            "sagemaker": {"instance_type": "ml.g6e.2xlarge"},
        }
    )
    (gateway,) = [gateway for gateway in data["gateways"] if gateway["class"] == "internal"]
    gateway["workloads"].append({"name": "drafts", "endpoint": "internal-open", "residency": ["eu"]})
    (identity,) = [identity for identity in data["identities"] if identity["class"] == "internal"]
    identity["endpoints"].append("internal-open")
    data["networks"][0]["services"] += ["sagemaker.runtime", "s3"]
    # Of a name that admission need not know: no pod pulls it.
    data["images"]["sagemaker"] = platform()["images"]["sagemaker"]
    return data


def test_an_identity_that_calls_both_has_a_policy_for_each_and_the_guardrail_for_one() -> None:
    engine = Engine()
    build(engine, bedrock_and_sagemaker())
    ends = {vpc_endpoint.name.rpartition("endpoints-")[2] for vpc_endpoint in engine.all("VpcEndpoint")}
    assert ends == {"bedrock-runtime", "rolesanywhere", "sagemaker-runtime", "s3"}
    profile = next(profile for profile in engine.all("Profile") if "internal" in profile.name)
    most, routed = json.loads(profile.inputs["sessionPolicy"])["Statement"]
    assert not set(CALLS) & set(routed["Action"]), "only Bedrock routes a call to another region"
    assert set(CALLS) | {"bedrock:InvokeModel", "bedrock:ApplyGuardrail"} <= set(most["Action"])
    assert the_arn(engine) in most["Resource"]
    inline = json.loads(engine.only("RolePolicy", "isthmus-internal-bedrock-policy").inputs["policy"])
    assert "sagemaker" not in json.dumps(inline)
    config = next(
        text
        for config_map in engine.all("ConfigMap")
        if "provider: sagemaker" in (text := config_map.inputs["data"].get("config.yaml", ""))
    )
    hosted, filtered = sorted(
        yaml_files.loads(config, "config").data["models"], key=lambda m: "guardrail" in m
    )
    assert (hosted["name"], "guardrail" in hosted) == ("internal-open--drafts", False)
    assert "guardrail" in filtered


def access(engine: Engine, **more: Any) -> None:
    arguments = {"name": "internal", "sensitivity": "internal", "role": "role", "endpoints": [ARN]}
    engine.deploy(SageMakerAccess, "bank-internal", {**arguments, **more})


def test_without_a_network_calls_come_from_anywhere(engine: Engine) -> None:
    access(engine)
    (policy,) = documents(engine, "Policy").values()
    assert [statement["Sid"] for statement in policy] == ["CallEndpoints"]
    assert engine.outputs["endpoint_arns"] == [ARN]


@pytest.mark.parametrize(
    "arn", ["*", ARN.replace("bank-qwen-1", "*"), "arn:aws:sagemaker:eu-central-1:1:model/m"]
)
def test_a_policy_names_one_endpoint_each(engine: Engine, arn: str) -> None:
    with pytest.raises(Refused, match="is not the ARN of one endpoint"):
        access(engine, endpoints=[arn])


def test_an_identity_that_calls_nothing_gets_no_policy(engine: Engine) -> None:
    with pytest.raises(InputError, match="lists no endpoints"):
        access(engine, endpoints=[])


def test_restricted_work_gets_none(engine: Engine) -> None:
    with pytest.raises(
        Refused,
        match=r"class restricted may not use sagemaker or any other target in AWS\. Fix: Use onprem-vllm",
    ):
        access(engine, sensitivity="restricted")
