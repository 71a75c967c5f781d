"""The whole platform, from the bank's contract."""

from typing import Any

import pulumi
import pytest

from isthmus.contracts.errors import InputError
from isthmus.contracts.platform import Platform
from tests.components.conftest import Engine, build


def test_each_gateway_is_named_with_its_class_site_and_address(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, platform)
    named = {(each["class"], each["site"], each["address"]) for each in engine.outputs["gateways"]}
    assert named == {
        (held, "fra1", f"https://{held}-gateway.isthmus-{held}.svc:8443")
        for held in ("restricted", "confidential", "internal", "public")
    }


def test_each_endpoint_is_named_with_its_model_and_place(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, platform)
    places = {each["id"]: (each["target"], each["place"]) for each in engine.outputs["endpoints"]}
    assert places == {
        "restricted-llama-70b": ("onprem-vllm", "fra1/fra1-h100-sxm-80gb"),
        "confidential-llama-8b": ("onprem-vllm", "fra1/fra1-l40s-48gb"),
        "internal-haiku": ("bedrock", "frankfurt (eu-central-1)"),
        "public-nova-lite": ("bedrock", "frankfurt (eu-central-1)"),
    }


def test_a_line_says_where_each_workloads_data_may_go(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, platform)
    lines = engine.outputs["data_paths"]
    assert lines[0] == "transaction-narratives (restricted): fra1/restricted-llama-70b only; never AWS", lines
    assert "never AWS" not in lines[2]
    assert "processed in eu-central-1, eu-north-1, eu-west-1" in lines[2]


def test_regions_come_from_the_site_and_the_profile_where_the_endpoint_names_none(
    engine: Engine, platform: dict[str, Any]
) -> None:
    for endpoint in platform["endpoints"][2:]:
        del endpoint["region"], endpoint["destination_regions"]
    build(engine, platform)
    assert "eu-west-3" in engine.outputs["data_paths"][3]


def test_the_gpus_requested_are_the_plans(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, platform)
    requested = sum(
        made.spec["replicas"] * int(box["resources"]["requests"].get("nvidia.com/gpu", 0))
        for made in engine.all("Deployment")
        for box in made.pod["containers"]
    )
    assert requested == 14


def test_every_resource_takes_its_sites_provider(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, platform)
    for made in engine.made:
        if not made.type.startswith("pulumi:"):
            wanted = "frankfurt" if made.type.startswith("aws:") else "fra1"
            assert made.provider == wanted, f"{made.name} is not at {wanted}"


def test_every_resource_is_named_after_its_parent(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, platform)
    for made in engine.made:
        if not made.type.startswith("pulumi:"):
            assert made.name.startswith(f"{made.parent}-"), f"{made.name} below {made.parent}"


def test_workloads_wait_for_the_admission_bindings(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, platform)
    order = [made.name for made in engine.made]
    last_binding = max(order.index(made.name) for made in engine.all("ValidatingAdmissionPolicyBinding"))
    for made in engine.all("Deployment"):
        assert order.index(made.name) > last_binding, f"{made.name} could be made before admission guards it"


def test_gateways_wait_for_the_taints_of_gpu_machines(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, platform)
    order = [made.name for made in engine.made]
    last_taint = max(order.index(made.name) for made in engine.all("NodePatch"))
    models = {made.name for made in engine.all("Deployment") if "llama" in made.name}
    assert len(models) == 2, "a model server waits for the pool that it selects, and needs no other"
    for made in engine.all("Deployment"):
        if made.name not in models:
            assert order.index(made.name) > last_taint, f"{made.name} could settle on a GPU machine"


def test_one_replica_more_changes_the_deployment_and_the_quota_only(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, platform)
    before = {made.name: made.inputs for made in engine.made}
    again = Engine()
    platform["endpoints"][1].update(replicas=7, gpus=7)
    build(again, platform)
    changed = {made.name for made in again.made if made.inputs != before.get(made.name)}
    assert changed == {"isthmus-confidential-llama-8b-server", "isthmus-fra1-confidential-quota"}
    assert len(again.made) == len(before)


def test_a_quota_has_room_for_a_replica_that_is_ending(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, platform)
    quota = engine.only("ResourceQuota", "isthmus-fra1-restricted-quota").spec["hard"]
    assert quota["requests.nvidia.com/gpu"] == "12", "8 in use, and 4 of one that ends"


def test_twice_the_same_contract_gives_the_same_resources(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, platform)
    again = Engine()
    build(again, platform)
    assert {made.name: made.inputs for made in again.made} == {made.name: made.inputs for made in engine.made}


def test_what_is_retained_is_the_bucket_and_its_key(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, platform)
    assert [each.split(":")[2] for each in engine.outputs["retained"]] == ["s3/bucket", "kms/key"]


def test_a_site_without_a_provider_is_an_error_that_names_it(
    engine: Engine, platform: dict[str, Any]
) -> None:
    from components import LlmPlatform

    with pytest.raises(InputError, match="site 'frankfurt' has no provider"):
        engine.run(lambda: LlmPlatform("isthmus", Platform.model_validate(platform), {}))


def test_a_stack_without_aws_imports_no_aws(engine: Engine, platform: dict[str, Any]) -> None:
    import subprocess
    import sys

    program = (
        "import sys, components.llm_platform, components.arguments;"
        "sys.exit(any(m.startswith(('pulumi_aws', 'pulumi_kubernetes')) for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_gateway_is_not_registered_with_another_components_address(
    engine: Engine, platform: dict[str, Any]
) -> None:
    """All that the gateway is made of would wait for the model's Service: 10 s of every first `up`."""
    from components.checks import without_outputs

    address = pulumi.Output.from_input("10.96.0.1")
    given = {"routes": [{"workload": "a", "cluster_ip": address}], "replicas": 2, "role": address}
    assert without_outputs(given) == {"routes": [{"workload": "a"}], "replicas": 2}
