"""A branch by the base commit's word and by its own: what either refuses is refused."""

from __future__ import annotations

import copy
import functools
from datetime import date
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reports.findings import Finding, Silence
from isthmus.engine.preview.assembly import Side
from isthmus.engine.pull_request import base_and_head
from isthmus.graph.data_path import declared_policy
from isthmus.graph.data_path.paths import data_paths
from isthmus.graph.resources.resources import Graph
from policies.evaluation.evaluation import EXPIRED_SILENCE, judge
from tests.blueprints import bank

SILENCE = Silence(policy="a/b", resource="*", owner="ana", reason="later", until=date(2027, 1, 1))


def finding(message: str = "m", *, silenced: bool = False, **said: Any) -> Finding:
    given = {"policy": "a/b", "title": "t", "severity": "high", "message": message, "why": "w", "fix": "f"}
    return Finding.model_validate({**given, "silenced": SILENCE if silenced else None, **said})


OPEN, SILENT = finding(), finding(silenced=True)


@pytest.mark.parametrize(
    ("base", "own", "wanted"),
    [
        ([OPEN], [OPEN], [OPEN]),
        ([OPEN], [SILENT], [OPEN]),  # silenced by the branch
        ([SILENT], [OPEN], [OPEN]),  # the branch takes the silence back
        ([OPEN], [], [OPEN]),  # switched off by the branch
        ([], [OPEN], [OPEN]),  # a rule of the branch's
        ([SILENT], [SILENT], [SILENT]),
        ([SILENT], [], [SILENT]),
        ([], [SILENT], [SILENT]),
        ([], [], []),
    ],
)
def test_a_finding_is_silenced_only_where_nobody_has_it_open(base: Any, own: Any, wanted: Any):
    assert base_and_head.merge_findings(base, own) == wanted


def test_the_one_that_says_whose_silence_ended_is_kept():
    past = finding(f"m{EXPIRED_SILENCE}ana until 2026-01-01, which has expired)")
    assert (
        base_and_head.merge_findings([OPEN], [past]) == [past] == base_and_head.merge_findings([past], [OPEN])
    )


def test_the_worst_comes_first_whoever_found_it():
    grave = finding(severity="critical", policy="z/z")
    assert base_and_head.merge_findings([OPEN], [grave]) == [grave, OPEN]


def changed(classes: dict[str, str] | None = None, **said: Any) -> Platform:
    """The bank's platform as it may have been before a change: workloads of other classes or residencies."""
    platform = copy.deepcopy(bank.platform())
    gates = {each.class_: each for each in platform.gateways}
    for name, class_ in (classes or {}).items():
        (mine,) = [gate for gate in platform.gateways if any(one.name == name for one in gate.workloads)]
        (one,) = [one for one in mine.workloads if one.name == name]
        mine.workloads.remove(one)
        gates[class_].workloads.append(one)  # type: ignore[index]
    if "residency" in said:
        for gate in platform.gateways:
            gate.workloads[:] = [
                each.model_copy(update={"residency": said["residency"]}) for each in gate.workloads
            ]
    return platform


@functools.cache
def graph() -> Graph:
    return Graph(bank.rendered().resources)


def refused(before: Platform) -> dict[str, str]:
    by = declared_policy.of(before, bank.platform())
    ways = data_paths(graph(), by.platform, held=by.held)
    return {each.workload: each.why for each in ways if each.verdict == "refused"}


def test_by_the_same_word_nothing_is_refused():
    assert refused(bank.platform()) == {}


def test_work_that_was_restricted_may_not_be_on_bedrock_now_that_it_is_called_internal():
    ways = refused(changed({"policy-assistant": "restricted"}))
    assert list(ways) == ["policy-assistant"]
    assert ways["policy-assistant"].startswith(
        "policy-assistant is restricted before this change, and restricted"
    )


def test_work_that_was_confidential_needs_an_exception_that_was_there_before():
    before = changed({"policy-assistant": "confidential"})
    assert "by a recorded exception only" in refused(before)["policy-assistant"]


def test_a_class_that_is_raised_is_judged_by_the_stricter_one_alone():
    assert refused(changed({"transaction-narratives": "public"})) == {}


def test_a_residency_that_was_narrower_still_binds():
    ways = refused(changed(residency=["de"]))
    assert set(ways) == {"policy-assistant", "campaign-copy"}
    assert "must stay in de" in ways["policy-assistant"]


def test_the_rules_draw_the_way_that_is_refused():
    by = declared_policy.of(changed({"policy-assistant": "restricted"}), bank.platform())
    found = judge(bank.rendered().resources, by.platform, stack=bank.STACK, raised_sensitivities=by.held)
    (mine,) = [each for each in found if each.policy == "data-path/stays-where-it-may"]
    assert mine.severity == "critical"
    assert mine.message.startswith("policy-assistant → internal-gateway → ")


def test_an_organisations_stricter_table_of_before_draws_the_way_of_the_plan():
    requirements, plan = bank.both()
    strict = requirements.model_copy(update={"handling": {"internal": {"targets": ["onprem-vllm"]}}})
    ways = data_paths(graph(), bank.platform())
    was, will = Side(requirements=strict), Side(plan, requirements, ways)
    found = base_and_head.worst_paths(bank.platform(), was, bank.platform(), will, bank.rendered().resources)
    (mine,) = [each for each in found if each.verdict == "refused"]
    assert (mine.workload, mine.hops[-1].kind) == ("policy-assistant", "region")
    assert "internal work may not run on bedrock; it may run on onprem-vllm" in mine.why
