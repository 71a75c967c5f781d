"""`isthmus ci` on branches with a candidate: the gate's verdict in the comment, by whom the base commit trusts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edge import ssh_signatures
from isthmus.contracts import signed_results
from isthmus.contracts.evaluation_result import EvaluationResult
from isthmus.core import yaml_files
from isthmus.core.digests import sha256_of
from isthmus.engine.policy import evaluation as policy_evaluation
from isthmus.engine.project.project import Project
from isthmus.engine.run import preflight
from isthmus.evaluation.definition import digests_of
from isthmus.evaluation.subjects import find_subjects, find_workload
from tests.blueprints.bank import STACK
from tests.cli.branches import run_ci
from tests.evaluation.signing import KEY, OTHER_KEY, write_trust
from tests.evaluation.test_judging import judged, scores
from tests.laying import lay
from tests.repository import commit, git

pytestmark = pytest.mark.whole
WORKLOAD, CANDIDATE = "kyc-extraction", "confidential-llama-3-1-8b-v2"
NAME = f"{WORKLOAD}/results/v2.json"
ENDPOINT: dict[str, Any] = {
    "id": CANDIDATE,
    "class": "confidential",
    "site": "fra1",
    "target": "onprem-vllm",
    "model": "meta-llama/Llama-3.1-8B-Instruct",
    "precision": "fp8",
    "pool": "fra1-l40s-48gb",
    "gpus": 1,
    "adapters": [{"name": "kyc-fields", "rank": 16, "size_mib": 84}],
    "weights": {"uri": "pvc://llama-3-1-8b-instruct-v2", "digest": f"sha256:{'8' * 64}"},
}


def change_overrides(root: Path, how: Callable[[dict[str, Any]], object]) -> None:
    file = root / "stacks" / f"Pulumi.{STACK}.yaml"
    settings = yaml_files.load(file).data
    how(settings["config"]["isthmus:overrides"])
    yaml_files.dump(settings, "", file)


def gateway_of(overrides: dict[str, Any]) -> dict[str, Any]:
    gateways = overrides.setdefault("gateways", [])
    found = [gateway for gateway in gateways if gateway["name"] == "confidential-fra1"]
    if not found:
        gateways.append({"name": "confidential-fra1"})
    return found[0] if found else gateways[-1]


def set_canary(root: Path, percent: float, evaluation: dict[str, str] | None = None) -> None:
    """Give the workload a candidate. `evaluation`: the result that it names."""

    def change(overrides: dict[str, Any]) -> None:
        endpoints = overrides.setdefault("endpoints", [])
        if ENDPOINT not in endpoints:
            endpoints.append(ENDPOINT)
        workloads = gateway_of(overrides).setdefault("workloads", [])
        workload: dict[str, Any] | None = next(
            (entry for entry in workloads if entry["name"] == WORKLOAD), None
        )
        if workload is None:
            workload = {"name": WORKLOAD}
            workloads.append(workload)
        named = {} if evaluation is None else {"evaluation": evaluation}
        workload["canary"] = {"endpoint": CANDIDATE, "percent": percent, "release": "v2", **named}

    change_overrides(root, change)


def evaluate(root: Path, key: bytes = KEY) -> dict[str, str]:
    """An official result of the candidate, signed. Returns how the overrides name it."""
    folder = root / "evaluations" / WORKLOAD
    made = judged(folder, scores(900, 1000), scores(905, 1000), run={"official": True})
    platform = Project(root).stack(STACK).platform()
    workload, sensitivity = find_workload(platform, WORKLOAD)
    facts = {
        **find_subjects(platform, workload, CANDIDATE, None),
        "stack": STACK,
        "workload": WORKLOAD,
        "sensitivity": sensitivity,
        "definition_sha256": digests_of(folder)[0],
        "evaluated_by": ssh_signatures.public_key_of(key),
    }
    file = root / "evaluations" / NAME
    file.parent.mkdir(exist_ok=True)
    signed_results.write(file, EvaluationResult.model_validate({**dict(made), **facts}), key)
    return {"file": NAME, "sha256": sha256_of(file.read_bytes())}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of a durable stack. The candidate has no share yet, and the trust file names an evaluator."""
    root = tmp_path_factory.mktemp("released")
    lay(root, bank=True)
    change_overrides(root, lambda overrides: overrides.update(lifecycle="durable"))
    set_canary(root, 0)
    evaluate(root)
    write_trust(root, KEY)
    commit(root, "base")
    return root


