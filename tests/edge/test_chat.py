"""Bounds on what a chat request holds: what is looked through one by one takes the gateway's time."""

from __future__ import annotations

from typing import Any

import pytest

from edge.chat import MOST_MESSAGES, MOST_PARTS, MOST_TOOLS, check_chat
from edge.openai_api import Refusal

MESSAGE = {"role": "user", "content": "Hallo"}


def parts(count: int) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": "a"}] * count}


def tools(count: int) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": f"tool_{number}"}} for number in range(count)]


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [MESSAGE] * (MOST_MESSAGES + 1)},
        {"messages": [parts(MOST_PARTS + 1)]},
        {"messages": [parts(MOST_PARTS // 2), parts(MOST_PARTS // 2 + 1)]},
        {"messages": [MESSAGE], "tools": tools(MOST_TOOLS + 1)},
    ],
    ids=["messages", "parts of one", "parts of all", "tools"],
)
def test_a_request_of_very_many_pieces_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        check_chat({"model": "m", **fields})
    assert refused.value.status == 400


def test_as_many_as_may_be_are_taken() -> None:
    request = {"messages": [MESSAGE] * (MOST_MESSAGES - 1) + [parts(MOST_PARTS)], "tools": tools(MOST_TOOLS)}
    assert len(check_chat({"model": "m", **request})["messages"]) == MOST_MESSAGES
