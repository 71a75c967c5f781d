"""Networks and addresses as people write them."""

from __future__ import annotations

import pytest

from isthmus.core import ip_addresses
from isthmus.core.errors import FieldError


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("10.40.0.1/16", "like `10.40.0.0/16`"),
        ("10.40.0.0/33", "like `10.40.0.0/16`"),
        ("fd00::/48", "ADDRESS/LENGTH"),
        ("bank.example", "ADDRESS/LENGTH"),
        ("10.40.0.0", "Write `10.40.0.0/32` for one address"),
    ],
)
def test_an_invalid_network_is_refused_with_the_right_form(text: str, fix: str):
    with pytest.raises(FieldError) as caught:
        ip_addresses.network(text, "sites", 0)
    assert fix in caught.value.fix
    assert caught.value.path == ("sites", 0)


@pytest.mark.parametrize(
    "text", ["0.0.0.0/0", "127.0.0.0/16", "169.254.0.0/20", "224.0.0.0/4", "240.0.0.0/8"]
)
def test_a_site_network_must_be_usable_by_machines(text: str):
    with pytest.raises(FieldError, match="no machine can use these addresses"):
        ip_addresses.site_network(text)


@pytest.mark.parametrize("text", ["10.40.0.0/16", "100.64.0.0/16", "8.8.0.0/16"])
def test_private_shared_and_public_networks_may_belong_to_a_site(text: str):
    assert str(ip_addresses.site_network(text)) == text


@pytest.mark.parametrize("text", ["10.1.2.3", "0.1.2.3", "192.168.1.1", "255.255.255.255", "100.64.0.1"])
def test_a_peer_that_the_internet_cannot_reach_is_refused(text: str):
    with pytest.raises(FieldError, match=f"the peer `{text}` lies in .*, which AWS cannot reach"):
        ip_addresses.public_address(text)


def test_an_address_of_documentation_is_known_as_one():
    assert ip_addresses.documented("198.51.100.10") == "198.51.100.0/24"
    assert ip_addresses.documented("52.29.1.2") == ""
    assert str(ip_addresses.public_address("198.51.100.10")) == "198.51.100.10"
