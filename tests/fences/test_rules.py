"""The rendered policies as rules of the kernel: they are live, and let through what the independent analyser says."""

from __future__ import annotations

import ipaddress
import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.fake_model import FakeModel
from tests.fences.policies import closed
from tests.fences.probing import Try, passing
from tests.fences.rendered_site import AWS, INTERNET, MACHINE, RESOLVER, Site
from tests.graders import network
from tests.graders.network import Way

APP, STRANGER = "app-restricted/app", "stranger/app"
GATEWAY, MODEL = "isthmus-restricted/restricted-gateway", "isthmus-restricted/restricted-qwen3-32b"
TRIED = [("TCP", 53), ("UDP", 53), ("TCP", 80), ("TCP", 443), ("TCP", 8443), ("TCP", 9090), ("TCP", 40000)]
"""Every port that a policy speaks of, and some of which none does."""


def ask_over(source: socket.socket, text: bytes) -> bytes:
    source.settimeout(5)
    source.sendall(text)
    return source.recv(65536)


def test_a_permitted_connection_carries_bytes_and_a_forbidden_one_is_refused_until_the_rules_are_gone(
    site: Site,
):
    with site.hosts[MODEL].entered():
        model = FakeModel((site.addresses[MODEL], 8443))
    address = (site.addresses[MODEL], 8443)
    request = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    try:
        with site.hosts[GATEWAY].entered(), socket.create_connection(address, 5) as permitted:
            assert ask_over(permitted, request).startswith(b"HTTP/1.1 200")
        before = site.fence.refused(MODEL, "in")
        for forbidden in (APP, STRANGER):
            with site.hosts[forbidden].entered(), pytest.raises(OSError, match="No route to host"):
                socket.create_connection(address, 5)
        assert site.fence.refused(MODEL, "in") == before + 2, "it was not these rules that refused"
        site.fence.remove()
        with site.hosts[STRANGER].entered(), socket.create_connection(address, 5) as open_now:
            assert ask_over(open_now, request).startswith(b"HTTP/1.1 200")
    finally:
        site.fence_in()
        model.shutdown()
        model.server_close()


def covered(connections: set[Way], source: Ends, target: Ends, protocol: str, port: int) -> bool:
    return any(
        connection.protocol in ("any", protocol)
        and _port(connection.ports, port)
        and source.are(connection.source)
        and target.are(connection.target)
        for connection in connections
    )


class Ends:
    """One host, as the analyser may speak of it: by its name, or outside as part of a range."""

    def __init__(self, name: str, outside: str | None) -> None:
        self._name, self._outside = name, ipaddress.IPv4Address(outside) if outside else None

    def are(self, end: str) -> bool:
        if "/" in end or self._outside is None:
            return end == self._name
        first, _, last = end.partition("-")
        return ipaddress.IPv4Address(first) <= self._outside <= ipaddress.IPv4Address(last or first)


def _port(port_range: str, port: int) -> bool:
    first, _, last = port_range.partition("-")
    return port_range == "any" or int(first) <= port <= int(last or first)


def pairs(site: Site) -> Iterator[tuple[str, str]]:
    """All but those outside the cluster among themselves, of which no policy speaks."""
    return (
        permutation
        for permutation in itertools.permutations(site.addresses, 2)
        if not set(permutation) <= set(site.outside)
    )


def test_the_kernel_allows_exactly_the_connections_of_the_analyser(site: Site, tmp_path: Path):
    analysed = network.analysed([*network.renamed(site.bodies), *site.around], tmp_path)
    ends = {name: Ends(name, site.outside.get(name)) for name in site.addresses}
    passed, expected_ways = set(), set()
    for source in site.addresses:
        targets = {
            site.addresses[target]: target for source_host, target in pairs(site) if source_host == source
        }
        tries = [Try(address, *port) for address in targets for port in TRIED]
        passed |= {
            (source, targets[attempt.address], attempt.protocol, attempt.port)
            for attempt in passing(site.hosts[source], tries)
        }
    for (source, target), port in itertools.product(pairs(site), TRIED):
        if covered(analysed, ends[source], ends[target], *port):
            expected_ways.add((source, target, *port))
    assert (passed - expected_ways, expected_ways - passed) == (set(), set()), (
        "the kernel lets through more, and less"
    )
    assert len(expected_ways) > 500, "and they are many"


def test_a_restricted_pod_reaches_its_model_and_the_sites_resolver_and_nothing_else(site: Site):
    """Said out loud, without the analyser: the whole way out of the class."""
    tries = [Try(address, *port) for address in site.addresses.values() for port in TRIED]
    resolver = {Try(site.outside[RESOLVER], "TCP", 53), Try(site.outside[RESOLVER], "UDP", 53)}

    def from_pod(name: str) -> set[Try]:
        own_address = site.addresses[name]
        return {attempt for attempt in passing(site.hosts[name], tries) if attempt.address != own_address}

    assert from_pod(GATEWAY) == {Try(site.addresses[MODEL], "TCP", 8443), *resolver}
    assert from_pod(MODEL) == set()
    assert from_pod("isthmus-restricted/stray") == set()
    # That the cloud's addresses are there to be reached, and by whom.
    translator = from_pod("isthmus-internal/internal-translator")
    assert {attempt for attempt in translator if attempt.address in site.outside.values()} == {
        Try(site.outside[AWS], "TCP", 443)
    }
    assert Try(site.outside[INTERNET], "TCP", 443) in from_pod(STRANGER)
    assert Try(site.outside[MACHINE], "TCP", 9090) in from_pod(STRANGER)


def test_an_application_reaches_its_own_classs_gateway_and_nothing_else_of_the_platform(site: Site):
    """So a key of another class's is of no use to it, and no model server answers it."""
    own_addresses = {
        address: name for name, address in site.addresses.items() if name.startswith(network.OURS)
    }
    tries = [Try(address, *port) for address in own_addresses for port in TRIED]
    for data_class in network.CLASSES:
        reached = {
            (own_addresses[attempt.address], attempt.port)
            for attempt in passing(site.hosts[f"app-{data_class}/app"], tries)
        }
        assert reached == {(f"isthmus-{data_class}/{data_class}-gateway", 8443)}


def test_a_policy_that_lets_through_more_is_seen_by_the_kernel_too(site: Site):
    """As in tests/graders/test_network.py: the comparison above can fail."""
    policies = [policy for policy in site.policies if policy["metadata"]["name"] != "default-deny"]
    remaining = [policy for policy in policies if policy["metadata"]["name"] != "restricted-qwen3-32b"]
    try:
        site.fence.build(closed(remaining, site.pods))
        attempt = Try(site.outside[AWS], "TCP", 443)
        assert passing(site.hosts[MODEL], [attempt]) == {attempt}
        assert passing(site.hosts[GATEWAY], [attempt]) == set()
    finally:
        site.fence_in()
