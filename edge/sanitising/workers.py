"""Workers that redact batches: several processes, or this process."""

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
    """The future result of a batch."""

    def result(self) -> list[Cleaned]:
        """Wait for the result. Raises BrokenProcessPool."""
        ...


class InProcess:
    """Redacts batches in this process, when they are submitted: for small inputs and tests."""

    width = 1

    def __init__(self, cleaner: Cleaner) -> None:
        self._cleaner = cleaner

    def begin(self, batch: list[Document]) -> Result:
        """Redact a batch."""
        future: Future[list[Cleaned]] = Future()
        future.set_result([self._cleaner.clean(document) for document in batch])
        return future

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


class Processes:
    """Redacts batches in several processes. They end with this process, however it ends."""

    def __init__(self, rules: Rules, languages: Sequence[str], count: int) -> None:
        self.width = count
        # Spawned rather than forked, so that they do not inherit memory and open files of this process.
        self._pool = ProcessPoolExecutor(
            count,
            multiprocessing.get_context("spawn"),
            _begin,
            (rules.model_dump(mode="json"), list(languages)),
        )

    def begin(self, batch: list[Document]) -> Result:
        """Submit a batch."""
        return self._pool.submit(_clean, batch)

    def close(self) -> None:
        """End the processes. Batches that have not begun are dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)


_cleaner: Cleaner | None = None
"""The cleaner of a worker process."""


def _begin(rules: dict[str, Any], languages: list[str]) -> None:
    global _cleaner
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal signals all processes; the parent decides
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        _cleaner = Cleaner(Rules.model_validate(rules), languages)
    except NoModel:
        raise SystemExit(1) from None


def _clean(batch: list[Document]) -> list[Cleaned]:
    assert _cleaner is not None
    return [_cleaner.clean(document) for document in batch]
