"""`scores_from`: a candidate's score comes from the result of an evaluation, and from no other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge import ssh_signatures
from isthmus.contracts.requirements import document
from isthmus.contracts.signed_results import NAMESPACE, signature_of
from isthmus.core.errors import InputError
from tests.contracts import bank
from tests.evaluation.signing import KEY, OTHER_KEY, write_trust
from tests.evaluation.test_judging import judged, scores

TYPED = "{id: meta-llama/Llama-3.1-8B-Instruct, scores: {bf16: 0.61}}"
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
NAME = "narratives/results/first.json"
Change = Callable[[dict[str, Any]], None]


def unchanged(result: dict[str, Any]) -> None:
    del result


def write(
    folder: Path, change: Change = unchanged, *, digest: str | None = None, more: str = "", of: str = ""
) -> Path:
    """Requirements in `folder/stacks` with a candidate that names a result, which `change` alters before."""
    result = json.loads(judged(folder / "made", scores(45, 50)).model_dump_json())
    result |= {"workload": "transaction-narratives", "sensitivity": "restricted"}
    result["serving"] |= {"model": MODEL, "precision": "fp8"}
    change(result)
    file = folder / "evaluations" / NAME
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(result))
    sha256 = digest or "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
    requirements = folder / "stacks" / "bank.requirements.yaml"
    requirements.parent.mkdir()
    source = f"scores_from: [{{file: {NAME}, sha256: '{sha256}'{of}}}]"
    assert TYPED in bank.REQUIREMENTS
    requirements.write_text(bank.REQUIREMENTS.replace(TYPED, f"{{id: {MODEL}, {source}{more}}}"))
    return requirements


def candidate(file: Path) -> Any:
    workload = document.load(file).workload("transaction-narratives")
    assert workload is not None
    return next(entry for entry in workload.model.candidates if entry.id == MODEL)


def test_the_score_of_the_result_is_the_candidates_score(tmp_path: Path):
    found = candidate(write(tmp_path))
    assert found.scores == {"fp8": 0.9}
    assert found.unofficial == {"fp8": "it is not signed: there is no first.json.sig"}


def sign(project: Path, key: bytes, change: Change = unchanged) -> Path:
    """Requirements that name an official result which `key` signed. `change` alters the result before."""

    def complete(result: dict[str, Any]) -> None:
        result |= {"official": True, "evaluated_by": ssh_signatures.public_key_of(key)}
        change(result)

    requirements = write(project, complete)
    file = project / "evaluations" / NAME
    text = file.read_text("utf-8")
    signature_of(file).write_text(ssh_signatures.sign(text, NAMESPACE, key))
    return requirements


def test_a_result_that_an_evaluator_signed_is_official(tmp_path: Path):
    write_trust(tmp_path, KEY)
    assert candidate(sign(tmp_path, KEY)).unofficial == {}


def test_official_and_signed_by_nobody_is_not_official(tmp_path: Path):
    write_trust(tmp_path, KEY)
    found = candidate(write(tmp_path, lambda result: result.update(official=True)))
    assert "it is not signed" in found.unofficial["fp8"]


def test_a_signer_whom_the_trust_file_does_not_name_makes_nothing_official(tmp_path: Path):
    write_trust(tmp_path, OTHER_KEY)
    found = candidate(sign(tmp_path, KEY))
    assert found.unofficial["fp8"].startswith(
        "its signer is not among the `evaluators` of trust.yaml: ssh-ed25519 "
    )


def test_typed_and_measured_scores_stand_together_for_different_precisions(tmp_path: Path):
    assert candidate(write(tmp_path, more=", scores: {bf16: 0.61}")).scores == {"bf16": 0.61, "fp8": 0.9}


def both(precision: str) -> Change:
    """The same model beside the one in use, with a score of 0.8."""

    def change(result: dict[str, Any]) -> None:
        result["candidate"] = {**result["serving"], "endpoint": "v2", "precision": precision}
        result["score_candidate"] = {"value": 0.8, "low": 0.7, "high": 0.9}

    return change


def test_one_result_has_the_scores_of_both_versions(tmp_path: Path):
    assert candidate(write(tmp_path, both("bf16"))).scores == {"fp8": 0.9, "bf16": 0.8}


def test_of_two_versions_at_one_precision_the_requirements_say_which(tmp_path: Path):
    with pytest.raises(InputError, match="`of: serving`"):
        candidate(write(tmp_path / "a", both("fp8")))
    assert candidate(write(tmp_path / "b", both("fp8"), of=", of: candidate")).scores == {"fp8": 0.8}
    assert candidate(write(tmp_path / "c", both("fp8"), of=", of: serving")).scores == {"fp8": 0.9}


def test_two_scores_at_one_precision_are_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="two scores at fp8"):
        candidate(write(tmp_path, more=", scores: {fp8: 0.61}"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda result: result.update(workload="claims"), "is of the workload claims"),
        (lambda result: result.update(complete=False), "not complete"),
        (lambda result: result["serving"].update(model="other"), f"no score of {MODEL}; it has other at fp8"),
        (lambda result: result.update(stand_ins=True), "where stand-ins answer"),
        (lambda result: result.update(isthmus="evaluation v9"), "not a result of this version"),
    ],
)
def test_a_result_of_something_else_is_refused_with_the_line(tmp_path: Path, change: Change, said: str):
    file = write(tmp_path, change)
    with pytest.raises(InputError, match=said) as caught:
        document.load(file)
    assert "bank.requirements.yaml:" in str(caught.value)
    assert "scores_from[0]" in str(caught.value)


def test_a_changed_result_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="has changed: its digest is sha256:"):
        document.load(write(tmp_path, digest="sha256:" + "0" * 64))


def test_a_result_that_is_not_there_is_named(tmp_path: Path):
    file = write(tmp_path)
    (tmp_path / "evaluations" / NAME).unlink()
    with pytest.raises(InputError, match=f"no result evaluations/{NAME}"):
        document.load(file)


def test_a_candidate_without_any_score_says_how_to_give_one(tmp_path: Path):
    file = tmp_path / "bank.requirements.yaml"
    file.write_text(bank.REQUIREMENTS.replace(TYPED, f"{{id: {MODEL}}}"))
    with pytest.raises(InputError, match="has no score"):
        document.load(file)


def test_another_result_is_another_digest_of_the_requirements(tmp_path: Path):
    first = document.load(write(tmp_path / "a")).digest
    assert document.load(write(tmp_path / "b", lambda result: result.update(official=True))).digest != first
