"""What the kernel says of connections: let through, or refused by a fence on the way."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Iterable
from typing import NamedTuple

from tests.fences.namespaces import Namespace

PATIENCE_S = 10
LET_THROUGH = {0, errno.ECONNREFUSED}
"""Somebody listens there, or nobody does: the packet has arrived."""


class Try(NamedTuple):
    address: str
    protocol: str
    """`TCP` or `UDP`."""
    port: int


def passing(host: Namespace, tries: Iterable[Try]) -> set[Try]:
    """Those of the tries, made all at once from this host, that are let through.

    Every other must be refused by a rule (`expressions.refuse`); raises AssertionError where one is just not answered.
    """
    passed: set[Try] = set()
    with contextlib.ExitStack() as stack:
        waiting: dict[int, tuple[socket.socket, Try]] = {}
        with host.entered():
            for attempt in tries:
                kind = socket.SOCK_STREAM if attempt.protocol == "TCP" else socket.SOCK_DGRAM
                enter_context = stack.enter_context(
                    socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
                )
                waiting[enter_context.fileno()] = enter_context, attempt
                enter_context.connect_ex((attempt.address, attempt.port))
                if attempt.protocol == "UDP":
                    enter_context.send(b"?")
        poll = select.poll()
        for descriptor, (_, attempt) in waiting.items():
            # A datagram is always writable: only its refusal is an event.
            poll.register(descriptor, select.POLLOUT if attempt.protocol == "TCP" else 0)
        end = time.monotonic() + PATIENCE_S
        while waiting:
            assert time.monotonic() < end, f"no answer to {[attempt for _, attempt in waiting.values()]}"
            for descriptor, _ in poll.poll(1000):
                poll.unregister(descriptor)
                enter_context, attempt = waiting.pop(descriptor)
                error = enter_context.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error in LET_THROUGH:
                    passed.add(attempt)
                else:
                    assert error == errno.EHOSTUNREACH, f"{attempt}: {os.strerror(error)}"
    return passed
