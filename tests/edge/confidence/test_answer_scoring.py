"""Confidence scores of one answer: a score at its end or none, and never a raw log-probability."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.confidence.answer_scoring import AfterTheEnd
from edge.confidence.calibration import Curve
from tests.edge.confidence.making import HALF, choice, listening, logprobs_of

JSON = ['{"iban": "', "CH1", '", "age": ', "42", "}"]
SURE = [-9.0, HALF, -9.0, -0.1, -9.0]


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish, **more}]}


def test_a_text_has_one_score_and_a_structured_answer_the_lowest_of_its_fields():
    text, fields = listening(), listening(structured=True)
    answer = {"choices": [choice(["Paid", " rent"], [HALF, HALF])]}
    text.whole(answer)
    assert answer["choices"][0]["confidence"] == {"score": 0.5}
    answer = {"choices": [choice(JSON, SURE)]}
    fields.whole(answer)
    assert answer["choices"][0]["confidence"] == {"score": 0.5, "fields": {"/iban": 0.5, "/age": 0.9048}}
    expected = {"score": 0.5, "calibration": "sha256:fields", "kind": "fields", "log_measure": round(HALF, 6)}
    assert fields.outcome == expected, "no name of a field goes on record"
    assert text.outcome["kind"] == "text"


def test_a_stream_has_the_score_of_the_whole_answer_in_its_last_chunk():
    heard = listening(structured=True)
    sent = []
    for number, text in enumerate(JSON):
        last = "stop" if number == len(JSON) - 1 else None
        sent.append(chunk({"content": text}, last, logprobs=logprobs_of([text], [SURE[number]])))
        assert heard.outcome["score"] is None, "half an answer has no score"
        heard.chunk(sent[-1])
    assert sent[-1]["choices"][0]["confidence"] == {"score": 0.5, "fields": {"/iban": 0.5, "/age": 0.9048}}
    assert not any("confidence" in chunk["choices"][0] for chunk in sent[:-1])
    assert "logprobs" not in json.dumps(sent)
    assert heard.outcome["score"] == 0.5


def test_a_streamed_tool_call_is_scored_by_its_arguments():
    heard = listening()
    pieces = ['{"city": "', "Bern", '"}']
    for piece, logprob in zip(pieces, [-9, HALF, -9], strict=True):
        call = {"index": 0, "function": {"arguments": piece}}
        heard.chunk(chunk({"tool_calls": [call]}, logprobs=logprobs_of([piece], [logprob])))
    last = chunk({}, "tool_calls")
    heard.chunk(last)
    assert last["choices"][0]["confidence"] == {"score": 0.5, "fields": {"/tool_calls/0/city": 0.5}}


def test_the_lowest_score_of_several_choices_is_recorded_or_none_if_one_is_missing():
    heard = listening()
    answer = {"choices": [choice(["a"], [-0.1]), choice(["b"], [HALF], index=1)]}
    heard.whole(answer)
    assert [choice["confidence"]["score"] for choice in answer["choices"]] == [0.9048, 0.5]
    assert heard.outcome["score"] == 0.5
    heard = listening()
    answer["choices"].append({"index": 2, "message": {"content": "c"}, "finish_reason": "stop"})
    heard.whole({"choices": [choice(["a"], [-0.1]), answer["choices"][2]]})
    assert heard.outcome == {"score": None, "why": "no log-probabilities"}


def test_an_unfinished_choice_has_no_recorded_score():
    heard = listening()
    heard.chunk(chunk({"content": "a"}, "stop", logprobs=logprobs_of(["a"], [-0.1])))
    assert heard.outcome["score"] == 0.9048
    heard.chunk(chunk({"content": "b"}, index=1, logprobs=logprobs_of(["b"], [-0.1])))
    assert heard.outcome == {"score": None, "why": "cut"}


def test_a_choice_that_continues_after_its_score_is_refused():
    heard = listening()
    heard.chunk(chunk({"content": "a"}, "stop", logprobs=logprobs_of(["a"], [-0.1])))
    with pytest.raises(AfterTheEnd):
        heard.chunk(chunk({"content": "b"}, logprobs=logprobs_of(["b"], [-9])))


@pytest.mark.parametrize(
    ("answer", "more", "why"),
    [
        (choice(["a"], [-1]), {"kinds": ()}, "no calibration"),
        (choice(["a"], [-1]), {"kinds": ("fields",)}, "no calibration"),
        (choice(["a"], [-1]) | {"logprobs": None}, {}, "no log-probabilities"),
        (choice(["a"], [float("nan")]), {}, "no log-probabilities"),
        (choice(["a"], [-1], finish_reason="length"), {}, "cut"),
        (choice(["a"], [-1]) | {"message": {"content": "b"}}, {}, "not of these tokens"),
        (choice(["a"], [-1]), {"structured": True}, "no JSON"),
        (choice(["a"], [-1]) | {"message": None}, {}, "unreadable"),
        (choice(["a"], [-1]) | {"message": {"content": 3}}, {}, "unreadable"),
        (choice(["a"], [-1]) | {"message": {"tool_calls": [{}]}}, {}, "unreadable"),
        (choice(["a"], [-1]) | {"message": {"tool_calls": 7}}, {}, "unreadable"),
    ],
)
def test_an_answer_that_cannot_be_scored_has_no_number(
    answer: dict[str, Any], more: dict[str, Any], why: str
):
    heard, unscored = listening(**more), dict(answer)
    heard.whole({"choices": [unscored]})
    assert unscored["confidence"] == {"score": None}
    assert "logprobs" not in unscored
    assert heard.outcome == {"score": None, "why": why}


@pytest.mark.parametrize(
    "delta",
    [{"content": 3}, {"tool_calls": [3]}, {"tool_calls": 3}, {"tool_calls": [{"index": [], "function": 1}]}],
)
def test_a_malformed_stream_has_no_score(delta: dict[str, Any]):
    heard = listening()
    heard.chunk(chunk(delta, logprobs=logprobs_of(["a"], [-1])))
    last = chunk({}, "stop")
    heard.chunk(last)
    assert last["choices"][0]["confidence"] == {"score": None}


def test_an_oversized_stream_has_no_score_and_a_score_from_the_model_server_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("edge.confidence.answer_scoring.MAX_TEXT", 3)
    heard = listening()
    first = chunk({"content": "ab"}, logprobs=logprobs_of(["ab"], [-0.1]), confidence={"score": 1})
    heard.chunk(first)
    assert "confidence" not in first["choices"][0]
    last = chunk({"content": "cd"}, "stop", logprobs=logprobs_of(["cd"], [-0.1]))
    heard.chunk(last)
    assert last["choices"][0]["confidence"] == {"score": None}


def test_a_caller_who_requests_log_probabilities_gets_them():
    heard = listening(keeps=True)
    answer = {"choices": [choice(["a"], [-1])]}
    heard.whole(answer)
    assert answer["choices"][0]["logprobs"] == logprobs_of(["a"], [-1])


def test_no_score_exceeds_the_highest_calibrated_one():
    curve = Curve(a=1, b=1, c=0, highest=HALF)
    assert curve.score(-1e-6) == curve.score(HALF) == 0.5
    assert curve.score(-3) < 0.5
    steep = Curve(a=1e6, b=1e6, c=-1e9, highest=-1e-9)
    assert steep.score(-50) == 0.0, "no overflow at the ends"
