"""Which gateways may be called from outside their cluster, and from where."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.deciding_fields import REMOVED_FREELY, decides
from isthmus.contracts.platform.lookups.access import accesses_at
from isthmus.contracts.platform.stated_values import stated_values
from isthmus.contracts.reference.gateway_access import covers_entry, entry_problem, entry_value, range_problem
from isthmus.core.errors import InputError, IsthmusError, Refused
from isthmus.core.ip_addresses import UNUSABLE, is_within
from tests import private
from tests.components.platforms import bank as platform_data
from tests.contracts.bank import refused

HOST = "llm.bank.example"


def opened(sensitivity: str, **fields: Any) -> dict[str, Any]:
    """The bank's platform with access to the gateway of a class."""
    data = platform_data()
    for gateway in data["gateways"]:
        if gateway["class"] == sensitivity:
            gateway["access"] = {"host": HOST, "source_ranges": ["10.60.0.0/16"], **fields}
    return data


def why(kind: type[Exception], sensitivity: str, **fields: Any) -> str:
    return refused(kind, lambda data: None, opened(sensitivity, **fields))


def test_a_gateway_is_closed_unless_it_states_access():
    platform = overrides.validate(platform_data())
    assert [gateway.access for gateway in platform.gateways] == [None] * len(platform.gateways)


@pytest.mark.parametrize(
    ("sensitivity", "ranges"),
    [
        ("public", ["0.0.0.0/0"]),
        ("public", ["203.0.113.0/24", "10.0.0.0/8"]),
        ("internal", ["10.0.0.0/8"]),
        ("internal", ["203.0.113.0/24"]),
        ("confidential", ["192.168.7.0/24"]),
        ("restricted", ["10.40.7.0/24"]),
    ],
)
def test_ranges_that_a_class_allows_are_accepted(sensitivity: str, ranges: list[str]):
    platform = overrides.validate(opened(sensitivity, source_ranges=ranges))
    [access] = [gateway.access for gateway in platform.gateways if gateway.access]
    assert access.source_ranges == ranges


@pytest.mark.parametrize(
    ("sensitivity", "range_", "says"),
    [
        ("internal", "0.0.0.0/0", "too wide for callers of class internal"),
        ("confidential", "128.0.0.0/1", "too wide"),
        ("restricted", "10.60.0.0/16", "outside its site"),
        ("restricted", "10.80.0.0/16", "outside its site"),
        ("internal", "169.254.169.254/32", "from which no caller comes"),
        ("public", "127.0.0.0/8", "from which no caller comes"),
    ],
)
def test_ranges_that_a_class_forbids_are_refused(sensitivity: str, range_: str, says: str):
    assert says in why(Refused, sensitivity, source_ranges=[range_])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"source_ranges": []}, "source_ranges"),
        ({"source_ranges": ["10.60.0.1/16"]}, "Write it like 10.60.0.0/16"),
        ({"source_ranges": ["llm.bank.example"]}, "is not an address range"),
        ({"source_ranges": ["fd00::/8"]}, "IPv6"),
        ({"source_ranges": ["10.60.0.0/16", "10.60.0.0/16"]}, "appears twice"),
        ({"host": "internal-gateway.isthmus-internal.svc"}, "inside the cluster"),
        ({"host": "llm"}, "host"),
        ({"internet_facing": True}, "internet"),
        ({"address": "10.40.0.300"}, "is not an IPv4 address"),
    ],
)
def test_an_access_that_is_not_complete_is_refused(fields: dict[str, Any], says: str):
    assert says in why(IsthmusError, "internal", **fields)


def test_only_class_public_may_have_addresses_of_the_internet():
    assert "class internal has private ones only" in why(Refused, "internal", address="52.94.7.9")
    assert "outside the networks of fra1" in why(
        Refused, "restricted", source_ranges=["10.40.7.0/24"], address="10.60.0.9"
    )
    assert "addresses of the internet" in why(Refused, "confidential", internet_facing=True)
    assert overrides.validate(opened("public", address="52.94.7.9"))
    assert "decides where it is reached" in why(InputError, "public", internet_facing=True)


def in_aws(**fields: Any) -> dict[str, Any]:
    data = private.data()
    data["gateways"][0]["access"] = {"host": HOST, "source_ranges": ["10.60.0.0/16"], **fields}
    return data


