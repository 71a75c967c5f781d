"""The replicas of an endpoint: one for each address that its host name lists, as a headless Service does.

A new address gets requests after its first good probe. An address that disappears gets no new ones, and the running
ones finish. If the name cannot be resolved, the known replicas stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from edge.journal import write_line
from edge.routing.replica import Replica


class ReplicaList:
    """The replicas that the host name lists now, and those that it no longer lists but that still answer."""

    def __init__(
        self, name: str, host: str, port: int, replica: Callable[[str], Replica], every_s: float
    ) -> None:
        """`replica` makes the replica at an address, or with an empty address the one behind the name."""
        self._name, self._host, self._port, self._replica, self._every_s = name, host, port, replica, every_s
        self._by_address = {"": replica("")}
        self._leaving: dict[str, Replica] = {}
        self._probing: dict[str, asyncio.Task[None]] = {}
        self.is_resolved = True
        """Whether the last look-up of the name succeeded."""

    @property
    def current(self) -> list[Replica]:
        """The replicas that may get requests. Before the first look-up, the one behind the name."""
        return list(self._by_address.values())

    @property
    def draining(self) -> list[Replica]:
        """The replicas that are no longer listed and still have running requests."""
        for address, replica in list(self._leaving.items()):
            if not replica.sharing.running:
                del self._leaving[address]
        return list(self._leaving.values())

    async def watch(self) -> None:
        """Look the name up in a loop, and probe each replica."""
        try:
            while True:
                self.update(await self._look_up())
                await asyncio.sleep(self._every_s)
        finally:
            for task in self._probing.values():
                task.cancel()

    async def _look_up(self) -> set[str]:
        """The addresses of the name. Empty if it cannot be resolved."""
        loop = asyncio.get_running_loop()
        answers = []
        with contextlib.suppress(
            OSError, UnicodeError
        ):  # in a thread of its own, which may wait for a resolver
            answers = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        hosts: dict[int, set[str]] = {}
        for family, _, _, _, address in answers:
            hosts.setdefault(family, set()).add(str(address[0]))
        # A replica with addresses of both families is one replica.
        if socket.AF_INET in hosts:
            return {f"{host}:{self._port}" for host in hosts[socket.AF_INET]}
        return {f"[{host}]:{self._port}" for host in hosts.get(socket.AF_INET6, ())}

    def update(self, addresses: set[str]) -> None:
        """Take the addresses that the name lists now. Empty: it could not be resolved."""
        was_resolved, self.is_resolved = self.is_resolved, bool(addresses)
        if not addresses:
            if was_resolved:
                write_line("replicas_unresolved", endpoint=self._name, known=len(self._probing))
            return
        gone, new = self._by_address.keys() - addresses, addresses - self._by_address.keys()
        for address in gone:
            replica = self._by_address.pop(address)
            if replica.sharing.running:
                self._leaving[address] = replica
            if (task := self._probing.pop(address, None)) is not None:
                task.cancel()
        for address in sorted(new):
            replica = self._leaving.pop(address, None) or self._replica(address)
            self._by_address[address] = replica
            self._probing[address] = asyncio.get_running_loop().create_task(replica.probing())
        if gone or new or not was_resolved:
            write_line("replicas", endpoint=self._name, listed=sorted(addresses), draining=len(self.draining))
