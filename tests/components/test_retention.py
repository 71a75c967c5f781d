"""What a durable platform keeps, and what goes with a disposable one."""

from typing import Any

from tests.components.conftest import Engine, build

MODELS = {
    "isthmus-fra1-restricted-llama-70b",
    "isthmus-fra1-confidential-llama-8b",
    "isthmus-fra1-restricted-namespace",
    "isthmus-fra1-confidential-namespace",
}
SHARED = ["cost-allocation tag isthmus-platform", "cost-allocation tag isthmus.dev/class"]


def test_a_durable_platform_protects_records_their_keys_and_models_and_nothing_else(built: Engine) -> None:
    protected = [resource for resource in built.made if resource.protected]
    assert {resource.kind for resource in protected} == {
        "Bucket",
        "Key",
        "LogGroup",
        "PersistentVolumeClaim",
        "Namespace",
    }
    assert all(resource.retained for resource in protected), "protected, and still deleted once it is not"
    names = {resource.name for resource in protected if resource.type.startswith("kubernetes:")}
    assert names == MODELS, "a class without a model store keeps no namespace"
    # A topic's key seals messages on their way, and no record.
    assert not built.only("Key", "isthmus-frankfurt-audit-alarms-key").protected


def test_a_disposable_platform_leaves_what_the_whole_account_shares_and_nothing_else(
    engine: Engine, platform: dict[str, Any]
) -> None:
    platform["lifecycle"] = "disposable"
    build(engine, platform)
    assert not [resource.name for resource in engine.made if resource.protected]
    assert {resource.kind for resource in engine.made if resource.retained} == {"CostAllocationTag"}
    assert sorted(engine.outputs["retained"]) == SHARED


def test_durable_and_disposable_platforms_differ_only_in_retention(
    engine: Engine, platform: dict[str, Any], built: Engine
) -> None:
    platform["lifecycle"] = "disposable"
    build(engine, platform)
    first, second = (
        {(resource.type, resource.name): resource.inputs for resource in run.made} for run in (engine, built)
    )
    assert first == second


def test_a_model_without_a_volume_of_its_own_keeps_no_namespace(
    engine: Engine, platform: dict[str, Any]
) -> None:
    del platform["endpoints"][0]["weights"]["volume"]
    build(engine, platform)
    assert not engine.only("Namespace", "isthmus-fra1-restricted-namespace").retained
    assert not [name for name in engine.outputs["retained"] if "restricted" in name]
