"""`isthmus calibrate` as a user runs it, including the commands in its documentation."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from edge.confidence.calibration import read
from scripts.judged_answers import lines

ROOT = Path(__file__).parents[2]
DAY = ("--as-of", "2026-11-26")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("judged") / "answers.jsonl"
    with path.open("w") as stream:
        for line in lines(Random(7), 1500, "text", "too modest"):
            stream.write(json.dumps(line) + "\n")
    return path


def test_the_documented_calibration_commands_work(tmp_path: Path):
    (block,) = BLOCK.findall((ROOT / "docs" / "confidence.md").read_text())
    (tmp_path / "out").mkdir()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        ["bash", "-ec", block], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.rstrip().endswith("no such threshold: exit code 1")
    fitted, _ = read(tmp_path / "out" / "calibration.json")
    assert fitted.threshold is not None
    assert fitted.threshold.error_at_most <= 0.1
    page = (tmp_path / "out" / "reliability.html").read_text()
    assert f"reviewed below {fitted.threshold.below}" in page


def test_calibrate_prints_only_json_with_the_documented_keys_on_stdout(isthmus, answers: Path):
    result = isthmus("calibrate", str(answers), *DAY, "--max-error", "0.1", "--format", "json")
    report = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    assert list(report) == [
        *(
            "usable",
            "model",
            "model_digest",
            "domain",
            "kind",
            "answers",
            "kept_aside",
            "judgements",
            "error",
        ),
        *("raw_error", "bins", "candidates", "max_error", "chosen", "confidence", "as_of", "answers_sha256"),
    ]
    assert list(report["bins"][0]) == ["score", "right", "low", "high", "count"]
    assert list(report["chosen"]) == ["below", "accepted", "wrong", "error_at_most"]


def test_the_same_answers_give_the_same_calibration_file(isthmus, answers: Path, tmp_path: Path):
    files = [tmp_path / name for name in ("a.json", "b.json")]
    for file in files:
        assert isthmus("calibrate", str(answers), *DAY, "-o", str(file)).code == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert read(files[0])[0].as_of.isoformat() == "2026-11-26"


def test_without_a_valid_threshold_no_calibration_is_written(isthmus, answers: Path, tmp_path: Path):
    result = isthmus("calibrate", str(answers), *DAY, "--max-error", "0.0001", "-o", str(tmp_path / "c.json"))
    assert result.code == 1
    assert "no threshold keeps wrong answers under 0.0001" in result.err
    assert list(tmp_path.iterdir()) == []


def test_a_calibration_that_no_gateway_can_use_is_reported(isthmus, answers: Path, tmp_path: Path):
    path = tmp_path / "nameless.jsonl"
    rows = [json.loads(line) | {"model_digest": None} for line in answers.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in rows))
    result = isthmus("calibrate", str(path), *DAY)
    assert result.code == 0
    assert "no gateway will use it, because it lacks the weights' digest" in result.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--max-error", "0"), "--max-error: 0 is not a share"),
        (("--max-error", "nan"), "--max-error: nan is not a share"),
        (("--as-of", "yesterday"), "`yesterday` is not a date"),
    ],
)
def test_an_invalid_option_is_invalid_input(isthmus, answers: Path, more: tuple[str, ...], message: str):
    result = isthmus("calibrate", str(answers), *more)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_too_few_answers_are_invalid_input(isthmus, answers: Path, tmp_path: Path):
    few = tmp_path / "few.jsonl"
    few.write_text("".join(answers.read_text().splitlines(keepends=True)[:100]))
    result = isthmus("calibrate", str(few))
    assert result.code == 2
    assert str(few) in result.err
    assert "Fix: Let people judge more answers, chosen at random" in result.err
