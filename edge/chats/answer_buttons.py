"""
title: Answer buttons
description: Good answer, poor answer, ask a person. Open WebUI runs this file as a function (edge/chats/open_webui.py).
version: 1
"""

from __future__ import annotations

import base64
from typing import Any

import httpx

GATEWAY = "http://127.0.0.1:8081"
"""The chat's proxy in this pod; replaced when the function is installed."""
REASONS = {
    "wrong": "It is wrong",
    "incomplete": "Something is missing",
    "out-of-date": "It is out of date",
    "unclear": "It is hard to understand",
    "off-topic": "It does not answer the question",
    "inappropriate": "It is inappropriate",
}

RATED = "Thank you. Your feedback is recorded."
ASKED = "A reviewer got your question. The reply will be on My requests."


def _icon(path: str) -> str:
    drawing = (
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='#666' stroke-width='2' "
        f"stroke-linecap='round' stroke-linejoin='round'><path d='{path}'/></svg>"
    )
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.encode()).decode()


class Action:
    """The buttons below each answer."""

    def __init__(self) -> None:
        self.actions = [
            {
                "id": "up",
                "name": "Good answer",
                "icon_url": _icon(
                    "M7 10v11H4V10zM7 10l4-7c2 0 3 1 3 3l-1 4h6c1 0 2 1 2 2l-2 7c0 1-1 2-2 2H7"
                ),
            },
            {
                "id": "down",
                "name": "Poor answer",
                "icon_url": _icon(
                    "M17 14V3h3v11zM17 14l-4 7c-2 0-3-1-3-3l1-4H5c-1 0-2-1-2-2l2-7c0-1 1-2 2-2h10"
                ),
            },
            {
                "id": "ask",
                "name": "Ask a person",
                "icon_url": _icon("M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4 4-6 8-6s8 2 8 6"),
            },
        ]

    async def action(
        self,
        body: dict[str, Any],
        __id__: str = "",
        __request__: Any = None,
        __event_emitter__: Any = None,
        __event_call__: Any = None,
    ) -> None:
        """One press of a button."""
        token = __request__.cookies.get("isthmus_access_token", "")
        if __id__ == "ask":
            notice = await _notice(token, __request__.headers.get("accept-language", ""))
            sent = await _asking(body, notice, __event_call__)
        else:
            sent = await _rating(body, __id__, __event_call__)
        if sent is None:
            return
        path, done = ("/v1/cases", ASKED) if __id__ == "ask" else ("/v1/feedback", RATED)
        kind, text = await _send(path, sent, token)
        told = done if kind == "success" else text
        await __event_emitter__({"type": "notification", "data": {"type": kind, "content": told}})


async def _notice(token: str, languages: str) -> str:
    """What the person must read first, in their language if it is there. Empty: nothing, or it cannot be read."""
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        try:
            answer = await client.get(f"{GATEWAY}/v1/cases/notice", cookies={"isthmus_access_token": token})
            texts: dict[str, str] = answer.json()["notice"]
        except (httpx.HTTPError, ValueError, KeyError):
            return ""  # a case without the confirmation is refused then
    return texts.get(languages[:2].lower()) or texts.get("en") or next(iter(texts.values()), "")


async def _asking(body: dict[str, Any], notice: str, call: Any) -> dict[str, Any] | None:
    """A case about the answer; None if the person asks nothing. To send it is to confirm the notice."""
    question = await call(
        {
            "type": "input",
            "data": {
                "title": "Ask a person about this answer",
                "message": f"A reviewer reads this conversation and your question. {notice}".strip(),
                "placeholder": "What do you want to know?",
            },
        }
    )
    if not isinstance(question, str) or not question.strip():
        return None
    messages = [
        {"role": message["role"], "content": str(message["content"])}
        for message in body["messages"]
        if message["role"] in ("user", "assistant", "system")
    ]
    confirmed = {"confirmed": True} if notice else {}
    return {"id": body["id"], "question": question.strip(), "messages": messages, **confirmed}


async def _rating(body: dict[str, Any], button: str, call: Any) -> dict[str, Any] | None:
    """Feedback on the answer; None if the person chooses no reason for a poor one."""
    if button == "up":
        return {"id": body["id"], "rating": "up"}
    reason = await call(
        {
            "type": "input",
            "data": {
                "title": "What is poor about this answer?",
                "message": "Your choice is recorded under a pseudonym.",
                "type": "select",
                "placeholder": "Choose a reason",
                "options": [{"value": value, "label": label} for value, label in REASONS.items()],
            },
        }
    )
    return {"id": body["id"], "rating": "down", "reason": reason} if reason in REASONS else None


async def _send(path: str, body: dict[str, Any], token: str) -> tuple[str, str]:
    """Send it by the proxy. Returns `success` or `error`, and why not."""
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        try:
            answer = await client.post(GATEWAY + path, json=body, cookies={"isthmus_access_token": token})
        except httpx.HTTPError:
            return "error", "The gateway does not answer now. Try again."
    return ("success", "") if answer.is_success else ("error", _message(answer))


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The gateway refused this ({answer.status_code})."
