"""What to evaluate next: models that a workload does not consider yet, and could."""

from __future__ import annotations

import functools

import pytest

from isthmus.blueprints.offers import offers
from isthmus.core.errors import InputError
from isthmus.planning.catalogues import bedrock, models
from isthmus.planning.options.option import Rules
from isthmus.planning.unconsidered import DEAREST, Unconsidered, models_to_evaluate, worth_a_look
from tests.planning.test_planner import TODAY, bank, read

RULES = Rules(TODAY, frozenset[str]().union(*(offer.builds for offer in offers())))
KYC, ASSISTANT = "kyc-extraction", "policy-assistant"
"""A confidential workload and an internal one."""


@functools.cache
def of(workload: str) -> list[Unconsidered]:
    """With a tenth of the catalogue's models, besides the candidates."""
    with pytest.MonkeyPatch.context() as patch:
        for catalogue in (models, bedrock):
            tenth = catalogue.ids()[::10]
            patch.setattr(catalogue, "ids", lambda tenth=tenth: tenth)
        return models_to_evaluate(read(bank()), RULES, workload)


@pytest.mark.parametrize("workload", [KYC, ASSISTANT])
def test_a_candidate_is_not_listed_again_under_either_of_its_names(workload: str):
    [stated] = [one for one in read(bank()).workloads if one.name == workload]
    known = {name for one in stated.model.candidates for name in (one.id, bedrock.bedrock_id(one.id))}
    assert not known & {one.model for one in of(workload)}


def test_a_class_that_stays_on_prem_gets_no_model_of_a_cloud():
    assert of(KYC)
    assert not [one for one in of(KYC) if one.precision == "api"]
    assert [one for one in of(ASSISTANT) if one.precision == "api"]


def test_only_models_of_the_workload_s_task_are_listed():
    for one in of(ASSISTANT):
        task = bedrock.task(one.model) if one.precision == "api" else models.find_model(one.model).task
        assert task == "chat"


def test_each_model_stands_once_with_its_cost_and_that_of_today():
    listed = of(ASSISTANT)
    assert len({one.model for one in listed}) == len(listed)
    assert [one.monthly_usd for one in listed] == sorted(one.monthly_usd for one in listed)
    assert len({one.candidate_usd for one in listed}) == 1
    assert all(one.monthly_usd > 0 for one in listed)


def test_worth_a_look_is_what_nothing_cheaper_outgrows():
    listed = of(KYC)
    shown = worth_a_look(listed)
    sizes = [one.parameters_billion or 0.0 for one in shown]
    assert sizes == sorted(set(sizes))
    for one in listed:
        dearest = DEAREST * (one.candidate_usd or 0.0)
        assert (
            one in shown
            or one.monthly_usd > dearest
            or any(
                other.monthly_usd <= one.monthly_usd
                and (other.parameters_billion or 0) >= (one.parameters_billion or 0)
                for other in shown
            )
        )


def test_what_costs_over_three_times_as_much_is_left_out():
    one = Unconsidered("w", "m", "api", "p", None, 301.0, 100.0)
    assert worth_a_look([one]) == []
    assert worth_a_look([Unconsidered("w", "m", "api", "p", None, 299.0, 100.0)])
    assert worth_a_look([Unconsidered("w", "m", "api", "p", None, 301.0, None)])


def test_an_unknown_workload_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="policy-assistant"):
        models_to_evaluate(read(bank()), RULES, "no-such")
