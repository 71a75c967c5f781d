"""What can be planned, listed: filters by task, class, region, licence, price, memory and GPU."""

from __future__ import annotations

import re

import pytest

from isthmus.core.errors import InputError
from isthmus.planning.catalogues import bedrock, gpus, models
from isthmus.planning.catalogues.listing import ModelFilter, list_gpus, list_models, regions
from isthmus.planning.catalogues.precision import weight_bytes
from tests.planning.test_planner import bank, make


def test_every_open_model_with_published_weights_is_listed_with_its_licence_and_source():
    listed = [model for model in list_models(ModelFilter()) if model.where == "gpus"]
    assert {model.model for model in listed} == {
        name for name in models.ids() if models.find_model(name).precisions
    }
    assert all(model.licence and model.source and model.as_of for model in listed)


@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1"])
def test_a_model_is_listed_where_it_can_be_called_and_nowhere_else(region: str):
    listed = list_models(ModelFilter(region=region))
    assert {model.where for model in listed} == {"bedrock"}
    assert {model.model for model in listed} == {
        name
        for name in bedrock.ids()
        if bedrock.calls(name, region) and not ((ending := bedrock.ending(name)) and ending.is_over)
    }
    for model in listed:
        assert model.input_usd == min(call.price.input for call in bedrock.calls(model.model, region))


def test_the_classes_that_may_not_use_bedrock_get_open_models_only():
    assert {model.where for model in list_models(ModelFilter(class_="restricted"))} == {"gpus"}
    assert {model.where for model in list_models(ModelFilter(class_="public"))} == {"gpus", "bedrock"}


def test_weights_fit_the_memory_and_the_gpu_that_were_asked_for():
    small = list_models(ModelFilter(memory_gib=8))
    assert small
    assert all(model.weights_gib is not None and model.weights_gib <= 8 for model in small)
    card = gpus.find("l40s-48gb")
    for model in list_models(ModelFilter(gpu="l40s-48gb")):
        known = models.find_model(model.model)
        assert set(model.precisions) <= set(card.precisions)
        smallest = min(
            weight_bytes(known.architecture, precision) + known.extra_weight_bytes(precision)
            for precision in model.precisions
        )
        assert smallest <= card.usable_mib * 0.9 * (1 << 20)


def test_filters_join():
    listed = list_models(ModelFilter(task="embedding", licence="mit"))
    assert {model.task for model in listed} == {"embedding"}
    assert all("mit" in model.licence.lower() for model in listed)
    cheap = list_models(ModelFilter(region="eu-central-1", max_price=0.5))
    assert cheap
    assert all(model.blended_usd is not None and model.blended_usd <= 0.5 for model in cheap)


def test_a_gpu_has_the_instance_of_its_lowest_price_in_the_region():
    priced = list_gpus("eu-central-1")
    assert priced
    assert all(gpu.instance and gpu.usd_per_gpu_hour for gpu in priced)
    assert {gpu.gpu for gpu in list_gpus()} == set(gpus.ids())
    assert all(gpu.memory_gib >= 80 for gpu in list_gpus(memory_gib=80))


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (ModelFilter(task="chta"), "Did you mean `chat`?"),
        (ModelFilter(region="eu-centrl-1"), "Did you mean `eu-central-1`?"),
        (ModelFilter(gpu="l40s"), "the GPU `l40s` is not in the catalogue"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(wanted: ModelFilter, problem: str):
    with pytest.raises(InputError) as raised:
        list_models(wanted)
    assert problem in str(raised.value)
    assert "eu-central-1" in regions()


def test_an_unknown_candidate_is_answered_by_a_model_that_can_be_called_from_the_sites():
    data = bank()
    data["workloads"][-1]["model"]["candidates"] = [{"id": "claude-haiku-4.5", "scores": {"api": 0.9}}]
    with pytest.raises(InputError) as raised:
        make(data)
    suggested = re.findall(r"Did you mean `([^`]+)`", str(raised.value))
    region = next(site["region"] for site in data["sites"] if site["kind"] == "aws")
    assert all(name in models.ids() or bedrock.calls(name, region) for name in suggested)
    assert "`isthmus models` lists what can be planned" in str(raised.value)
