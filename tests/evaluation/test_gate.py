"""The gate of releases: what a candidate needs before it answers people. Each fault changes one thing that passes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reports.candidates import Candidate
from isthmus.contracts.trust import Trust
from isthmus.engine.evaluation.named_results import read_named_results
from isthmus.evaluation.gate import judge_candidates
from isthmus.evaluation.subjects import subject_of
from tests.evaluation.released import ENDPOINTS, NAME, TODAY, WORKLOAD, evaluated, released, trusting
from tests.evaluation.signing import OTHER_KEY


def gate(project: Path, platform: Platform, trust: Trust | None = None) -> Candidate:
    """The verdict on the candidate, with the files of the project."""
    results = read_named_results(project, platform)
    [candidate] = judge_candidates(platform, results, trust or trusting(), TODAY)
    return candidate


def judged_with(project: Path, **changes: Any) -> Candidate:
    """The verdict on a candidate whose result was changed before it was signed."""
    named = evaluated(project, released(), **changes)
    return gate(project, released({"evaluation": named}))


def said(candidate: Candidate) -> str:
    return "\n".join(missing.what for missing in candidate.missing)


def test_an_official_result_of_exactly_this_candidate_passes_with_its_figures(tmp_path: Path):
    candidate = judged_with(tmp_path)
    assert candidate.missing == []
    assert candidate.scores is not None
    assert candidate.scores.signed_by == "model risk"
    assert candidate.scores.score is not None
    assert candidate.scores.score.value == pytest.approx(0.905)
    assert candidate.scores.loss is not None
    assert candidate.scores.loss.value == pytest.approx(-0.005)
    assert candidate.scores.loss.low < candidate.scores.loss.value < candidate.scores.loss.high
    assert (candidate.scores.loss_task, candidate.scores.max_loss) == ("answers", 0.03)


def test_a_share_without_a_result_names_the_command(tmp_path: Path):
    [missing] = gate(tmp_path, released()).missing
    assert missing.what == "the candidate llama-v2 of claims names no result of an evaluation"
    assert "isthmus evaluate STACK claims --candidate llama-v2 --signing-key FILE" in missing.fix


@pytest.mark.parametrize(
    ("canary", "share"),
    [({"steps": [1, 50, 100]}, "up to 100 %"), ({"shadow_percent": 10}, "0 %, copies of 10 %")],
)
def test_steps_and_copies_need_the_result_as_a_share_does(tmp_path: Path, canary: dict[str, Any], share: str):
    changed = {"percent": 0, "release": "v2", **canary}
    without = gate(tmp_path, released(changed))
    assert (len(without.missing), without.share) == (1, share)
    named = evaluated(tmp_path, released(changed))
    assert gate(tmp_path, released({**changed, "evaluation": named})).missing == []


def test_a_candidate_that_only_evaluations_reach_needs_no_result(tmp_path: Path):
    candidate = gate(tmp_path, released({"percent": 0}))
    assert (candidate.missing, candidate.takes_requests) == ([], False)


def test_where_no_files_are_read_only_a_candidate_that_names_none_lacks_something(tmp_path: Path):
    named = evaluated(tmp_path, released())
    for canary, count in (({"evaluation": named}, 0), ({}, 1)):
        [candidate] = judge_candidates(released(canary), None, trusting(), TODAY)
        assert len(candidate.missing) == count


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"workload": "onboarding"}, "is of the workload onboarding, not of claims"),
        ({"sensitivity": "internal"}, "is of class internal, and claims of class restricted"),
        ({"official": False}, "it was made for development"),
        ({"complete": False}, "is not complete"),
        ({"stand_ins": True}, "where stand-ins answer"),
        ({"verdict": "failed"}, "has not passed: failed"),
        ({"verdict": "undecided"}, "has not passed: undecided"),
        ({"candidate": None}, "has no score of the candidate"),
        ({"serving": None}, "has no score of the version in use"),
        (
            {"definition_sha256": f"sha256:{'0' * 64}"},
            "has other tasks or thresholds than evaluations/claims/",
        ),
        (
            {"judge": "other-judge"},
            "the judge other-judge of the result claims/results/v2.json is of class internal",
        ),
        ({"judge": WORKLOAD}, "is the model bank/llama, which judged its own answers"),
        ({"judge": "gone"}, "the judge gone of the result claims/results/v2.json is no workload"),
        ({"isthmus": "evaluation v1", "evaluated_by": None}, "it does not say who evaluated"),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_a_result_of_something_else_is_not_enough(tmp_path: Path, changes: dict[str, Any], expected: str):
    assert expected in said(judged_with(tmp_path, **changes))


def test_a_judge_of_the_same_class_with_another_model_is_fit(tmp_path: Path):
    assert judged_with(tmp_path, judge="judge").missing == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "bank/llama-70b"),
        ("precision", "bf16"),
        ("weights", f"sha256:{'9' * 64}"),
        ("adapter", "fields"),
        ("engine_sha256", f"sha256:{'9' * 64}"),
        ("prompt_sha256", f"sha256:{'9' * 64}"),
    ],
)
@pytest.mark.parametrize("version", ["candidate", "serving"])
def test_a_result_of_another_subject_is_not_enough(tmp_path: Path, version: str, field: str, value: str):
    platform = released()
    endpoint = next(
        entry for entry in platform.endpoints if entry.id == f"llama-v{2 if version == 'candidate' else 1}"
    )
    subject = subject_of(endpoint, platform.gateways[0].workloads[0], None).model_copy(update={field: value})
    words = "candidate" if version == "candidate" else "version in use"
    found = said(judged_with(tmp_path, **{version: subject}))
    assert f"is about another {words}: " in found
    assert f"{value} evaluated" in found


def test_weights_that_the_platform_does_not_state_have_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(ENDPOINTS, "llama-v2", {"model": "bank/llama"})
    assert "states no weights of llama-v2" in said(judged_with(tmp_path))


def test_a_changed_price_or_number_of_replicas_needs_no_new_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    named = evaluated(tmp_path, released())
    monkeypatch.setitem(ENDPOINTS, "llama-v2", {**ENDPOINTS["llama-v2"], "replicas": 3, "surge": True})
    assert gate(tmp_path, released({"evaluation": named})).missing == []
    monkeypatch.setitem(ENDPOINTS, "llama-v2", {**ENDPOINTS["llama-v2"], "max_model_len": 4096})
    assert "engine's settings" in said(gate(tmp_path, released({"evaluation": named})))


def change_file(project: Path) -> None:
    file = project / "evaluations" / NAME
    file.write_text(file.read_text().replace("905", "999"))


def drop_file(project: Path) -> None:
    (project / "evaluations" / NAME).unlink()


def drop_signature(project: Path) -> None:
    (project / "evaluations" / f"{NAME}.sig").unlink()


def loosen(project: Path) -> None:
    file = project / "evaluations" / WORKLOAD / "evaluation.yaml"
    file.write_text(file.read_text().replace("0.5", "0.1"))


def drop_evaluation(project: Path) -> None:
    (project / "evaluations" / WORKLOAD / "evaluation.yaml").unlink()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (change_file, "has changed: its digest is sha256:"),
        (drop_file, "there is no result evaluations/claims/results/v2.json"),
        (drop_signature, "is not official: it is not signed: there is no v2.json.sig"),
        (loosen, "has other tasks or thresholds than evaluations/claims/evaluation.yaml has today"),
        (drop_evaluation, "evaluations/claims/evaluation.yaml cannot be read"),
    ],
)
def test_files_that_were_changed_afterwards_stop_the_candidate(
    tmp_path: Path, change: Callable[[Path], None], expected: str
):
    named = evaluated(tmp_path, released())
    change(tmp_path)
    assert expected in said(gate(tmp_path, released({"evaluation": named})))


@pytest.mark.parametrize(
    ("trust", "expected"),
    [
        (Trust(), "its signer is not among the `evaluators` of trust.yaml"),
        (trusting(OTHER_KEY), "its signer is not among the `evaluators` of trust.yaml"),
        (trusting(expires=date(2026, 12, 1)), "its signer is not among the `evaluators` of trust.yaml"),
        (trusting(owner="Team-Claims"), "is the workload's own team team-claims"),
    ],
    ids=["nobody", "another key", "expired", "own team"],
)
def test_only_a_trusted_evaluator_of_another_team_lets_it_pass(tmp_path: Path, trust: Trust, expected: str):
    named = evaluated(tmp_path, released())
    platform = released({"evaluation": named}, team="team-claims")
    assert gate(tmp_path, platform).missing == []
    assert expected in said(gate(tmp_path, platform, trust))
