"""The whole platform, from the bank's contract."""

import json
from typing import Any

import pulumi
import pytest

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.core.errors import InputError
from tests.components.conftest import Engine, bank, build

WIDE, OWN = (f"arn:aws:iam::123456789012:policy/{name}" for name in ("wide", "isthmus-boundary"))


@pytest.fixture(scope="module")
def varied() -> Engine:
    """The bank with regions left to its site and profiles, a boundary of its own, and throughput bought."""
    platform, engine = bank(), Engine()
    for endpoint in platform["endpoints"][2:]:
        del endpoint["region"], endpoint["destination_regions"]
    platform["sites"][1]["permissions_boundary"] = WIDE
    (guardrail,) = [
        guardrail for guardrail in platform["guardrails"] if guardrail["name"] == "internal-frankfurt"
    ]
    guardrail["earlier_versions"] = ["7"]
    platform["provisioned"] = [
        {"name": "units", "endpoint": "public-nova-lite", "model_units": 1, "commitment": "one-month"}
    ]
    build(engine, platform)
    return engine


def test_each_gateway_is_named_with_its_class_site_and_address(built: Engine) -> None:
    gateways = {
        (gateway["class"], gateway["site"], gateway["address"]) for gateway in built.outputs["gateways"]
    }
    assert gateways == {
        (sensitivity, "fra1", f"https://{sensitivity}-gateway.isthmus-{sensitivity}.svc:8443")
        for sensitivity in ("restricted", "confidential", "internal", "public")
    }


def test_each_endpoint_is_named_with_its_model_and_place(built: Engine) -> None:
    places = {
        endpoint["id"]: (endpoint["target"], endpoint["place"]) for endpoint in built.outputs["endpoints"]
    }
    assert places == {
        "restricted-llama-70b": ("onprem-vllm", "fra1/fra1-h100-sxm-80gb"),
        "confidential-llama-8b": ("onprem-vllm", "fra1/fra1-l40s-48gb"),
        "internal-haiku": ("bedrock", "frankfurt (eu-central-1)"),
        "public-nova-lite": ("bedrock", "frankfurt (eu-central-1)"),
    }


def test_each_workload_has_a_line_about_its_data_path(built: Engine) -> None:
    lines = built.outputs["data_paths"]
    assert lines[0] == "transaction-narratives (restricted): fra1/restricted-llama-70b only; never AWS", lines
    assert "never AWS" not in lines[2]
    assert "processed in eu-central-1, eu-north-1, eu-west-1" in lines[2]


def test_regions_come_from_the_site_and_the_profile_where_the_endpoint_names_none(varied: Engine) -> None:
    assert "eu-west-3" in varied.outputs["data_paths"][3]


def test_the_gpus_requested_are_the_plans(built: Engine) -> None:
    requested = sum(
        deployment.spec["replicas"] * int(box["resources"]["requests"].get("nvidia.com/gpu", 0))
        for deployment in built.all("Deployment")
        for box in deployment.pod["containers"]
    )
    assert requested == 14


def test_every_resource_takes_its_sites_provider(built: Engine) -> None:
    for resource in built.made:
        if not resource.type.startswith("pulumi:"):
            provider = "frankfurt" if resource.type.startswith("aws:") else "fra1"
            assert resource.provider == provider, f"{resource.name} is not at {provider}"


def test_every_resource_is_named_after_its_parent(built: Engine) -> None:
    for resource in built.made:
        if not resource.type.startswith("pulumi:"):
            assert resource.name.startswith(f"{resource.parent}-"), f"{resource.name} below {resource.parent}"


def test_workloads_wait_for_the_admission_bindings(built: Engine) -> None:
    order = [resource.name for resource in built.made]
    last_binding = max(
        order.index(validating_admission_policy_binding.name)
        for validating_admission_policy_binding in built.all("ValidatingAdmissionPolicyBinding")
    )
    for deployment in built.all("Deployment"):
        assert order.index(deployment.name) > last_binding, (
            f"{deployment.name} could be made before admission guards it"
        )


def test_gateways_wait_for_the_taints_of_gpu_machines(built: Engine) -> None:
    order = [resource.name for resource in built.made]
    last_taint = max(order.index(node_patch.name) for node_patch in built.all("NodePatch"))
    models = {deployment.name for deployment in built.all("Deployment") if "llama" in deployment.name}
    assert len(models) == 2, "a model server waits for the pool that it selects, and needs no other"
    for deployment in built.all("Deployment"):
        if deployment.name not in models:
            assert order.index(deployment.name) > last_taint, (
                f"{deployment.name} could settle on a GPU machine"
            )


