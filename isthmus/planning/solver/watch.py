"""Lets somebody follow a long search, and end it with the best plan so far.

A search looks at the watch that is active in its context (`watching`); without one it runs to its end in silence.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Watch:
    """One follower of a search."""

    say: Callable[[str], None]
    """Called with a line of progress."""
    is_ending: bool = False
    """Whether the search is to end with what it has."""
    has_ended_early: bool = False
    """Whether a search left something out because of it."""


_ACTIVE: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextlib.contextmanager
def watching(say: Callable[[str], None]) -> Iterator[Watch]:
    """Follow the searches of the block."""
    watch = Watch(say)
    token = _ACTIVE.set(watch)
    try:
        yield watch
    finally:
        _ACTIVE.reset(token)


def active() -> Watch | None:
    """The watch of the context."""
    return _ACTIVE.get()


def say(text: str) -> None:
    """Tell the follower, if there is one."""
    if (watch := active()) is not None:
        watch.say(text)


def is_ending() -> bool:
    """Whether the search is to end now. From then on the watch says that it ended early."""
    watch = active()
    if watch is None or not watch.is_ending:
        return False
    watch.has_ended_early = True
    return True


def has_ended_early() -> bool:
    """Whether a search left something out because its follower wished it to end."""
    watch = active()
    return watch is not None and watch.has_ended_early
