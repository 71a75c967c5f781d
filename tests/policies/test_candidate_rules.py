"""The gate as a rule: what stops a change, what is only a warning, and what a gateway's configuration may send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.trust import Trust
from isthmus.engine.evaluation.named_results import read_named_results
from isthmus.engine.render.recorder import Resource
from policies.evaluation.evaluation import forbidding_findings, judge
from tests.evaluation.released import evaluated, released, trusting
from tests.policies.cases_models import EDGE, config
from tests.policies.making import findings_of

RULE, TRIAL = "release/candidate-evaluated", "release/trial-candidate-evaluated"


def gateway(percent: Any = 5, **more: Any) -> Resource:
    """The configuration of the gateway, which sends a share to the candidate. `more`: settings of the candidate."""
    server = {"url": "https://v2.svc:8443", "server_name": "v2.svc"}
    canary = {"model": "bank/llama", "percent": percent, **server, **more}
    route = {
        "workload": "claims",
        "url": "https://v1.svc:8443",
        "server_name": "v1.svc",
        "model": "bank/llama",
    }
    return config({**EDGE, "class": "restricted", "routes": [{**route, "canary": canary}]})


def settings(project: Path, platform: Platform, trust: Trust | None = None) -> Settings:
    return Settings(trust=trust or trusting(), evaluations=read_named_results(project, platform))


def test_a_candidate_without_a_result_stops_up_and_no_other_rule_does(tmp_path: Path):
    platform = released()
    [finding] = findings_of(RULE, gateway(), platform=platform, settings=settings(tmp_path, platform))
    assert (finding.severity, finding.verdict) == ("critical", "violated")
    assert finding.resource == gateway().name
    assert "isthmus evaluate STACK claims --candidate llama-v2" in finding.fix
    without = forbidding_findings(judge([gateway()], platform, settings(tmp_path, platform)))
    named = released({"evaluation": evaluated(tmp_path, platform)})
    passed = forbidding_findings(judge([gateway()], named, settings(tmp_path, named)))
    assert {entry.policy for entry in without} - {entry.policy for entry in passed} == {RULE}


def test_a_passed_signed_result_lets_it_pass(tmp_path: Path):
    platform = released({"evaluation": evaluated(tmp_path, released())})
    assert not findings_of(RULE, gateway(), platform=platform, settings=settings(tmp_path, platform))


def test_a_disposable_stack_gets_a_warning(tmp_path: Path):
    platform = released().model_copy(update={"lifecycle": "disposable"})
    found = settings(tmp_path, platform)
    assert not findings_of(RULE, gateway(), platform=platform, settings=found)
    [finding] = findings_of(TRIAL, gateway(), platform=platform, settings=found)
    assert finding.severity == "low"


@pytest.mark.parametrize(("percent", "count"), [(0, 0), (0.001, 1), ("${x.share}", 1)])
def test_a_share_that_only_the_configuration_has_is_found(tmp_path: Path, percent: Any, count: int):
    platform = released({"percent": 0})
    found = findings_of(RULE, gateway(percent), platform=platform, settings=settings(tmp_path, platform))
    assert len(found) == count


@pytest.mark.parametrize("more", [{"steps": [1, 50]}, {"shadow_percent": 10}])
def test_steps_and_copies_that_only_the_configuration_has_are_found(tmp_path: Path, more: dict[str, Any]):
    platform = released({"percent": 0})
    copied = gateway(0, **more)
    assert len(findings_of(RULE, copied, platform=platform, settings=settings(tmp_path, platform))) == 1


def test_models_that_serve_today_need_no_result(tmp_path: Path):
    platform = released()
    workload = platform.gateways[0].workloads[0].model_copy(update={"canary": None})
    serving = platform.gateways[0].model_copy(update={"workloads": [workload]})
    platform = platform.model_copy(update={"gateways": [serving]})
    plain = config({**EDGE, "class": "restricted", "routes": [{"workload": "claims", "model": "bank/llama"}]})
    assert not findings_of(RULE, plain, platform=platform, settings=settings(tmp_path, platform))
