"""Duplicate names in a platform are refused at their second place."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.core.errors import InputError
from tests.contracts.test_platform_model import refused

LISTED = "confidential-llama-8b"


@pytest.mark.parametrize(
    ("part", "index", "values", "where"),
    [
        ("sites", 0, {"cidrs": ["10.40.0.0/16"] * 2}, "sites[fra1].cidrs[1]"),
        ("sites", 0, {"dns": ["10.40.0.53", "10.40.0.54", "10.40.0.53"]}, "sites[fra1].dns[2]"),
        ("pools", 0, {"node_names": ["one", "one"]}, "pools[h100].node_names[1]"),
        ("networks", 0, {"classes": ["internal"] * 2}, "networks[frankfurt].classes[1]"),
        ("networks", 0, {"services": ["bedrock-runtime"] * 2}, "networks[frankfurt].services[1]"),
        ("networks", 0, {"subnets": ["subnet-1"] * 2}, "networks[frankfurt].subnets[1]"),
        ("networks", 0, {"route_tables": ["rtb-1"] * 2}, "networks[frankfurt].route_tables[1]"),
        ("links", 0, {"sources": ["10.40.1.0/24"] * 2}, "links[fra1-frankfurt].sources[1]"),
        ("links", 0, {"zones": ["fra1.bank.example"] * 2}, "links[fra1-frankfurt].zones[1]"),
        (
            "identities",
            0,
            {"endpoints": ["internal-haiku"] * 2},
            "identities[internal-frankfurt].endpoints[1]",
        ),
    ],
)
def test_a_duplicate_entry_of_a_list_is_refused(part: str, index: int, values: dict[str, Any], where: str):
    message = refused(InputError, lambda data: data[part][index].update(values))
    assert message.startswith(f"platform {where}")
    assert "appears twice in" in message


def test_an_endpoint_that_overflows_to_itself_is_refused():
    def itself(data: dict[str, Any]) -> None:
        data["gateways"][2]["workloads"][0]["overflow"] = ["internal-haiku"]

    assert "is both the endpoint of policy-assistant and its overflow" in refused(InputError, itself)


def test_a_dns_server_of_a_site_must_be_an_ip_address():
    message = refused(InputError, lambda data: data["sites"][0].update(dns=["ns1.bank.example"]))
    assert "`ns1.bank.example` is not an IPv4 address" in message
    assert message.startswith("platform sites[fra1].dns[0]")


@pytest.mark.parametrize("zone", ["-a.example", "a-.example", "a..example"])
def test_a_dns_zone_label_with_a_hyphen_at_its_end_is_refused(zone: str):
    message = refused(InputError, lambda data: data["links"][0].update(zones=[zone]))
    assert "is not valid: expected a DNS zone like `fra1.site.example`" in message


def test_an_endpoint_with_the_name_of_another_ones_list_of_replicas_is_refused():
    def named(data: dict[str, Any]) -> None:
        (listed,) = [endpoint for endpoint in data["endpoints"] if endpoint["id"] == LISTED]
        data["endpoints"].append({**listed, "id": f"{LISTED}-replicas"})

    assert f"the Service that lists the replicas of `{LISTED}`" in refused(InputError, named)
