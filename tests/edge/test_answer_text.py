"""The text of an answer and of its conversation, as a judge reads them."""

from __future__ import annotations

from edge.answer_text import AnswerText, conversation_of


def test_a_conversation_is_judged_if_it_is_text():
    asked = {"role": "user", "content": [{"type": "text", "text": "Which rent?"}]}
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    assert conversation_of({"messages": [asked, call]}) == 'user: Which rent?\n\nassistant: [{"id":"1"}]'
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
    assert conversation_of({"messages": [image]}) is None
    assert conversation_of({"prompt": "Which rent?"}) is None


def test_an_answer_with_a_tool_call_is_no_text_and_a_long_one_is_not_kept():
    text = AnswerText()
    text.take([{"delta": {"content": "Pa"}}], "delta")
    text.take([{"delta": {"content": "id", "role": None}}, {"delta": {}}], "delta")
    assert (text.text, text.is_text) == ("Paid", True)
    for _ in range(100):
        text.take([{"delta": {"content": "x" * 10_000}}], "delta")
    assert len(text.text) < 100_000
    text.take([{"delta": {"tool_calls": [{"index": 0}]}}], "delta")
    assert not text.is_text
