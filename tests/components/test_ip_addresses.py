"""Networks and addresses among arguments: whatever is written, it is understood or refused with its place."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.aws.common.ip_addresses import cidr_label, ipv4_network, ipv4_networks, public_address
from isthmus.core.errors import InputError

ADDRESSES = st.ip_addresses(v=4)
NETWORKS = st.builds(
    lambda address, length: ipaddress.IPv4Network((address, length), strict=False),
    ADDRESSES,
    st.integers(min_value=1, max_value=32),
)


@given(text=st.one_of(st.text(), st.ip_addresses(v=6).map(str), ADDRESSES.map(lambda ip: f"{ip}/33")))
def test_an_invalid_network_is_refused_with_its_place(text: str) -> None:
    try:
        ipaddress.IPv4Network(text)
    except ValueError:
        with pytest.raises(InputError) as refused:
            ipv4_network(text, "here")
        assert refused.value.where == "here"


@given(network=NETWORKS)
def test_a_network_is_read_as_it_is_written(network: ipaddress.IPv4Network) -> None:
    assert ipv4_network(str(network), "here") == network


@given(networks=st.lists(NETWORKS, max_size=6))
def test_a_list_keeps_its_order_and_holds_no_two_that_overlap(networks: list[ipaddress.IPv4Network]) -> None:
    apart = all(a == b or not a.overlaps(b) for a in networks for b in networks)
    if apart:
        assert ipv4_networks([str(network) for network in networks], "here") == list(dict.fromkeys(networks))
    else:
        with pytest.raises(InputError, match="overlap"):
            ipv4_networks([str(network) for network in networks], "here")


@given(address=ADDRESSES)
def test_an_address_is_public_or_a_documentations_or_refused(address: ipaddress.IPv4Address) -> None:
    documentation = any(
        address in ipaddress.IPv4Network(text)
        for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
    )
    try:
        public = public_address(str(address), "here")
    except InputError:
        assert not address.is_global or address.is_multicast
    else:
        # What is reserved for single protocols (192.0.0.0/24, 192.88.99.0/24) is left to AWS.
        assert public == str(address)
        assert (
            address.is_global
            or documentation
            or str(address).startswith(("192.0.0.", "192.88.99.", "192.31."))
        )


@given(first=NETWORKS, second=NETWORKS)
def test_two_networks_have_two_labels(first: ipaddress.IPv4Network, second: ipaddress.IPv4Network) -> None:
    assert (cidr_label(str(first)) == cidr_label(str(second))) == (first == second)
