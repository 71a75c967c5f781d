"""An evaluation job asks a real gateway, signs its result and prints it. A killed job and one without budget go on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge import ssh_signatures
from isthmus.contracts import signed_results
from isthmus.contracts.evaluation_result import EvaluationResult, Subject
from isthmus.evaluation.jobs import JobJudge, JobSettings
from tests.engine.test_evaluation_running import CASES, TASKS, Place, place
from tests.evaluation.signing import KEY, OTHER_KEY
from tests.evaluation.written import write_evaluation

__all__ = ["place"]
pytestmark = pytest.mark.service

EVERYTHING = 2 * (CASES + 3)


def subject(endpoint: str) -> Subject:
    return Subject(
        endpoint=endpoint,
        model=f"bank/{endpoint}",
        precision="fp8",
        weights=None,
        adapter=None,
        engine_sha256="sha256:" + "e" * 64,
        prompt_sha256=None,
    )


@pytest.fixture
def job(tmp_path: Path, place: Place) -> dict[str, Any]:
    """The settings of a job of the workload `credit`, whose folders are as a pod has them."""
    place.model.reset()
    cases = write_evaluation(tmp_path / "cases", TASKS, judge={"workload": "judge"}, system_prompt="s.txt")
    (cases / "s.txt").write_text("Answer briefly.")
    for folder in ("keys", "signing", "tls"):
        (tmp_path / folder).mkdir()
    (tmp_path / "keys" / "key").write_bytes((place.folder / "evaluation.key").read_bytes())
    (tmp_path / "keys" / "judge-key").write_bytes((place.folder / "judge.key").read_bytes())
    (tmp_path / "signing" / "evaluator.key").write_bytes(KEY)
    for name, source in (("tls.crt", "app.crt"), ("tls.key", "app.key"), ("ca.crt", "ca.crt")):
        (tmp_path / "tls" / name).write_bytes((place.folder / source).read_bytes())
    settings = JobSettings(
        stack="bank",
        workload="credit",
        sensitivity="restricted",
        site="fra1",
        url=place.gateway.url,
        official=True,
        signer=ssh_signatures.public_key_of(KEY),
        serving=subject("v1"),
        candidate=subject("v2"),
        judge=JobJudge(workload="judge", subject=subject("judge")),
        tokens=1_000_000,
        minutes=5,
        parallel=4,
    )
    folders = {name: str(tmp_path / name) for name in ("cases", "keys", "signing", "tls", "state")}
    return {**settings.model_dump(mode="json"), **folders}


def start(job: dict[str, Any], **changes: Any) -> subprocess.Popen[str]:
    file = Path(job["state"]).parent / "job.json"
    file.write_text(json.dumps({**job, **changes}))
    command = [sys.executable, "-m", "isthmus.engine.evaluation.job", str(file)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(job: dict[str, Any], **changes: Any) -> tuple[int, str, str]:
    process = start(job, **changes)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def outcomes(job: dict[str, Any]) -> int:
    files = list(Path(job["state"]).glob("runs/credit/*/outcomes.jsonl"))
    return len(files[0].read_text().splitlines()) if files else 0


def test_a_job_asks_all_and_its_log_has_the_signed_result_and_no_question(job: dict[str, Any]):
    code, out, err = run(job)
    assert (code, err) == (0, "")
    assert f"{EVERYTHING} of {EVERYTHING} cases" in out
    assert not any(text in out for text in ("number 7", "Answer briefly", "Bern"))
    [file] = Path(job["state"]).glob("results/credit/*.json")
    assert signed_results.from_log(out, "log") == (
        file.read_text(),
        signed_results.signature_of(file).read_text(),
    )
    signed = signed_results.read(file)
    assert (signed.signer, signed.fault) == (job["signer"], "")
    result = signed.result
    assert (result.official, result.complete, result.stand_ins, result.stack) == (True, True, False, "bank")
    assert result.candidate is not None
    assert result.serving is not None
    assert (result.serving.endpoint, result.candidate.endpoint) == ("v1", "v2")
    assert result.candidate.prompt_sha256 is not None, "the gate compares it"
    assert not list(Path(job["state"]).glob("runs/credit/*/outcomes.jsonl")), (
        "a new job asks every case again"
    )


def test_a_killed_job_goes_on_where_it_ended(job: dict[str, Any], place: Place):
    process, patience = start(job, parallel=1), time.monotonic() + 240
    while outcomes(job) < 5 and time.monotonic() < patience:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    before = outcomes(job)
    assert 5 <= before < EVERYTHING
    asked = place.asked()
    code, out, err = run(job)
    assert (code, err) == (0, "")
    assert f"{before} of {EVERYTHING} cases, 0 tokens" in out
    assert place.asked() - asked <= EVERYTHING + 4 - before


def test_a_job_without_budget_has_no_result_and_the_next_one_goes_on(job: dict[str, Any]):
    code, out, err = run(job, tokens=120)
    assert code == 1, "a retry at once would spend the budget again"
    assert "the budget of this job is used up" in err
    assert "BEGIN ISTHMUS" not in out
    assert 10 <= outcomes(job) <= 14
    assert run(job)[0] == 0


def test_a_job_of_a_disposable_platform_is_not_official(job: dict[str, Any]):
    code, out, _ = run(job, official=False)
    assert code == 0
    text, _ = signed_results.from_log(out, "log")
    assert not EvaluationResult.model_validate_json(text).official


@pytest.mark.parametrize(
    ("file", "content", "code", "said"),
    [
        ("signing/evaluator.key", OTHER_KEY, 2, "the signing key is that of ssh-ed25519"),
        ("signing/evaluator.key", b"no key", 2, "evaluator.key"),
        ("keys/key", b"unknown-key", 3, "the gateway answers 401"),
        ("keys/key", b"plain-key", 3, "not for evaluations"),
        ("keys/judge-key", None, 2, "no key for evaluations of the workload judge"),
        ("cases/numbers.jsonl", b'{"id": "n0"}\n', 2, "numbers.jsonl"),
    ],
)
def test_wrong_keys_and_cases_make_no_result(
    job: dict[str, Any], file: str, content: bytes | None, code: int, said: str
):
    path = Path(job["state"]).parent / file
    path.unlink() if content is None else path.write_bytes(content)
    ended, out, err = run(job)
    assert ended == code
    assert said in err
    assert "BEGIN ISTHMUS" not in out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"judge": None}, "evaluation.yaml names judge as judge, and the platform none"),
        ({"sensitivity": "internal"}, "is of class restricted"),
        ({"isthmus": "evaluation job v0"}, "not the settings of an evaluation job of this version"),
    ],
)
def test_settings_that_do_not_fit_the_cases_ask_nothing(
    job: dict[str, Any], place: Place, changes: dict[str, Any], said: str
):
    code, _, err = run(job, **changes)
    assert code in (1, 2)
    assert said in err
    assert place.asked() == 0