def test_in_aws_the_load_balancer_is_internal_and_its_controller_chooses_the_address():
    platform = overrides.validate(in_aws())
    [access] = accesses_at(platform, platform.gateways[0].site)
    scheme = "service.beta.kubernetes.io/aws-load-balancer-scheme"
    assert (access.in_aws, access.all_annotations[scheme]) == (True, "internal")
    for fields in ({"address": "10.80.0.9"}, {"load_balancer_class": "metallb.io/metallb"}):
        assert "decides what" in refused(InputError, lambda _: None, in_aws(**fields))


@pytest.mark.parametrize(
    "key",
    [
        "service.beta.kubernetes.io/aws-load-balancer-ssl-cert",
        "service.beta.kubernetes.io/aws-load-balancer-scheme",
        "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes",
        "service.beta.kubernetes.io/load-balancer-source-ranges",
        "pulumi.com/skipAwait",
    ],
)
def test_annotations_that_decide_about_callers_or_tls_are_refused(key: str):
    assert key in why(Refused, "internal", annotations={key: "x"})
    assert overrides.validate(opened("internal", annotations={"metallb.io/address-pool": "llm"}))


def test_a_name_leads_to_one_gateway():
    data = opened("internal")
    next(gateway for gateway in data["gateways"] if gateway["class"] == "public")["access"] = {
        "host": HOST,
        "source_ranges": ["0.0.0.0/0"],
    }
    assert "have the same name outside" in refused(InputError, lambda _: None, data)


def test_every_range_is_a_way_in_that_the_trust_file_must_name():
    platform = overrides.validate(opened("internal", source_ranges=["10.60.0.0/16", "203.0.113.0/24"]))
    values = [value for value in stated_values(platform) if "access" in value.where]
    assert [(value.kind, value.value, bool(value.foreign)) for value in values if value.kind != "hosts"] == [
        ("access", "internal at fra1 from 10.60.0.0/16", True),
        ("access", "internal at fra1 from 203.0.113.0/24", True),
    ]


def test_opening_a_gateway_loosens_and_closing_it_does_not():
    ranges = "gateways.access.source_ranges"
    assert decides(ranges, None, ["10.60.0.0/16"], is_new=True)
    assert decides(ranges, ["10.60.0.0/24"], ["10.60.0.0/16"])
    assert not decides(ranges, ["10.60.0.0/16"], ["10.60.0.0/24"])
    assert decides("gateways.access.internet_facing", False, True)
    assert not decides("gateways.access.internet_facing", True, False)
    assert "gateways.access" in REMOVED_FREELY


NETWORKS = st.builds(
    lambda number, length: str(ip_network((number, length), strict=False)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
CLASSES = st.sampled_from(["public", "internal", "confidential", "restricted"])
SITE = ["10.40.0.0/16"]


@given(CLASSES, NETWORKS)
def test_no_class_is_called_from_more_than_it_allows(sensitivity: str, text: str):
    network = ip_network(text)
    if range_problem(sensitivity, text, SITE) is not None:
        return
    if sensitivity == "public" and text == "0.0.0.0/0":
        return
    assert network.prefixlen >= 8
    assert not any(network.overlaps(ip_network(unusable)) for unusable in UNUSABLE)
    assert sensitivity != "restricted" or is_within(text, SITE)


@given(CLASSES, CLASSES, NETWORKS, NETWORKS)
def test_an_entry_covers_its_own_class_and_ranges_within_it_only(
    sensitivity: str, other: str, outer: str, inner: str
):
    trusted, value = entry_value(sensitivity, "fra1", outer), entry_value(other, "fra1", inner)
    expected = sensitivity == other and ip_network(inner).subnet_of(ip_network(outer))  # type: ignore[arg-type]
    assert covers_entry(trusted, value) == expected
    assert not covers_entry(trusted, entry_value(sensitivity, "ber1", outer))


@given(CLASSES, NETWORKS)
def test_the_trust_file_takes_no_entry_for_a_range_that_no_site_may_state(sensitivity: str, text: str):
    anywhere = range_problem(sensitivity, text, [text])
    assert bool(entry_problem(entry_value(sensitivity, "fra1", text))) == bool(anywhere)
