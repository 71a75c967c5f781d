"""Boundary rules of a platform, one at a time, each at its limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.callers import GatewayDatabase
from isthmus.contracts.platform.model.platform import (
    Destination,
    Endpoint,
    Gateway,
    Identity,
    Platform,
    Proxy,
    Site,
    Workload,
)
from isthmus.contracts.platform.model.serving import Canary
from isthmus.contracts.platform.rules import boundaries
from isthmus.contracts.reference.handling import Exception_
from isthmus.core.errors import FieldError
from tests.policies.making import platform_with

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-lite-v1:0"
FRA1 = Site.model_construct(
    name="fra1", kind="on-prem", jurisdiction="de", cidrs=["10.40.0.0/16"], region=None
)
AWS = Site.model_construct(
    name="frankfurt", kind="aws", jurisdiction="de", cidrs=["10.80.0.0/16"], region="eu-central-1"
)


def endpoint(id_: str = "model", class_: str = "internal", **fields: Any) -> Endpoint:
    values = {"site": "fra1", "target": "onprem-vllm", "model": "bank/llama", **fields}
    return Endpoint.model_construct(id=id_, class_=class_, **values)


def bedrock(id_: str = "haiku", class_: str = "internal", **fields: Any) -> Endpoint:
    return endpoint(id_, class_, **{"site": "frankfurt", "target": "bedrock", "model": HAIKU, **fields})


def workload(to: str = "model", name: str = "w", **fields: Any) -> Workload:
    return Workload.model_construct(name=name, endpoint=to, **fields)


def gateway(class_: str = "internal", *workloads: Workload, **fields: Any) -> Gateway:
    values = {"name": f"{class_}-gw", "site": "fra1", **fields}
    return Gateway.model_construct(class_=class_, workloads=list(workloads), **values)


def identity(class_: str = "internal", *endpoints: str, site: str = "frankfurt") -> Identity:
    return Identity.model_construct(name=f"{class_}-id", class_=class_, site=site, endpoints=list(endpoints))


def platform(**fields: Any) -> Platform:
    return platform_with(**{"sites": [FRA1, AWS], **fields})


def refusal(check: Callable[[Platform], None], **fields: Any) -> FieldError | None:
    """What a rule refuses in a platform; None if it passes."""
    try:
        check(platform(**fields))
    except FieldError as error:
        return error
    return None


def test_an_endpoint_runs_on_a_target_of_its_class_or_of_an_exception_for_all_its_workloads() -> None:
    exception = Exception_(workload="w", target="bedrock", who="CISO", reason="pilot", until="2999-01-01")

    def refused(model: Endpoint, *workloads: Workload, exceptions: Any = ()) -> FieldError | None:
        gateways = [gateway(model.class_, *workloads)]
        return refusal(
            boundaries.targets_are_allowed, endpoints=[model], gateways=gateways, exceptions=exceptions
        )

    haiku = bedrock(class_="confidential")
    assert refused(endpoint(class_="restricted")) is None
    assert refused(haiku, workload("haiku"), exceptions=[exception]) is None
    for error in (
        refused(bedrock(class_="restricted")),
        refused(haiku, workload("haiku")),
        refused(haiku, workload("haiku"), workload("haiku", "v"), exceptions=[exception]),
        refused(haiku, workload("other"), exceptions=[exception]),
    ):
        assert error is not None
        assert error.refused


@pytest.mark.parametrize(
    "to_other",
    [
        {"to": "other"},
        {"also": ["model", "other"]},
        {"overflow": ["other"]},
        {"fallback": ["other"]},
        {"canary": Canary(endpoint="other", percent=5)},
    ],
)
def test_a_gateway_sends_requests_to_endpoints_of_its_class_alone(to_other: dict[str, Any]) -> None:
    def error(class_: str) -> FieldError | None:
        endpoints = [endpoint(), endpoint("other", class_)]
        gateways = [gateway("internal", workload(**to_other))]
        return refusal(boundaries.classes_stay_apart, endpoints=endpoints, gateways=gateways)

    assert error("internal") is None
    wrong = error("restricted")
    assert wrong is not None
    assert wrong.refused


def test_an_identity_calls_endpoints_of_its_class_alone() -> None:
    endpoints = [endpoint(), endpoint("other", "public")]
    check = boundaries.classes_stay_apart
    assert refusal(check, endpoints=endpoints, identities=[identity("internal", "model")]) is None
    wrong = refusal(check, endpoints=endpoints, identities=[identity("internal", "model", "other")])
    assert wrong is not None
    assert wrong.refused


def test_only_classes_that_may_use_aws_have_identities_and_only_at_aws_sites() -> None:
    check = boundaries.identities_only_where_allowed
    assert refusal(check, identities=[identity()]) is None
    assert "may not use AWS" in str(refusal(check, identities=[identity("restricted")]))
    assert "is not an AWS site" in str(refusal(check, identities=[identity(site="fra1")]))


def test_a_gateway_has_an_identity_of_its_class_exactly_if_it_calls_a_model_in_aws() -> None:
    def error(class_: str, to: str, identity_name: str | None) -> str:
        return str(
            refusal(
                boundaries.identities_only_where_allowed,
                endpoints=[endpoint(), bedrock()],
                identities=[identity(), identity("public")],
                gateways=[gateway(class_, workload(to), identity=identity_name)],
            )
        )

    assert error("internal", "model", None) == "None"
    assert error("internal", "haiku", "internal-id") == "None"
    assert "calls haiku in AWS, but has no AWS identity" in error("internal", "haiku", None)
    assert "calls no model in AWS" in error("internal", "model", "internal-id")
    assert "has an identity of class public" in error("internal", "haiku", "public-id")
    assert "but the class may not use AWS" in error("restricted", "haiku", "internal-id")


@pytest.mark.parametrize(
    ("class_", "cidr", "is_allowed"),
    [
        ("restricted", "10.40.7.0/24", True),
        ("restricted", "10.80.7.0/24", False),
        ("confidential", "10.80.7.0/24", True),
        ("confidential", "10.40.0.0/16", True),
        ("confidential", "10.0.0.0/8", False),
        ("internal", "192.0.2.0/24", True),
        ("public", "192.0.2.0/24", True),
    ],
)
def test_a_destination_is_within_the_networks_that_the_class_may_reach(
    class_: str, cidr: str, is_allowed: bool
) -> None:
    destination = Destination.model_construct(name="db", cidr=cidr, port=443)
    error = refusal(
        boundaries.destinations_are_allowed, gateways=[gateway(class_, destinations=[destination])]
    )
    assert (error is None) == is_allowed
    assert error is None or error.refused


def test_a_restricted_gateway_is_on_prem_and_others_may_be_anywhere() -> None:
    check = boundaries.destinations_are_allowed
    assert refusal(check, gateways=[gateway("restricted", destinations=[])]) is None
    for class_ in ("public", "internal", "confidential"):
        assert refusal(check, gateways=[gateway(class_, site="frankfurt", destinations=[])]) is None
    in_aws = refusal(check, gateways=[gateway("restricted", site="frankfurt", destinations=[])])
    assert in_aws is not None
    assert in_aws.refused


def test_text_that_is_no_network_or_address_is_invalid_input() -> None:
    destination = Destination.model_construct(name="db", cidr="10.40.0.1/16", port=443)
    database = GatewayDatabase.model_construct(address="10.40.0.999")
    proxy = Proxy.model_construct(url="http://10.40.0.999:3128")
    errors = [
        refusal(boundaries.destinations_are_allowed, gateways=[gateway(destinations=[destination])]),
        refusal(boundaries.databases_are_on_site_networks, gateways=[gateway(database=database)]),
        refusal(
            boundaries.proxies_are_allowed, gateways=[gateway("public", proxy=proxy, identity="public-id")]
        ),
        refusal(
            boundaries.databases_are_on_site_networks,
            sites=[FRA1.model_copy(update={"cidrs": ["10.40.0.1/16"]})],
        ),
    ]
    for error in errors:
        assert error is not None
        assert " is not a" in error.what
        assert not error.refused


def proxy_refusal(
    class_: str = "public", url: str = "http://10.40.0.9:3128", mode: str | None = None, **fields: Any
) -> str:
    """What is refused of a gateway with a proxy at a site whose network in AWS has a mode; "None" if nothing."""
    networks = [Network.model_construct(name="net", classes=["public"], mode=mode)] if mode else []
    values = {"proxy": Proxy.model_construct(url=url), "identity": f"{class_}-id", **fields}
    return str(
        refusal(boundaries.proxies_are_allowed, gateways=[gateway(class_, **values)], networks=networks)
    )


def test_only_public_work_over_public_names_has_a_proxy_on_the_sites_networks() -> None:
    assert proxy_refusal() == "None"
    assert proxy_refusal(mode="off") == "None"
    assert proxy_refusal(url="http://10.80.0.9:3128") == "None"
    assert "a proxy would bypass" in proxy_refusal(mode="manage")
    assert "a proxy would bypass" in proxy_refusal("internal")
    assert "outside the sites' own networks" in proxy_refusal(url="http://192.0.2.9:3128")
    assert "no AWS identity that would use it" in proxy_refusal(identity=None)
    for class_ in ("confidential", "restricted"):
        assert "may not have `proxy`" in proxy_refusal(class_)


def test_ports_of_a_proxy_are_1_to_65535() -> None:
    assert proxy_refusal(url="http://10.40.0.9:1") == "None"
    assert proxy_refusal(url="http://10.40.0.9:65535") == "None"
    assert "`0` is not a port" in proxy_refusal(url="http://10.40.0.9:0")
    assert "`65536` is not a port" in proxy_refusal(url="http://10.40.0.9:65536")


def test_own_authorities_are_for_public_and_internal_gateways_with_an_identity() -> None:
    authorities = {"proxy": None, "ca_bundle": "bank-authorities"}
    assert proxy_refusal("internal", **authorities) == "None"
    assert proxy_refusal("public", **authorities, mode="manage") == "None"
    assert "may not have `ca_bundle`" in proxy_refusal("confidential", **authorities)
    assert "no AWS identity that would use it" in proxy_refusal("internal", **authorities, identity=None)
    assert proxy_refusal("restricted", proxy=None) == "None"


@pytest.mark.parametrize(
    ("class_", "address", "is_allowed"),
    [
        ("restricted", "10.40.0.5", True),
        ("restricted", "10.80.0.5", False),
        ("confidential", "10.80.0.5", True),
        ("internal", "10.40.0.5", True),
        ("public", "192.0.2.5", False),
    ],
)
def test_a_database_is_on_the_networks_of_the_sites_and_a_restricted_one_on_prem(
    class_: str, address: str, is_allowed: bool
) -> None:
    database = GatewayDatabase.model_construct(address=address)
    gateways = [gateway("internal", database=None), gateway(class_, database=database)]
    error = refusal(boundaries.databases_are_on_site_networks, gateways=gateways)
    assert (error is None) == is_allowed
    assert error is None or error.refused


def test_a_bedrock_endpoint_states_the_regions_and_the_model_of_its_profile() -> None:
    def error(**fields: Any) -> str:
        return str(refusal(boundaries.bedrock_regions_match_the_profile, endpoints=[bedrock(**fields)]))

    profile = {"inference_profile": f"eu.{NOVA}", "model": NOVA}
    regions = ["eu-central-1", "eu-north-1", "eu-west-1", "eu-west-3"]
    assert error() == "None"
    assert error(**profile) == "None"
    assert error(**profile, destination_regions=list(reversed(regions))) == "None"
    assert error(region="eu-west-1", destination_regions=["eu-west-1"]) == "None"
    assert "differ from the regions" in error(**profile, destination_regions=regions[:2])
    assert "differ from the regions" in error(destination_regions=["eu-west-1"])
    assert "does not call model" in error(inference_profile=f"eu.{NOVA}", model=HAIKU)
    on_prem = endpoint(inference_profile=f"eu.{NOVA}", destination_regions=["us-east-1"])
    assert refusal(boundaries.bedrock_regions_match_the_profile, endpoints=[on_prem]) is None


def test_an_unusable_profile_is_reported_at_the_profile_and_an_unknown_region_at_the_site() -> None:
    def error(**fields: Any) -> FieldError:
        found = refusal(boundaries.bedrock_regions_match_the_profile, endpoints=[bedrock(**fields)])
        assert found is not None
        return found

    unfixed = error(inference_profile=f"global.{NOVA}", model=NOVA)
    assert (unfixed.path, unfixed.refused) == (("endpoints", 0, "inference_profile"), True)
    assert not error(inference_profile="eu.unknown", model="unknown").refused


def residency_refusal(*codes: str, to: Endpoint, at: Site = FRA1) -> str:
    gateways = [gateway("internal", workload(to.id, residency=list(codes)), site=at.name)]
    zurich = Site.model_construct(name="zurich", kind="on-prem", jurisdiction="ch", cidrs=[], region=None)
    sites = [FRA1, AWS, zurich]
    return str(refusal(boundaries.residency_is_met, sites=sites, endpoints=[to], gateways=gateways))


def test_a_workload_stays_in_its_residency_at_gateway_endpoint_and_regions() -> None:
    zurich = Site.model_construct(name="zurich", kind="on-prem", jurisdiction="ch", cidrs=[], region=None)
    nova = {"model": NOVA, "inference_profile": f"eu.{NOVA}"}
    assert residency_refusal("de", to=endpoint()) == "None"
    assert residency_refusal("eu", to=bedrock(**nova)) == "None"
    assert residency_refusal("de", to=bedrock()) == "None"
    assert residency_refusal("ch", "eu", to=endpoint(), at=zurich) == "None"
    assert residency_refusal(to=endpoint(site="zurich")) == "None"
    assert "could reach zurich in `ch`" in residency_refusal("eu", to=endpoint(), at=zurich)
    assert "could reach zurich in `ch`" in residency_refusal("eu", to=endpoint(site="zurich"))
    assert "in `se`" in residency_refusal("de", to=bedrock(**nova))
    assert (
        residency_refusal("de", to=endpoint(site="frankfurt", target="sagemaker", region="us-east-1"))
        == "None"
    )


def test_a_refused_address_is_told_the_networks_that_are_allowed_or_that_there_are_none() -> None:
    destination = Destination.model_construct(name="db", cidr="192.0.2.0/24", port=443)
    database = GatewayDatabase.model_construct(address="192.0.2.5")
    proxy = Proxy.model_construct(url="http://192.0.2.9:3128")

    def fixes(class_: str, *sites: Site) -> list[str]:
        errors = (
            refusal(
                boundaries.destinations_are_allowed,
                sites=[*sites, FRA1.model_copy(update={"cidrs": []})],
                gateways=[gateway(class_, destinations=[destination])],
            ),
            refusal(
                boundaries.databases_are_on_site_networks,
                sites=sites,
                gateways=[gateway(class_, database=database)],
            ),
            refusal(
                boundaries.proxies_are_allowed,
                sites=sites,
                gateways=[gateway("public", proxy=proxy, identity="public-id")],
            ),
        )
        return [error.fix for error in errors if error is not None]

    assert all("10.40.0.0/16, 10.80.0.0/16" in fix for fix in fixes("confidential", FRA1, AWS))
    assert all("none" in fix for fix in fixes("confidential"))


def test_a_refused_destination_is_told_whose_networks_its_class_may_reach() -> None:
    destination = Destination.model_construct(name="db", cidr="192.0.2.0/24", port=443)
    for class_, whose in (("restricted", "the on-prem sites'"), ("confidential", "the sites' own")):
        error = refusal(
            boundaries.destinations_are_allowed, gateways=[gateway(class_, destinations=[destination])]
        )
        assert f"outside {whose} networks" in str(error)
