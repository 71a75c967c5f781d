"""Network namespaces joined by one router, each with one address: a site's pods, and hosts outside it.

They bear no names. A namespace lives as long as a descriptor or a process holds it, so nothing is left behind however
the run ends. A thread enters one; a socket or a process that it makes there stays there, wherever the thread goes next.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pyroute2 import IPRoute

CLONE_NEWNET = 0x40000000
HERE = "/proc/thread-self/ns/net"
ROUTER = "169.254.1.1"
"""The next hop of every host, on its own link, as Calico does it: no host is on another's network."""
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


class Namespace:
    """One network namespace with its loopback up; raises OSError where the machine does not allow it."""

    def __init__(self) -> None:
        with _back():
            _call("unshare", CLONE_NEWNET)
            self.descriptor = os.open(HERE, os.O_RDONLY | os.O_CLOEXEC)
            with IPRoute() as links:
                links.link("set", index=1, state="up")
            # The kernel answers a flood of refused connections with silence: here every one is told.
            _set("icmp_ratemask", "0")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread in the namespace, and back."""
        with _back():
            _call("setns", self.descriptor, CLONE_NEWNET)
            yield

    def close(self) -> None:
        """Let go: the kernel removes it when its last process has ended."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


@contextlib.contextmanager
def _back() -> Iterator[None]:
    home = os.open(HERE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        try:
            _call("setns", home, CLONE_NEWNET)
        finally:
            os.close(home)


def _set(name: str, value: str) -> None:
    """A setting of IPv4 in the namespace that this thread is in."""
    Path("/proc/sys/net/ipv4", name).write_text(value)


class Network:
    """Hosts by name, each in a namespace of its own behind the router, which forwards all that nothing forbids."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self.addresses = dict(addresses)
        self.hosts: dict[str, Namespace] = {}
        self.links = {name: f"v{number}" for number, name in enumerate(addresses)}
        """The router's end of each host's link: what its rules know the host by."""
        self.router = Namespace()
        try:
            for name in addresses:
                self.hosts[name] = Namespace()
            with self.router.entered(), IPRoute() as links:
                _set("ip_forward", "1")
                for name in addresses:
                    self._join(name, links)
        except BaseException:
            self.close()
            raise

    def _join(self, name: str, router: IPRoute) -> None:
        host, link, address = self.hosts[name], self.links[name], self.addresses[name]
        end = {"ifname": "eth0", "net_ns_fd": host.descriptor}
        router.link("add", ifname=link, kind="veth", peer=end)
        (index,) = router.link_lookup(ifname=link)
        router.link("set", index=index, state="up")
        router.addr("add", index=index, address=ROUTER, prefixlen=32)
        with host.entered(), IPRoute() as inside:
            (eth0,) = inside.link_lookup(ifname="eth0")
            inside.addr("add", index=eth0, address=address, prefixlen=32)
            inside.link("set", index=eth0, state="up")
            inside.route("add", dst=f"{ROUTER}/32", oif=eth0, scope=253)
            inside.route("add", dst="default", gateway=ROUTER, oif=eth0)
        router.route("add", dst=f"{address}/32", oif=index, scope=253)

    def close(self) -> None:
        for host in (self.router, *self.hosts.values()):
            host.close()
