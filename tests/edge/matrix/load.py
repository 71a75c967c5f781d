"""Clients that send requests without pause while a case changes something."""

from __future__ import annotations

import threading
import time

from tests.edge.matrix.answers import Answer, ask, chat
from tests.edge.matrix.lanes import Lane

CLIENTS = 3
SOME = 2 * CLIENTS
"""Answers that a case waits for before and after a change."""
LONGEST_S = 60.0


class Load:
    """Clients of one workload with one key or token, which a case may replace."""

    def __init__(self, lane: Lane, text: str, key: str, kind: str = "chat") -> None:
        """`text`: the prompt of each request."""
        self.answers: list[Answer] = []
        self._lane, self._text, self._kind = lane, text, kind
        self._key, self._sent = key, dict[int, str]()
        self._lock, self._over = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop, and wait for the requests that run."""
        self._over.set()
        for thread in self._threads:
            thread.join(LONGEST_S)
            assert not thread.is_alive()

    def wait_for(self, more: int = SOME, says: str = "") -> None:
        """Wait until so many more requests are answered, with this answer if it is given."""
        begun, end = len(self.answers), time.monotonic() + LONGEST_S
        while sum(says in ("", answer.says) for answer in self.answers[begun:]) < more:
            assert time.monotonic() < end, self.answers[begun:]
            time.sleep(0.01)

    def replace_key(self, key: str) -> None:
        """Send this key from now on, and wait until no request with the earlier one runs."""
        with self._lock:
            earlier, self._key = self._key, key
        end = time.monotonic() + LONGEST_S
        while earlier in self._sent.values():
            assert time.monotonic() < end
            time.sleep(0.01)

    def _ask(self, number: int) -> None:
        stream = bool(number % 2)
        while not self._over.is_set():
            with self._lock:
                key = self._sent[number] = self._key
            body = chat(self._lane, self._text, self._kind, stream=stream)
            self.answers.append(ask(self._lane, body, kind=self._kind, key=key))
            self._sent[number] = ""
