"""Any JSON object as a request: it becomes a chat request with chat's fields, or a refusal. Nothing else happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.chat import ChatRequest, check_chat
from edge.interfaces.messages_request import check_count, check_messages
from edge.interfaces.responses_request import check_responses
from edge.interfaces.tokenizer import check_tokenize
from edge.openai_api import Refusal


def one_of(words: str) -> st.SearchStrategy[str]:
    """One of these words."""
    return st.sampled_from(words.split())


WORDS = one_of("""
    text input_text output_text refusal input_image image image_url message function function_call tool_use tool_result
    function_call_output reasoning thinking base64 image/png data:image/png;base64,AAAA json_schema json_object
    allowed_tools auto any none required tool user assistant system developer rate enabled disabled c1 AAAA https://x
    item_reference web_search mcp_toolset document web_search_20250305
""")
FIELDS = one_of("""
    type role content text refusal image_url source media_type data url file_id detail call_id name arguments output id
    tool_use_id input is_error thinking signature summary cache_control citations parameters input_schema strict mode
    tools tool_choice schema format effort budget_tokens description status
""")
VALUES = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers(-2, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)
TOP = one_of("""
    input messages instructions system tools tool_choice text reasoning thinking output_config output_format include
    stop_sequences metadata max_tokens max_output_tokens stream temperature top_p top_k store background prompt
    previous_response_id conversation parallel_tool_calls truncation user top_logprobs stream_options container
""")
BLOCKS = st.lists(st.dictionaries(FIELDS, VALUES, max_size=5), min_size=1, max_size=3)
TURNS = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant"]), "content": st.just("hello") | BLOCKS}
    ),
    min_size=1,
    max_size=3,
)
CHECKS: list[tuple[Callable[[dict[str, Any]], dict[str, Any]], dict[str, Any]]] = [
    (check_responses, {"model": "fast", "input": "hello"}),
    (check_messages, {"model": "fast", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}),
    (check_count, {"model": "fast", "messages": [{"role": "user", "content": "hello"}]}),
    (check_tokenize, {"model": "fast", "messages": [{"role": "user", "content": "hello"}]}),
]


@pytest.mark.parametrize(("check", "valid"), CHECKS, ids=lambda value: getattr(value, "__name__", ""))
@given(fields=st.dictionaries(TOP, VALUES, max_size=4), turns=st.none() | TURNS, items=st.none() | BLOCKS)
def test_a_request_becomes_a_chat_request_or_a_refusal(
    check: Callable[[dict[str, Any]], dict[str, Any]],
    valid: dict[str, Any],
    fields: dict[str, Any],
    turns: list[Any] | None,
    items: list[Any] | None,
) -> None:
    body = {**valid, **fields}
    if turns is not None and "messages" in valid:
        body["messages"] = turns
    if items is not None and "input" in valid:
        body["input"] = items
    try:
        chat = check(body)
    except Refusal as error:
        refusal = error
    else:
        assert check is check_tokenize or chat.keys() <= ChatRequest.__annotations__.keys()
        assert check is check_tokenize or check_chat(chat) == chat, "the form that is screened is chat's own"
        return
    assert refusal.status == 400
    assert len(refusal.message) < 1500