@pytest.fixture
def branch(base: Path) -> Path:
    """The repository, as its base commit has it."""
    git(base, "checkout", "-q", "--", ".")
    git(base, "clean", "-fdq")
    return base


def comment_of(branch: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code, out, err = run_ci(branch, STACK, "--base", "HEAD", "--format", "markdown", capsys=capsys)
    assert out, err
    return code, out


def test_a_share_without_a_result_is_refused_and_the_comment_says_what_is_missing(
    branch: Path, capsys: pytest.CaptureFixture[str]
):
    set_canary(branch, 5)
    code, comment = comment_of(branch, capsys)
    assert code == 1
    assert comment.startswith("**⛔ REFUSED**")
    assert "`release/candidate-evaluated`" in comment
    assert f"| **held back** | `{WORKLOAD}` (confidential), 5 % |" in comment
    assert (
        f"- `{WORKLOAD}`: `the candidate {CANDIDATE} of {WORKLOAD} names no result of an evaluation`"
        in comment
    )
    assert f"isthmus evaluate STACK {WORKLOAD} --candidate {CANDIDATE} --signing-key FILE" in comment


def test_a_passed_result_lets_the_share_pass_and_the_comment_has_its_figures(
    branch: Path, capsys: pytest.CaptureFixture[str]
):
    set_canary(branch, 5, evaluate(branch))
    _, comment = comment_of(branch, capsys)
    assert "release/candidate-evaluated" not in comment
    [row] = [line for line in comment.splitlines() if line.startswith("| may answer people |")]
    assert f"`{WORKLOAD}` (confidential), 5 %" in row
    assert "| 0.905 (0.885 to 0.922) | -0.005 (" in row
    assert " in answers, 0.03 allowed | p50 1.00 s, p95 1.45 s | no price | `model risk` |" in row
    assert "What candidates lack" not in comment


def test_a_branch_cannot_sign_with_a_key_that_it_adds_itself(
    branch: Path, capsys: pytest.CaptureFixture[str]
):
    write_trust(branch, KEY, OTHER_KEY)
    set_canary(branch, 5, evaluate(branch, OTHER_KEY))
    code, comment = comment_of(branch, capsys)
    assert code == 1
    assert "its signer is not among the `evaluators` of trust.yaml" in comment.replace("``", "`").replace(
        "`` ", "`"
    )
    assert "**nobody trusted**" in comment
    assert "trust.yaml evaluators ssh-ed25519" in comment


def test_loosened_thresholds_are_a_finding_and_the_old_result_is_not_enough(
    branch: Path, capsys: pytest.CaptureFixture[str]
):
    set_canary(branch, 5, evaluate(branch))
    file = branch / "evaluations" / WORKLOAD / "evaluation.yaml"
    file.write_text(file.read_text().replace("min_score: 0.5", "min_score: 0.1"))
    code, comment = comment_of(branch, capsys)
    assert code == 1
    name = f"evaluations/{WORKLOAD}/evaluation.yaml"
    assert f"| **looser** | rule | `{name}: min_score` | `0.5` | `0.1` |" in comment
    assert "`change/rule-loosened`" in comment
    assert f"has other tasks or thresholds than {name} has today" in comment


def test_up_refuses_it_too(branch: Path):
    set_canary(branch, 5)
    stack = Project(branch).stack(STACK)
    platform, settings = stack.platform(), policy_evaluation.settings([stack])
    with pytest.raises(Exception, match="names no result of an evaluation") as caught:
        preflight.check_boundaries([], platform, "stack", settings, datetime.now(UTC).date())
    assert "release/candidate-evaluated" in str(caught.value)
    [candidate] = policy_evaluation.candidates(platform, settings)
    assert candidate.missing
