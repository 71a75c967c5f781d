"""The gateway's second port, for callers from outside the cluster: only stated addresses connect."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.config.base import Access
from edge.connections import Sources
from tests.edge.conftest import GATEWAY_NAME, KEYS, WORKLOAD, Site, bearer, chat, gateway_config
from tests.edge.processes import Edge, free_port

HOST = "llm.bank.example"
REFUSED = "isthmus_addresses_refused_total"


def network(address: int, length: int) -> str:
    return str(ip_network((address, length), strict=False))


NETWORKS = st.one_of(
    st.builds(network, st.integers(0, 2**32 - 1), st.integers(0, 32)),
    st.builds(network, st.integers(2**32, 2**128 - 1), st.integers(0, 128)),
)


@given(st.lists(NETWORKS, min_size=1, max_size=5), st.ip_addresses())
def test_an_address_connects_exactly_if_a_range_contains_it(ranges: list[str], address: Any) -> None:
    refused: list[None] = []
    sources = Sources(ranges, lambda: refused.append(None))
    # An IPv4 address in IPv6 form is the IPv4 address.
    meant = getattr(address, "ipv4_mapped", None) or address
    is_within = any(meant in ip_network(text) for text in ranges)
    assert sources.allow(str(address)) == is_within
    assert bool(refused) != is_within


@given(NETWORKS)
def test_the_addresses_beside_a_range_do_not_connect(text: str) -> None:
    sources, range_ = Sources([text], lambda: None), ip_network(text)
    last = int(range_.broadcast_address)
    first, as_address = int(range_.network_address), type(range_.network_address)

    def allowed(number: int) -> bool:
        return sources.allow(str(as_address(number)))

    mapped = range_.version == 6 and range_.overlaps(ip_network("::ffff:0:0/96"))
    if not mapped:  # IPv4 addresses in IPv6 form are in IPv4 ranges
        assert allowed(first)
        assert allowed(last)
        assert first == 0 or not allowed(first - 1)
        assert last + 1 == 2**range_.max_prefixlen or not allowed(last + 1)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_ipv6_form_is_the_same_address(address: IPv4Address) -> None:
    sources = Sources(["10.0.0.0/8"], lambda: None)
    assert sources.allow(f"::ffff:{address}") == (address in IPv4Network("10.0.0.0/8"))


def test_a_link_local_address_has_its_interface_cut_off() -> None:
    assert ip_address("fe80::1") in IPv6Network("fe80::/10")
    assert Sources(["fe80::/10"], lambda: None).allow("fe80::1%eth0")


@pytest.mark.parametrize("ranges", [[], ["10.0.0.1/8"], ["llm.bank.example"], ["10.0.0.0/40"]])
def test_what_is_no_list_of_ranges_is_refused(ranges: list[str]) -> None:
    with pytest.raises(ValidationError):
        Access(port=8444, source_ranges=ranges)


Start = Callable[[list[str]], tuple[Edge, int]]


@pytest.fixture
def start(chain: Site, tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway with a second port for these ranges, whose certificate has the outside name too."""
    started: list[Edge] = []

    def starting(ranges: list[str]) -> tuple[Edge, int]:
        chain.authority.issue("outside", GATEWAY_NAME, HOST)
        port = free_port()
        config = gateway_config(chain.folder, chain.sidecar.port, "outside")
        config["access"] = {"port": port, "source_ranges": ranges}
        started.append(Edge(tmp_path / f"own-{len(started)}", config))
        return started[-1].wait_until_up(), port

    yield starting
    for edge in started:
        edge.stop()


def ask(chain: Site, port: int, certificate: str | None = "app") -> httpx.Response:
    """Ask by the outside name: as the name in TLS, and as the host of the request."""
    with httpx.Client(
        verify=chain.authority.client(certificate), trust_env=False, timeout=10, transport=None
    ) as client:
        return client.post(
            f"https://127.0.0.1:{port}/v1/chat/completions",
            json=chat(),
            headers={**bearer(KEYS[WORKLOAD]), "host": HOST},
            extensions={"sni_hostname": HOST},
        )


def test_callers_from_a_stated_range_are_served_by_the_outside_name(chain: Site, start: Start) -> None:
    edge, port = start(["10.0.0.0/8", "127.0.0.0/8"])
    answer = ask(chain, port)
    assert answer.status_code == 200, answer.text
    assert ask(chain, edge.port).status_code == 200, "the port for callers inside takes the same name"
    assert edge.metric(REFUSED) == 0


def test_the_second_port_demands_a_certificate_as_the_first_does(chain: Site, start: Start) -> None:
    _, port = start(["127.0.0.0/8"])
    with pytest.raises(httpx.HTTPError):
        ask(chain, port, certificate=None)


def test_a_connection_from_another_address_is_closed_before_tls(chain: Site, start: Start) -> None:
    edge, port = start(["10.0.0.0/8"])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        assert connection.recv(1) == b"", "the gateway waited for a caller that may not connect"
    with pytest.raises(httpx.HTTPError):
        ask(chain, port)
    assert ask(chain, edge.port).status_code == 200, "callers inside must not depend on these ranges"
    assert edge.metric(REFUSED) == 2


def test_a_second_port_that_is_taken_ends_the_process_with_its_key(chain: Site, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = gateway_config(chain.folder, chain.sidecar.port)
        config["access"] = {"port": taken.getsockname()[1], "source_ranges": ["10.0.0.0/8"]}
        edge = Edge(tmp_path / "taken", config)
        assert edge.process.wait(30) == 3
        assert "access.port" in edge.output()
