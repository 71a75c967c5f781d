"""What a stack's configuration says of layers, right and wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.blueprints import estates
from isthmus.blueprints.estates import Estate, Member
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse

FOUNDATION, BELOW = Member("f", "bank", "foundation"), Member("p", "bank", "platform")


def member(**settings: Any) -> Member | None:
    return estates.read_member({f"isthmus:{key}": value for key, value in settings.items()}, "x")


def estate(*serves: list[str] | None) -> Estate:
    serving = [
        Member(f"s{at}", "bank", "serving", None if workloads is None else tuple(workloads))
        for at, workloads in enumerate(serves)
    ]
    return Estate("bank", (FOUNDATION, BELOW, *serving))


def shared(**more: Any) -> Platform:
    """A bank with a second confidential model, which reads the first one's claim."""
    platform = parse(platform_data())
    (model,) = [endpoint for endpoint in platform.endpoints if endpoint.class_ == "confidential"]
    assert model.weights is not None
    weights = model.weights.model_copy(update={"uri": "pvc://shared", "volume": "weights-shared"})
    first = model.model_copy(update={"weights": weights})
    second = first.model_copy(update={"id": "confidential-second", **more})
    endpoints = [endpoint for endpoint in platform.endpoints if endpoint != model]
    return platform.model_copy(update={"endpoints": [*endpoints, first, second]})


def test_a_stack_without_layer_owns_everything():
    assert member() is None
    assert member(layer="all") is None


def test_a_layer_names_its_estate_and_serving_its_models():
    assert member(layer="platform", of="bank") == Member("x", "bank", "platform")
    assert member(layer="serving", of="bank", serves=["internal"]) == Member(
        "x", "bank", "serving", ("internal",)
    )


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"layer": "platfrom", "of": "bank"}, r"no layer `platfrom`.*Did you mean `platform`"),
        ({"layer": "platform"}, "layer `platform` needs the name of its estate"),
        ({"layer": "platform", "of": ["bank"]}, "layer `platform` needs the name of its estate"),
        ({"of": "bank"}, r"`isthmus:of` is set on a stack that owns its whole platform"),
        ({"serves": ["internal"]}, r"`isthmus:serves` is set on a stack that owns its whole platform"),
        ({"layer": "platform", "of": "bank", "serves": ["internal"]}, "layer `platform` serves no model"),
        ({"layer": "serving", "of": "bank", "serves": "internal"}, "not a list of classes"),
        ({"layer": "serving", "of": "bank", "serves": []}, "not a list of classes"),
        ({"layer": "serving", "of": "bank", "overrides": {}}, r"share their overrides.*bank.overrides.yaml"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_do(settings: dict[str, Any], wrong: str):
    with pytest.raises(InputError, match=wrong):
        member(**settings)


def test_exactly_one_stack_serves_each_model_on_gpus_and_none_serves_bedrock_models():
    platform = parse(platform_data())
    bank_estate = estate(["restricted"], ["confidential"])
    assert [bank_estate.served_by(platform, stack) for stack in bank_estate.in_layer("serving")] == [
        {endpoint.id for endpoint in platform.endpoints if endpoint.class_ == "restricted"},
        {endpoint.id for endpoint in platform.endpoints if endpoint.class_ == "confidential"},
    ]
    assert bank_estate.served_by(platform, BELOW) == frozenset()
    alone = estate(None)
    assert len(alone.served_by(platform, alone.in_layer("serving")[0])) == 2


def test_a_model_is_named_by_its_endpoint_as_well():
    platform = parse(platform_data())
    ids = [endpoint.id for endpoint in platform.endpoints if endpoint.pool]
    bank_estate = estate([ids[0]], [ids[1]])
    assert bank_estate.served_by(platform, bank_estate.in_layer("serving")[1]) == {ids[1]}


@pytest.mark.parametrize(
    ("serves", "wrong"),
    [
        ([["restricted"]], "confidential-llama-8b is served by no stack"),
        ([["restricted", "confidential"], ["confidential-llama-8b"]], "is served by s0 and s1"),
        ([None, ["restricted"]], "is served by s0 and s1"),
        (
            [["restrcted", "confidential"]],
            r"no class or endpoint is named `restrcted`.*Did you mean `restricted`",
        ),
        ([None, ["internal-haiku"]], "internal-haiku is on Bedrock, so no stack serves it"),
    ],
)
def test_unserved_models_models_served_twice_and_wrong_names_are_refused(
    serves: list[list[str] | None], wrong: str
):
    with pytest.raises(InputError, match=wrong):
        estate(*serves).served_by(parse(platform_data()), BELOW)


def test_one_claim_on_weights_has_one_stack():
    bank_estate = estate(["restricted", "confidential-llama-8b"], ["confidential-second"])
    with pytest.raises(InputError, match=r"s0 and s1 both claim shared of class confidential at fra1"):
        bank_estate.served_by(shared(), BELOW)
    class_estate = estate(["restricted"], ["confidential"])
    assert len(class_estate.served_by(shared(), class_estate.in_layer("serving")[1])) == 2


def test_a_bedrock_only_platform_has_no_models_to_serve():
    platform = parse(platform_data())
    all_on_bedrock = platform.model_copy(
        update={"endpoints": [endpoint for endpoint in platform.endpoints if endpoint.target == "bedrock"]}
    )
    assert estate().served_by(all_on_bedrock, BELOW) == frozenset()
    with pytest.raises(InputError, match=r"Pulumi\.f\.yaml.*restricted-llama-70b is served by no stack"):
        estate().served_by(platform, BELOW)


def files(folder: Path, **stacks: dict[str, Any]) -> Path:
    for name, settings in stacks.items():
        config = {f"isthmus:{key}": value for key, value in settings.items()}
        yaml_files.dump({"config": config}, "", folder / f"Pulumi.{name}.yaml")
    return folder


F, P, S = ({"layer": layer, "of": "bank"} for layer in ("foundation", "platform", "serving"))


def test_an_estate_lists_its_stacks_from_the_lowest_layer_up(tmp_path: Path):
    files(tmp_path, a=S, b=P, c=F, alone={}, d={**S, "serves": ["public"]})
    (estate_found,) = estates.estates(tmp_path).values()
    assert [stack.stack for stack in estate_found.members] == ["c", "b", "a", "d"]
    by_name = {stack.stack: stack for stack in estate_found.members}
    assert estate_found.below(by_name["a"]) == [by_name["b"]]
    assert estate_found.below(by_name["b"]) == [by_name["c"]]
    assert estate_found.above(by_name["b"]) == [by_name["a"], by_name["d"]]
    assert estate_found.above(by_name["a"]) == estate_found.below(by_name["c"]) == []


@pytest.mark.parametrize(
    ("stacks", "wrong"),
    [
        ({"a": F, "b": S}, "has 0 stacks of layer platform: none"),
        ({"b": P, "c": S}, "has 0 stacks of layer foundation"),
        ({"a": F, "b": P, "c": P, "d": S}, "has 2 stacks of layer platform: b, c"),
        ({"a": F, "b": P, "c": S, "bank": {}}, "`bank` is a stack and an estate"),
    ],
)
def test_an_incomplete_estate_is_refused(tmp_path: Path, stacks: dict[str, Any], wrong: str):
    with pytest.raises(InputError, match=wrong):
        estates.estates(files(tmp_path, **stacks))
