"""A branch is judged by the rules and requirements of its base commit and by its own: either may refuse it."""

from __future__ import annotations

import copy
import functools
from datetime import date
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.findings import Finding, Silence
from isthmus.engine.preview.assembly import Side
from isthmus.engine.pull_request import base_and_head
from isthmus.graph.data_path import declared_policy
from isthmus.graph.data_path.paths import data_paths
from isthmus.graph.resources.resources import Graph
from policies.evaluation.evaluation import EXPIRED_SILENCE, judge
from tests.blueprints import bank

SILENCE = Silence(policy="a/b", resource="*", owner="ana", reason="later", until=date(2027, 1, 1))


def finding(message: str = "m", *, silenced: bool = False, **fields: Any) -> Finding:
    values = {"policy": "a/b", "title": "t", "severity": "high", "message": message, "why": "w", "fix": "f"}
    return Finding.model_validate({**values, "silenced": SILENCE if silenced else None, **fields})


OPEN, SILENT = finding(), finding(silenced=True)


@pytest.mark.parametrize(
    ("base", "own_findings", "expected"),
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
def test_a_finding_is_silenced_only_if_neither_base_nor_head_has_it_open(
    base: Any, own_findings: Any, expected: Any
):
    assert base_and_head.merge_findings(base, own_findings) == expected


def test_of_two_equal_findings_the_one_with_the_expired_silence_is_kept():
    past = finding(f"m{EXPIRED_SILENCE}ana until 2026-01-01, which has expired)")
    assert (
        base_and_head.merge_findings([OPEN], [past]) == [past] == base_and_head.merge_findings([past], [OPEN])
    )


def test_the_most_severe_drift_is_listed_first():
    grave = finding(severity="critical", policy="z/z")
    assert base_and_head.merge_findings([OPEN], [grave]) == [grave, OPEN]


def changed(classes: dict[str, str] | None = None, **settings: Any) -> Platform:
    """The bank's platform as it may have been before a change: workloads of other classes or residencies."""
    platform = copy.deepcopy(bank.platform())
    gates = {gateway.class_: gateway for gateway in platform.gateways}
    for name, class_ in (classes or {}).items():
        (gateway,) = [
            gate for gate in platform.gateways if any(workload.name == name for workload in gate.workloads)
        ]
        (workload,) = [workload for workload in gateway.workloads if workload.name == name]
        gateway.workloads.remove(workload)
        gates[class_].workloads.append(workload)  # type: ignore[index]
    if "residency" in settings:
        for gate in platform.gateways:
            gate.workloads[:] = [
                workload.model_copy(update={"residency": settings["residency"]})
                for workload in gate.workloads
            ]
    return platform


@functools.cache
def graph() -> Graph:
    return Graph(bank.rendered().resources)


def refused(before: Platform) -> dict[str, str]:
    declared = declared_policy.with_declared_before(before, bank.platform())
    paths = data_paths(graph(), declared.platform, stricter_classes=declared.held)
    return {path.workload: path.why for path in paths if path.verdict == "refused"}


def test_an_unchanged_platform_is_not_refused():
    assert refused(bank.platform()) == {}


def test_relabelled_restricted_work_may_still_not_run_on_bedrock():
    message = refused(changed({"policy-assistant": "restricted"}))
    assert list(message) == ["policy-assistant"]
    assert message["policy-assistant"].startswith(
        "policy-assistant is restricted before this change, and restricted"
    )


def test_relabelled_confidential_work_needs_an_exception_from_the_base():
    before = changed({"policy-assistant": "confidential"})
    assert "by a recorded exception only" in refused(before)["policy-assistant"]


def test_a_raised_class_is_judged_by_the_stricter_class_only():
    assert refused(changed({"transaction-narratives": "public"})) == {}


def test_a_narrower_residency_in_the_base_still_applies():
    message = refused(changed(residency=["de"]))
    assert set(message) == {"policy-assistant", "campaign-copy"}
    assert "must stay in de" in message["policy-assistant"]


def test_the_policy_finding_shows_the_refused_data_path():
    declared = declared_policy.with_declared_before(
        changed({"policy-assistant": "restricted"}), bank.platform()
    )
    findings = judge(
        bank.rendered().resources, declared.platform, stack=bank.STACK, raised_sensitivities=declared.held
    )
    (finding,) = [candidate for candidate in findings if candidate.policy == "data-path/stays-where-it-may"]
    assert finding.severity == "critical"
    assert finding.message.startswith("policy-assistant → internal-gateway → ")


def test_a_stricter_handling_table_in_the_base_refuses_the_data_path():
    requirements, plan = bank.requirements_and_plan()
    strict = requirements.model_copy(update={"handling": {"internal": {"targets": ["onprem-vllm"]}}})
    declared_paths = data_paths(graph(), bank.platform())
    before, after = Side(requirements=strict), Side(plan, requirements, declared_paths)
    paths = base_and_head.worst_paths(
        bank.platform(), before, bank.platform(), after, bank.rendered().resources, Settings()
    )
    (refused_path,) = [path for path in paths if path.verdict == "refused"]
    assert (refused_path.workload, refused_path.hops[-1].kind) == ("policy-assistant", "region")
    assert "internal work may not run on bedrock. Allowed: onprem-vllm" in refused_path.why