def test_adding_a_replica_changes_only_the_deployment_the_quota_and_the_alerts(
    engine: Engine, platform: dict[str, Any], built: Engine
) -> None:
    # A table and its association bear one name, so do a topic's key and the rule that watches the trail's.
    before = {(resource.type, resource.name): resource.inputs for resource in built.made}
    platform["endpoints"][1].update(replicas=7, gpus=7)
    build(engine, platform)
    changed = {
        resource.name
        for resource in engine.made
        if resource.inputs != before.get((resource.type, resource.name))
    }
    assert changed == {
        "isthmus-confidential-llama-8b-server",
        "isthmus-fra1-confidential-quota",
        "isthmus-fra1-confidential-rules",
    }
    assert len(engine.made) == len(before)


def test_a_quota_has_room_for_a_replica_that_is_ending(built: Engine) -> None:
    quota = built.only("ResourceQuota", "isthmus-fra1-restricted-quota").spec["hard"]
    assert quota["requests.nvidia.com/gpu"] == "12", "8 in use, and 4 of one that ends"


def test_twice_the_same_contract_gives_the_same_resources(
    engine: Engine, platform: dict[str, Any], built: Engine
) -> None:
    build(engine, platform)
    first, second = (
        {(resource.type, resource.name): resource.inputs for resource in run.made} for run in (engine, built)
    )
    assert first == second
    assert len(first) == len(engine.made) == len(built.made)


def test_records_their_keys_and_account_wide_settings_are_retained(
    built: Engine,
) -> None:
    assert sorted(built.outputs["retained"]) == [
        "Namespace isthmus-confidential at fra1",
        "Namespace isthmus-restricted at fra1",
        "PersistentVolumeClaim isthmus-confidential/llama-8b at fra1",
        "PersistentVolumeClaim isthmus-restricted/llama-70b at fra1",
        "arn:aws:cloudwatch/logGroup:::isthmus-frankfurt-audit-trail-logs",
        "arn:aws:cloudwatch/logGroup:::isthmus-frankfurt-calls-logs",
        "arn:aws:cloudwatch/logGroup:::isthmus-frankfurt-network-flow-logs",
        "arn:aws:cloudwatch/logGroup:::isthmus-frankfurt-network-queries-logs",
        "arn:aws:kms/key:::isthmus-frankfurt-audit-key",
        "arn:aws:kms/key:::isthmus-frankfurt-audit-trail-log-key",
        "arn:aws:kms/key:::isthmus-frankfurt-calls-log-key",
        "arn:aws:kms/key:::isthmus-frankfurt-network-flow-log-key",
        "arn:aws:kms/key:::isthmus-frankfurt-network-queries-log-key",
        "arn:aws:s3/bucket:::isthmus-frankfurt-audit-bucket",
        "cost-allocation tag isthmus-platform",
        "cost-allocation tag isthmus.dev/class",
    ]


def test_retained_resources_are_named(varied: Engine) -> None:
    bucket_settings = {  # not things of their own, but settings of a bucket that is named
        *("BucketVersioning", "BucketObjectLockConfiguration", "BucketServerSideEncryptionConfiguration"),
        *(
            "BucketPublicAccessBlock",
            "BucketOwnershipControls",
            "BucketPolicy",
            "BucketLifecycleConfiguration",
        ),
    }
    left = [
        resource for resource in varied.made if resource.retained and resource.kind not in bucket_settings
    ]
    assert {resource.kind for resource in left} == {
        *("Bucket", "Key", "LogGroup", "CostAllocationTag", "ProvisionedModelThroughput"),
        *("Namespace", "PersistentVolumeClaim"),
    }
    assert len(varied.outputs["retained"]) == len(left)


def test_each_class_with_a_network_of_its_own_has_its_own_link_and_endpoints(
    engine: Engine, platform: dict[str, Any]
) -> None:
    (network,), (link,) = platform["networks"], platform["links"]
    network["classes"], link["classes"] = ["internal"], ["internal"]
    platform["networks"].append({**network, "name": "open", "cidr": "10.81.0.0/16", "classes": ["public"]})
    platform["links"].append(
        {**link, "name": "open", "classes": ["public"], "site_asn": 65011, "sources": ["10.40.0.0/24"]}
    )
    build(engine, platform)
    for link_name, vpc in (("isthmus-fra1-frankfurt", "frankfurt"), ("isthmus-open", "open")):
        attached = engine.only("VpcAttachment", f"{link_name}-vpc").inputs
        assert attached["vpcId"] == f"isthmus-{vpc}-network-vpc-id", (
            "one class would cross by another's network"
        )
    let_in = {
        (
            security_group_ingress_rule.inputs["securityGroupId"],
            security_group_ingress_rule.inputs["cidrIpv4"],
        )
        for security_group_ingress_rule in engine.all("SecurityGroupIngressRule")
        if security_group_ingress_rule.inputs["fromPort"] == 443
    }
    assert let_in == {
        ("isthmus-frankfurt-endpoints-group-id", "10.40.0.0/16"),
        ("isthmus-open-endpoints-group-id", "10.40.0.0/24"),
    }


