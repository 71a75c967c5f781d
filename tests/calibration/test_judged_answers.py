"""A file of judged answers: what it holds, and every way in which it can be wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edge.confidence.measure import MEASURE
from isthmus.calibration import judged_answers
from isthmus.core.errors import InputError
from scripts.judged_answers import DIGEST, MODEL, SHAPES, lines

GIVEN: dict[str, Any] = {
    "model": MODEL,
    "model_digest": DIGEST,
    "domain": "onboarding",
    "right": True,
    "score": 0.5,
}


def file(folder: Path, *rows: Any) -> Path:
    path = folder / "answers.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


@pytest.mark.parametrize("kind", ["text", "fields"])
def test_answers_are_measured_as_the_gateway_measures_them(tmp_path: Path, kind: str):
    drawn = list(lines(Random(1), 20, kind, "honest"))
    answers = judged_answers.read_answers(file(tmp_path, *drawn))
    assert answers.of == (MODEL, DIGEST, "onboarding", kind, MEASURE)
    assert len(answers.answers) == 20
    assert {len(answer.measures) for answer in answers.answers} == {3 if kind == "fields" else 1}
    assert all(measure <= 0 for answer in answers.answers for measure in answer.measures)


def test_a_drawn_answer_has_the_measure_that_its_judgement_was_drawn_by(tmp_path: Path):
    drawn = list(lines(Random(1), 1500, "fields", "never below"))
    answers = judged_answers.read_answers(file(tmp_path, *drawn))
    pairs = [pair for answer in answers.answers for pair in zip(answer.measures, answer.rights, strict=True)]
    expected = sum(SHAPES["never below"](math.exp(measure)) for measure, _ in pairs) / len(pairs)
    assert sum(right for _, right in pairs) / len(pairs) == pytest.approx(expected, abs=0.02)


def test_scores_of_somebody_elses_making_are_taken_and_named_so(tmp_path: Path):
    fields = {"score": {"/a": 0.25, "/b": 1}, "right": {"/b": True, "/a": False}}
    answers = judged_answers.read_answers(file(tmp_path, GIVEN | fields, "", GIVEN | fields))
    assert (answers.of.kind, answers.of.measure) == ("fields", judged_answers.GIVEN)
    assert answers.answers[0].rights == (False, True)
    assert answers.answers[0].measures[0] == pytest.approx(math.log(0.25))
    assert not answers.answers[0].right


CHOICE = next(lines(Random(1), 1, "text", "honest"))
FIELDS = next(lines(Random(1), 1, "fields", "honest"))
WRONG: list[tuple[Any, str]] = [
    ("{", "it is no JSON"),
    ("[]", "it is no JSON object"),
    ('{"score": NaN}', "NaN is no number"),
    (GIVEN | {"score": "NaN"}, "is not from 0 to 1"),
    (GIVEN | {"score": 1.1}, "is not from 0 to 1"),
    (GIVEN | {"score": True}, "is not from 0 to 1"),
    (GIVEN | {"right": "yes"}, "neither true nor false"),
    (GIVEN | {"right": None}, "neither true nor false"),
    (GIVEN | {"right": {}}, "neither true nor false"),
    (GIVEN | {"right": {"/a": 1}}, "neither true nor false"),
    (GIVEN | {"right": {"/a": True}}, "the whole answer has a score, but no judgement"),
    (GIVEN | {"right": {"/a": True}, "score": {"/b": 0.5}}, "field '/a' has a judgement, but no score"),
    (GIVEN | {"wrong": True}, "the key 'wrong' is unknown"),
    (GIVEN | {"model": ""}, "`model` must be text"),
    (GIVEN | {"domain": 3}, "`domain` must be text"),
    (GIVEN | {"model_digest": "sha256:1"}, "`model_digest` must be sha256:"),
    (GIVEN | {"choice": {}}, "it has `choice` and `score`, or neither"),
    ({key: GIVEN[key] for key in ("model", "domain", "right")}, "it has `choice` and `score`, or neither"),
    (CHOICE | {"choice": 3}, "`choice` is not an item of `choices`"),
    (CHOICE | {"choice": CHOICE["choice"] | {"logprobs": None}}, "there are no log-probabilities"),
    (CHOICE | {"choice": CHOICE["choice"] | {"finish_reason": "length"}}, "it was cut"),
    (CHOICE | {"choice": CHOICE["choice"] | {"message": {"content": "x"}}}, "are of another text"),
    (CHOICE | {"right": {"/a": True}}, "but the answer is not JSON"),
    (FIELDS | {"right": {"/iban": True}}, "has a score, but no judgement"),
]


@pytest.mark.parametrize(("line", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_line_is_reported_with_its_number_and_a_fix(tmp_path: Path, line: Any, message: str):
    path = file(tmp_path, "", line)
    with pytest.raises(InputError) as error:
        judged_answers.read_answers(path)
    assert message in str(error.value)
    assert f"{path}:2" in str(error.value)
    assert error.value.fix


@pytest.mark.parametrize(
    ("other_fields", "message"),
    [
        ({"model": "b"}, "mixes models: 'example/model-8b' before this line, 'b' in it"),
        ({"model_digest": None}, "mixes weights"),
        ({"domain": "claims"}, "mixes domains"),
        ({"right": {"/a": True}, "score": {"/a": 1}}, "mixes kinds"),
    ],
)
def test_a_file_of_several_models_domains_or_kinds_is_refused(
    tmp_path: Path, other_fields: dict[str, Any], message: str
):
    with pytest.raises(InputError, match="calibrate each alone") as error:
        judged_answers.read_answers(file(tmp_path, GIVEN, GIVEN | other_fields))
    assert message in str(error.value)


def test_measures_and_scores_of_another_making_do_not_mix(tmp_path: Path):
    scored_row = {key: CHOICE[key] for key in ("model", "model_digest", "domain", "right")} | {"score": 0.5}
    with pytest.raises(InputError, match="mixes measures"):
        judged_answers.read_answers(file(tmp_path, CHOICE, scored_row))


def test_an_answer_that_is_judged_twice_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="'a' was judged in line 1 already"):
        judged_answers.read_answers(
            file(tmp_path, GIVEN | {"id": "a"}, GIVEN | {"id": "b"}, GIVEN | {"id": "a"})
        )


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"", b"\n\n"])
def test_a_file_that_is_not_there_or_empty_is_wrong_input(tmp_path: Path, content: bytes | None):
    path = tmp_path / "answers.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"answers\.jsonl"):
        judged_answers.read_answers(path)
