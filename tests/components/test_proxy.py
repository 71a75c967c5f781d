"""A translator's forward proxy: which addresses it may have."""

from __future__ import annotations

import pytest

from components.gateway.translator.proxy import outbound_way
from isthmus.core.errors import InputError


@pytest.mark.parametrize(
    "url", ["http://proxy.bank.example:3128", "http://ana:secret@10.40.0.9:3128", "https://10.40.0.9:3128"]
)
def test_a_proxy_that_is_no_plain_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="the proxy is not a plain address"):
        outbound_way("public", {"url": url}, None, "translator")


def test_egress_opens_to_the_address_and_port_of_the_proxy_alone() -> None:
    outbound = outbound_way("public", {"url": "http://10.40.0.9:3128"}, None, "translator")
    block = {"ipBlock": {"cidr": "10.40.0.9/32"}}
    assert outbound.egress == [{"to": [block], "ports": [{"protocol": "TCP", "port": 3128}]}]
