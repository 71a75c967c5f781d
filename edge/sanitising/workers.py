"""Who cleans: processes, each with the rules made ready, or this one alone."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Protocol

from edge.redaction import NoModel, Rules
from edge.sanitising.document import Cleaned, Cleaner, Document

_PR_SET_PDEATHSIG = 1


class Result(Protocol):
    """What a batch will be."""

    def result(self) -> list[Cleaned]:
        """Wait for it; raises BrokenProcessPool."""
        ...


class InProcess:
    """In this process, when it is asked for: for little work, and for tests."""

    width = 1

    def __init__(self, cleaner: Cleaner) -> None:
        self._cleaner = cleaner

    def begin(self, batch: list[Document]) -> Result:
        """Take on a batch."""
        future: Future[list[Cleaned]] = Future()
        future.set_result([self._cleaner.clean(document) for document in batch])
        return future

    def close(self) -> None:
        """Nothing is held."""


class Processes:
    """Several. They end with this one, however it ends."""

    def __init__(self, rules: Rules, languages: Sequence[str], count: int) -> None:
        self.width = count
        # Spawned, not forked: what this process has loaded and holds open is none of theirs.
        self._pool = ProcessPoolExecutor(
            count,
            multiprocessing.get_context("spawn"),
            _begin,
            (rules.model_dump(mode="json"), list(languages)),
        )

    def begin(self, batch: list[Document]) -> Result:
        """Take on a batch; it is cleaned in its turn."""
        return self._pool.submit(_clean, batch)

    def close(self) -> None:
        """End them; what was not begun is left."""
        self._pool.shutdown(wait=True, cancel_futures=True)


_cleaner: Cleaner | None = None
"""In a process of ours."""


def _begin(rules: dict[str, Any], languages: list[str]) -> None:
    global _cleaner
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells all; the first one decides
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        _cleaner = Cleaner(Rules.model_validate(rules), languages)
    except NoModel:
        raise SystemExit(1) from None


def _clean(batch: list[Document]) -> list[Cleaned]:
    assert _cleaner is not None
    return [_cleaner.clean(document) for document in batch]
