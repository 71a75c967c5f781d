"""`isthmus evaluate`: what it prints, writes and refuses. Answers are in tests/engine/test_evaluation_running.py."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge import ssh_signatures
from isthmus.contracts import signed_results
from isthmus.contracts.evaluation_result import EvaluationResult
from isthmus.core import yaml_files
from isthmus.engine.evaluation import running
from isthmus.engine.project.project import find_project
from isthmus.evaluation import subjects
from isthmus.evaluation.definition import load
from isthmus.evaluation.outcomes import CaseOutcome
from tests.cli.conftest import Isthmus, resolve
from tests.evaluation.signing import KEY, OTHER_KEY, write_trust
from tests.evaluation.written import case, write_evaluation

WORKLOAD = "kyc-extraction"
CASES = [case(f"c{n}", prompt=f"number {n}", expected=f"{n}", **{"class": "internal"}) for n in range(20)]


@pytest.fixture
def evaluated(project: Path) -> Path:
    """A project with an evaluation, and a file of gateways. Nothing listens there."""
    folder = project / "evaluations" / WORKLOAD
    write_evaluation(folder, {"answers": ({"check": "exact"}, CASES)})
    gateway = {"class": "confidential", "site": "fra1", "url": "https://127.0.0.1:9", "workload": WORKLOAD}
    (project / "key").write_text("a-key")
    (project / "gateways.yaml").write_text(yaml_files.dumps({"gateways": [{**gateway, "key": "key"}]}))
    return project


def at(project: Path) -> tuple[str, Path]:
    return "--gateways", project / "gateways.yaml"


def answer(project: Path, right: int, of: int = len(CASES), who: str = "") -> Path:
    """Leave the outcomes of a run that is not judged yet: the command goes on from there. Returns its folder.

    `who`: what the run's place says about its signer.
    """
    loaded = load(project / "evaluations" / WORKLOAD, "confidential")
    platform = find_project(project).stack("bank-dev").platform()
    workload, _ = subjects.find_workload(platform, WORKLOAD)
    asked = {**subjects.find_subjects(platform, workload, None, None)}
    run = running.folder_of_run(
        loaded, {str(name): subject for name, subject in asked.items()}, f"bank-dev{who}"
    )
    run.mkdir(parents=True)
    outcomes = [
        CaseOutcome(
            task="answers",
            case=f"c{n}",
            version="serving",
            score=float(n < right),
            error=None,
            prompt_tokens=100,
            completion_tokens=10,
            seconds=0.5,
            at=datetime(2026, 12, 1, 9, 0, n, tzinfo=UTC),
        )
        for n in range(of)
    ]
    (run / "outcomes.jsonl").write_text("".join(outcome.model_dump_json() + "\n" for outcome in outcomes))
    return run


def test_a_passed_evaluation_is_printed_written_and_offered_to_the_plan(isthmus: Isthmus, evaluated: Path):
    run = answer(evaluated, 18)
    result = isthmus(
        "evaluate", "bank-dev", WORKLOAD, "--gateways", evaluated / "gateways.yaml", cwd=evaluated
    )
    assert result.code == 0, result.err
    assert result.out.startswith(f"evaluation of {WORKLOAD} (confidential) in bank-dev: PASSED")
    assert "score 0.900 (0.699 to 0.972)" in result.out
    [file] = (evaluated / "evaluations" / WORKLOAD / "results").glob("*.json")
    written = EvaluationResult.model_validate_json(file.read_bytes())
    assert (written.verdict, written.official, written.stack) == ("passed", False, "bank-dev")
    assert f"scores_from: [{{file: {WORKLOAD}/results/{file.name}, sha256: sha256:" in result.err
    assert not run.exists()


def test_a_missed_threshold_exits_with_1_and_json_has_the_result(isthmus: Isthmus, evaluated: Path):
    answer(evaluated, 4)
    options = ("--gateways", evaluated / "gateways.yaml", "--format", "json")
    result = isthmus("evaluate", "bank-dev", WORKLOAD, *options, cwd=evaluated)
    assert result.code == 1
    assert json.loads(result.out)["verdict"] == "failed"
    assert "the score 0.200 is below 0.5" in result.err


def test_a_gateway_of_another_class_gets_no_case(isthmus: Isthmus, evaluated: Path):
    file = evaluated / "gateways.yaml"
    file.write_text(file.read_text().replace("confidential", "internal"))
    result = isthmus("evaluate", "bank-dev", WORKLOAD, *at(evaluated), cwd=evaluated)
    assert result.code == 2
    assert "is of class internal, and the workload of class confidential" in result.err


def test_digests_are_written_on_demand(isthmus: Isthmus, evaluated: Path):
    file = evaluated / "evaluations" / WORKLOAD / "answers.jsonl"
    file.write_text(file.read_text().replace("number 3", "number three"))
    options = ("--gateways", evaluated / "gateways.yaml")
    refused = isthmus("evaluate", "bank-dev", WORKLOAD, *options, cwd=evaluated)
    assert refused.code == 2
    assert "answers.jsonl:4: the case `c3` is not what its sha256 says" in refused.err
    accepted = isthmus("evaluate", "bank-dev", WORKLOAD, "--write-digests", cwd=evaluated)
    assert (accepted.code, accepted.out) == (0, "answers.jsonl: 1 digests written\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((WORKLOAD,), 2, "Run `isthmus sandbox serve bank-dev` first"),
        (("kyc",), 2, f"there are evaluations of {WORKLOAD}"),
        (
            (WORKLOAD, "--gateways", "gateways.yaml", "--candidate", "other"),
            1,
            "has no candidate, so `other` cannot be asked",
        ),
        ((WORKLOAD, "--gateways", "absent.yaml"), 2, "absent.yaml"),
        ((WORKLOAD, "--parallel", "0"), 2, "--parallel"),
    ],
)
def test_wrong_input_says_what_to_do(
    isthmus: Isthmus, evaluated: Path, arguments: tuple[str, ...], code: int, said: str
):
    result = isthmus("evaluate", "bank-dev", *arguments, cwd=evaluated)
    assert result.code == code
    assert said in result.err


def test_a_gateway_that_does_not_answer_is_the_environments_fault(isthmus: Isthmus, evaluated: Path):
    answer(evaluated, 3, of=5)
    options = ("--gateways", evaluated / "gateways.yaml")
    result = isthmus("evaluate", "bank-dev", WORKLOAD, *options, cwd=evaluated)
    assert result.code == 3
    assert "the gateway cannot be reached" in result.err
    assert "it goes on" in result.err


def not_a_sandbox(project: Path) -> Path:
    """The same stack outside the sandbox, and the key of an evaluator whom the trust file names."""
    stack = project / "stacks" / "Pulumi.bank-dev.yaml"
    stack.write_text(stack.read_text().replace('isthmus:sandbox: "true"', 'isthmus:sandbox: "false"'))
    resolve(project)
    write_trust(project, KEY)
    key = project / "evaluator.key"
    key.write_bytes(KEY)
    return key


SIGNED = f", signed by {ssh_signatures.public_key_of(KEY)}"


def results(project: Path) -> list[Path]:
    return sorted((project / "evaluations" / WORKLOAD / "results").glob("*.json"))


def test_a_complete_run_of_an_evaluator_is_official_and_its_signature_is_verified(
    isthmus: Isthmus, evaluated: Path
):
    key = not_a_sandbox(evaluated)
    answer(evaluated, 18, who=SIGNED)
    options = (*at(evaluated), "--signing-key", key)
    made = isthmus("evaluate", "bank-dev", WORKLOAD, *options, cwd=evaluated)
    assert made.code == 0, made.err
    assert "for development" not in made.out
    [file] = results(evaluated)
    assert EvaluationResult.model_validate_json(file.read_bytes()).official
    verified = isthmus("evaluate", "bank-dev", WORKLOAD, "--verify", file, cwd=evaluated)
    assert (verified.code, verified.out[:35]) == (0, "official: passed, signed by model r")
    file.write_text(file.read_text().replace("0.9", "0.99"))
    changed = isthmus("evaluate", "bank-dev", WORKLOAD, "--verify", file, cwd=evaluated)
    assert changed.code == 1
    assert "the signature does not match the text" in changed.err
    assert "evaluate with --signing-key" in changed.err.lower()


def test_an_evaluator_goes_on_with_no_run_of_somebody_else(isthmus: Isthmus, evaluated: Path):
    key = not_a_sandbox(evaluated)
    answer(evaluated, 18)
    options = (*at(evaluated), "--signing-key", key)
    made = isthmus("evaluate", "bank-dev", WORKLOAD, *options, cwd=evaluated)
    assert made.code == 3, "cases of another run were taken over"
    assert not results(evaluated)


def test_a_key_that_the_trust_file_does_not_name_signs_no_official_result(isthmus: Isthmus, evaluated: Path):
    key = not_a_sandbox(evaluated)
    write_trust(evaluated, OTHER_KEY)
    answer(evaluated, 18, who=SIGNED)
    made = isthmus("evaluate", "bank-dev", WORKLOAD, *at(evaluated), "--signing-key", key, cwd=evaluated)
    assert made.code == 0, made.err
    assert "The result will not be official: trust.yaml does not name this key" in made.err
    [file] = results(evaluated)
    refused = isthmus("evaluate", "bank-dev", WORKLOAD, "--verify", file, cwd=evaluated)
    assert refused.code == 1
    assert "its signer is not among the `evaluators` of trust.yaml" in refused.err
    write_trust(evaluated, KEY)
    later = isthmus("evaluate", "bank-dev", WORKLOAD, "--verify", file, cwd=evaluated)
    assert "it was made for development" in later.err


def test_a_sandbox_makes_no_official_result(isthmus: Isthmus, evaluated: Path):
    write_trust(evaluated, KEY)
    (evaluated / "evaluator.key").write_bytes(KEY)
    answer(evaluated, 18, who=SIGNED)
    options = (*at(evaluated), "--signing-key", "evaluator.key")
    made = isthmus("evaluate", "bank-dev", WORKLOAD, *options, cwd=evaluated)
    assert made.code == 0, made.err
    assert "A sandbox makes no official result" in made.err
    assert not EvaluationResult.model_validate_json(results(evaluated)[0].read_bytes()).official


def test_a_key_that_cannot_sign_is_refused_before_anything_is_asked(isthmus: Isthmus, evaluated: Path):
    refused = isthmus("evaluate", "bank-dev", WORKLOAD, *at(evaluated), "--signing-key", "key", cwd=evaluated)
    assert refused.code == 2
    assert "isthmus: key: the file is not a private key of `ssh-keygen`" in refused.err


def log_of(project: Path, tmp_path: Path, isthmus: Isthmus) -> str:
    """The log of a job with a signed result."""
    key = not_a_sandbox(project)
    answer(project, 18, who=SIGNED)
    file = tmp_path / "made.json"
    made = isthmus(
        "evaluate", "bank-dev", WORKLOAD, *at(project), "--signing-key", key, "-o", file, cwd=project
    )
    assert made.code == 0, made.err
    return f"12 of 20 cases, 3400 tokens\n{signed_results.as_log(file)}\npassed: …\n"


def test_the_result_of_a_job_is_collected_from_its_log(isthmus: Isthmus, evaluated: Path, tmp_path: Path):
    log = tmp_path / "job.log"
    log.write_text(log_of(evaluated, tmp_path, isthmus))
    collected = isthmus("evaluate", "bank-dev", WORKLOAD, "--collect", log, cwd=evaluated)
    assert collected.code == 0, collected.err
    assert collected.out.startswith(f"evaluation of {WORKLOAD} (confidential) in bank-dev: PASSED")
    [file] = results(evaluated)
    assert file.read_bytes() == (tmp_path / "made.json").read_bytes()
    assert f"scores_from: [{{file: {WORKLOAD}/results/{file.name}" in collected.err
    verified = isthmus("evaluate", "bank-dev", WORKLOAD, "--verify", file, cwd=evaluated)
    assert verified.out.startswith("official: passed, signed by model risk")


def test_a_collected_result_of_an_unknown_signer_is_not_called_official(
    isthmus: Isthmus, evaluated: Path, tmp_path: Path
):
    log = tmp_path / "job.log"
    log.write_text(log_of(evaluated, tmp_path, isthmus))
    (evaluated / "trust.yaml").unlink()
    collected = isthmus("evaluate", "bank-dev", WORKLOAD, "--collect", log, cwd=evaluated)
    assert "The result is not official: its signer is not among" in collected.err
    assert "To release the candidate" not in collected.err


def test_a_changed_log_and_one_without_a_result_write_nothing(
    isthmus: Isthmus, evaluated: Path, tmp_path: Path
):
    log, text = tmp_path / "job.log", log_of(evaluated, tmp_path, isthmus)
    for content, code, said in (
        (text.replace('"value": 0.9', '"value": 0.99'), 1, "the log was changed: its signature"),
        (text.replace("-----END ISTHMUS", "-----"), 2, "the log has no result of an evaluation"),
        (text.replace(f'"workload": "{WORKLOAD}"', '"workload": "other"'), 2, "is of the workload other"),
        (text.replace('"stack": "bank-dev"', '"stack": "other"'), 2, "(class confidential) of other"),
        (text.replace("-----BEGIN SSH", "-----"), 2, "the log has no result of an evaluation"),
    ):
        log.write_text(content)
        collected = isthmus("evaluate", "bank-dev", WORKLOAD, "--collect", log, cwd=evaluated)
        assert (collected.code, said in collected.err) == (code, True), collected.err
    assert not results(evaluated)