def test_an_identitys_boundary_ends_at_the_regions_of_its_models(built: Engine) -> None:
    boundary = json.loads(built.only("Policy", "isthmus-public-bedrock-identity-boundary").inputs["policy"])
    (denied,) = [statement for statement in boundary["Statement"] if statement["Sid"] == "NoOtherRegion"]
    regions = denied["Condition"]["StringNotEquals"]["aws:RequestedRegion"]
    assert regions == ["eu-central-1", "eu-north-1", "eu-west-1", "eu-west-3"]


def test_a_sites_boundary_bounds_every_role_there_and_an_identitys_own_its_role(varied: Engine) -> None:
    bounds = {role.name: role.inputs["permissionsBoundary"] for role in varied.all("Role")}
    assert bounds.pop("isthmus-internal-bedrock-identity-role") == OWN
    assert set(bounds.values()) == {WIDE}
    assert len(bounds) == 6, "flow logs, log of calls, trail, two budgets, the public identity"


def test_calls_may_name_an_earlier_version_of_a_guardrail_while_pods_roll(varied: Engine) -> None:
    def versions(policy: str) -> set[str]:
        statements = json.loads(varied.only("RolePolicy", policy).inputs["policy"])["Statement"]
        (denied,) = [statement for statement in statements if statement["Sid"] == "NoCallPastTheGuardrail"]
        (bedrock_guardrail_identifier,) = [
            condition["bedrock:GuardrailIdentifier"] for condition in denied["Condition"].values()
        ]
        return {arn.rpartition(":")[2] for arn in bedrock_guardrail_identifier}

    assert "7" in versions("isthmus-internal-bedrock-policy")
    assert "7" not in versions("isthmus-public-bedrock-policy")


def test_a_member_account_activates_no_cost_tags(engine: Engine, platform: dict[str, Any]) -> None:
    platform["cost_tags"] = "existing"
    build(engine, platform)
    assert not engine.all("CostAllocationTag")
    assert not [name for name in engine.outputs["retained"] if "tag" in name]
    assert engine.all("Budget")


def test_a_site_without_a_provider_is_an_error_that_names_it(
    engine: Engine, platform: dict[str, Any]
) -> None:
    from components import LlmPlatform

    with pytest.raises(InputError, match="site 'frankfurt' has no provider"):
        engine.run(lambda: LlmPlatform("isthmus", CheckedPlatform.model_validate(platform), {}))


def test_a_stack_without_aws_imports_no_aws(engine: Engine, platform: dict[str, Any]) -> None:
    import subprocess
    import sys

    program = (
        "import sys, components.llm_platform, components.serving.mapping;"
        "sys.exit(any(m.startswith(('pulumi_aws', 'pulumi_kubernetes')) for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_gateway_is_not_registered_with_another_components_address(
    engine: Engine, platform: dict[str, Any]
) -> None:
    """All that the gateway is made of would wait for the model's Service: 10 s of every first `up`."""
    from components.base.argument_checks import without_outputs

    address = pulumi.Output.from_input("10.96.0.1")
    registered = {"routes": [{"workload": "a", "cluster_ip": address}], "replicas": 2, "role": address}
    assert without_outputs(registered) == {"routes": [{"workload": "a"}], "replicas": 2}


def test_an_endpoint_over_two_nodes_counts_every_pod_in_its_classs_quota(
    engine: Engine, platform: dict[str, Any]
) -> None:
    wide = platform["endpoints"][0]
    wide |= {"tensor_parallel": 8, "nodes_per_replica": 2, "replicas": 1, "gpus": 16, "survive": "none"}
    build(engine, platform)
    sets = engine.only("LeaderWorkerSet").spec["leaderWorkerTemplate"]
    assert sets["size"] == 2
    (quota,) = [
        resource_quota.spec["hard"]
        for resource_quota in engine.all("ResourceQuota")
        if resource_quota.name.endswith("restricted-quota")
    ]
    assert quota["requests.nvidia.com/gpu"] == "32", "a group, and one more that is ending"
    gateway = 2 * 3
    assert int(quota["pods"]) == 2 * 2 + gateway
    cpu = 2 * (2 * 16 + 1) + gateway
    assert int(quota["requests.cpu"]) == cpu
