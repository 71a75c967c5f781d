"""Conversations of several people at once through a gateway, and the times to their first tokens."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

from tests.edge.conftest import bearer
from tests.edge.replica_fleet import CHAT, KEY, WORKLOAD, Fleet

RULES = random.Random("rules").randbytes(400).hex()


def converse(fleet: Fleet, gateway: int, *, people: int, conversations: int, turns: int) -> list[float]:
    """Let people have conversations one after the other. Returns the seconds to each first token."""
    firsts: list[float] = []
    threads = [
        threading.Thread(target=_talk, args=(fleet, gateway, person, conversations, turns, firsts))
        for person in range(people)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(firsts) == people * conversations * turns, "a request failed"
    return firsts


def _talk(
    fleet: Fleet, gateway: int, person: int, conversations: int, turns: int, firsts: list[float]
) -> None:
    for number in range(conversations):
        source = random.Random(f"{person} {number}")
        messages: list[dict[str, Any]] = [{"role": "system", "content": RULES}]
        for _ in range(turns):
            messages.append({"role": "user", "content": source.randbytes(700).hex()})
            body = {"model": WORKLOAD, "messages": messages, "stream": True}
            began = time.monotonic()
            with fleet.clients[gateway].stream("POST", CHAT, json=body, headers=bearer(KEY)) as answer:
                pieces = answer.iter_text()
                next(pieces)
                firsts.append(time.monotonic() - began)
                text = "".join(pieces)
                assert "cached_tokens" not in text
                assert text.endswith("data: [DONE]\n\n"), text
            messages.append({"role": "assistant", "content": source.randbytes(300).hex()})
            time.sleep(source.uniform(0, 0.02))
