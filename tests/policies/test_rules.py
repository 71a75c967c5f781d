"""Each rule: kept, broken, a property missing, one unknown at preview, and of several resources one at fault."""

from __future__ import annotations

import pytest

from isthmus.contracts.policy_settings import Figures, Settings
from policies.evaluation.evaluation import judge
from policies.evaluation.registry import RULES
from tests.policies import (
    cases_accounts,
    cases_aws,
    cases_capacity,
    cases_cluster,
    cases_identity,
    cases_inside,
    cases_models,
    cases_network,
    cases_records,
    cases_records_aws,
    cases_reviews,
    cases_screening,
    cases_serving,
    cases_stated,
)
from tests.policies.cases import GONE, Case, changed, renamed
from tests.policies.cases_cluster import FIRST, GW
from tests.policies.making import found

CASES: list[Case] = [
    *cases_aws.CASES,
    *cases_identity.CASES,
    *cases_network.CASES,
    *cases_cluster.CASES,
    *cases_models.CASES,
    *cases_inside.CASES,
    *cases_accounts.CASES,
    *cases_serving.CASES,
    *cases_capacity.CASES,
    *cases_stated.CASES,
    *cases_records.CASES,
    *cases_records_aws.CASES,
    *cases_reviews.CASES,
    *cases_screening.CASES,
]
OTHERS = ("data-path/",)
"""Families with tests of their own."""
ELSEWHERE = {"audit/trail-out-of-reach", "audit/trail-stands", "audit/everything-is-tagged"} | {
    "identity/no-access-keys",
    "identity/translators-only",
    "workload/our-registries",
    "workload/tasks-are-bare",
}
"""Tested with the part of `isthmus.graph` that they ask, or below."""


def _named(cases: list[Case]) -> list[object]:
    return [pytest.param(each, id=each.rule) for each in cases]


def _each(part: str) -> list[object]:
    return [
        pytest.param(case, one, id=f"{case.rule}-{number}")
        for case in CASES
        for number, one in enumerate(getattr(case, part))
    ]


def test_every_rule_has_a_case():
    wanted = {each.id for each in RULES if not each.id.startswith(OTHERS)} - ELSEWHERE
    assert wanted - {case.rule for case in CASES} == set()
    for case in CASES:
        assert case.fails or case.missing or case.broken or case.unknown, f"nothing breaks {case.rule}"


@pytest.mark.parametrize("case", _named(CASES))
def test_it_is_kept(case: Case):
    for graph in (case.holds, *case.also):
        assert found(case.rule, *graph, platform=case.platform) == []


@pytest.mark.parametrize(("case", "values"), _each("fails"))
def test_it_is_broken(case: Case, values: dict[str, object]):
    said = found(case.rule, *changed(case.holds, values), platform=case.platform)
    assert [each.verdict for each in said if each.verdict == "violated"], said


@pytest.mark.parametrize(("case", "graph"), _each("broken"))
def test_a_graph_breaks_it(case: Case, graph: list[object]):
    said = found(case.rule, *graph, platform=case.platform)  # type: ignore[arg-type]
    assert said
    assert {each.verdict for each in said} == {"violated"}, said


@pytest.mark.parametrize(("case", "path"), _each("missing"))
def test_a_property_that_is_not_there_breaks_it(case: Case, path: str):
    said = found(case.rule, *changed(case.holds, {path: GONE}), platform=case.platform)
    assert said
    assert {each.verdict for each in said} == {"violated"}, said


@pytest.mark.parametrize(("case", "path"), _each("unknown"))
def test_a_value_that_is_not_known_yet_is_no_pass(case: Case, path: str):
    said = found(case.rule, *changed(case.holds, {path: "${other.unknown}"}), platform=case.platform)
    assert [each.verdict for each in said if each.verdict == "undecided"], said


@pytest.mark.parametrize("case", _named([case for case in CASES if case.fails and not case.one_keeps_it]))
def test_of_several_the_one_at_fault_is_named(case: Case):
    word = case.platform
    alone = {each.resource for each in found(case.rule, *changed(case.holds, case.fails[0]), platform=word)}
    every = [*changed(case.holds, case.fails[0]), *renamed(case.holds, "-b"), *renamed(case.holds, "-c")]
    assert {each.resource for each in found(case.rule, *every, platform=word)} == alone


def test_images_come_from_the_registries_that_the_organisation_names():
    ours = Settings(figures=Figures(registries=["registry.bank.example"]))
    assert found("workload/our-registries", GW, settings=ours) == []
    assert found("workload/our-registries", GW) == [], "nobody named any"
    for image, verdict in (("registry.bank.example.evil/x", "violated"), ("${mirror.url}/x", "undecided")):
        said = found("workload/our-registries", *changed([GW], {f"{FIRST}.image": image}), settings=ours)
        assert [each.verdict for each in said] == [verdict]


def test_each_rule_finds_a_fault_that_no_other_does():
    alone = set()
    for case in CASES:
        unknown = "${other.unknown}"
        faults = [
            *case.fails,
            *({each: GONE} for each in case.missing),
            *({each: unknown} for each in case.unknown),
        ]
        graphs = [(case.holds, changed(case.holds, each)) for each in faults]
        for before, after in (*graphs, *((case.holds, list(graph)) for graph in case.broken)):
            was = {(each.policy, each.message) for each in judge(before, case.platform)}
            after_ = judge(after, case.platform)
            new = {each.policy for each in after_ if (each.policy, each.message) not in was}
            if new == {case.rule}:
                alone.add(case.rule)
    assert {case.rule for case in CASES} - alone == set()
