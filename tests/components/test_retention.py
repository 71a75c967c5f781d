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
    protected = [made for made in built.made if made.protected]
    assert {made.kind for made in protected} == {
        "Bucket",
        "Key",
        "LogGroup",
        "PersistentVolumeClaim",
        "Namespace",
    }
    assert all(made.retained for made in protected), "protected, and still deleted once it is not"
    kept = {made.name for made in protected if made.type.startswith("kubernetes:")}
    assert kept == MODELS, "a class without a model store keeps no namespace"
    # A topic's key seals messages on their way, and no record.
    assert not built.only("Key", "isthmus-frankfurt-audit-alarms-key").protected


def test_a_disposable_platform_leaves_what_the_whole_account_shares_and_nothing_else(
    engine: Engine, platform: dict[str, Any]
) -> None:
    platform["lifecycle"] = "disposable"
    build(engine, platform)
    assert not [made.name for made in engine.made if made.protected]
    assert {made.kind for made in engine.made if made.retained} == {"CostAllocationTag"}
    assert sorted(engine.outputs["retained"]) == SHARED


def test_what_the_two_make_differs_in_how_it_is_kept_only(
    engine: Engine, platform: dict[str, Any], built: Engine
) -> None:
    platform["lifecycle"] = "disposable"
    build(engine, platform)
    one, other = ({(made.type, made.name): made.inputs for made in each.made} for each in (engine, built))
    assert one == other


def test_a_model_without_a_volume_of_its_own_keeps_no_namespace(
    engine: Engine, platform: dict[str, Any]
) -> None:
    del platform["endpoints"][0]["weights"]["volume"]
    build(engine, platform)
    assert not engine.only("Namespace", "isthmus-fra1-restricted-namespace").retained
    assert not [each for each in engine.outputs["retained"] if "restricted" in each]
