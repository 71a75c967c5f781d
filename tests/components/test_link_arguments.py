"""Arguments of a link between a site and a VPC: what is refused before anything is made."""

from __future__ import annotations

from typing import Any

import pytest

from components import SiteLink
from components.aws.link.arguments import check_link
from isthmus.core.errors import InputError
from tests.components.conftest import Engine
from tests.components.test_site_link import DIRECT, arguments


def check(**more: Any) -> None:
    check_link(arguments(**more), "link", is_managed=True)


def test_a_vpn_and_a_connection_of_our_own_need_the_sites_bgp_number() -> None:
    check()
    check(**DIRECT)
    for kind in ({}, DIRECT):
        with pytest.raises(InputError, match="the link has no site_asn"):
            check(**kind, site_asn=None)


def test_an_existing_direct_connect_gateway_needs_no_bgp_number_of_the_site() -> None:
    existing = {"connection": None, "vlan": None, "direct_connect_gateway": "dcg-1"}
    check(**{**DIRECT, **existing}, site_asn=None)


def test_a_network_of_the_site_that_overlaps_the_vpc_is_refused() -> None:
    with pytest.raises(InputError, match="overlaps the VPC") as refused:
        check(sources=["10.40.0.0/16", "10.60.7.0/24"])
    assert refused.value.where == "link.sources.1"


def test_a_link_that_exists_is_not_held_to_what_only_a_new_one_needs(engine: Engine) -> None:
    existing = arguments(mode="existing", transit_gateway="tgw-1", site_asn=None, resolvers="off")
    engine.deploy(SiteLink, "link", existing)
    with pytest.raises(InputError, match="the link has no site_asn"):
        engine.deploy(SiteLink, "link", arguments(site_asn=None))
