"""Forward proxies and additional certificate authorities: only for a translator that may leave the site."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform, Proxy
from isthmus.contracts.platform.rules import boundaries as boundary_rules
from isthmus.core.errors import FieldError, InputError, Refused
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse, refused

PROXY = {"url": "http://10.40.0.20:3128"}


def gateway_of(data: dict[str, Any], sensitivity: str) -> dict[str, Any]:
    return next(gateway for gateway in data["gateways"] if gateway["class"] == sensitivity)


@pytest.mark.parametrize("values", [{"proxy": PROXY}, {"ca_bundle": "bank-authorities"}])
@pytest.mark.parametrize("sensitivity", ["restricted", "confidential"])
def test_a_class_with_named_destinations_has_no_proxy_and_no_authorities(
    sensitivity: str, values: dict[str, Any]
):
    message = refused(Refused, lambda d: gateway_of(d, sensitivity).update(values))
    assert f"the {sensitivity} gateway may not have `{next(iter(values))}`" in message


def by_proxy(url: str) -> Any:
    """A change: the bank's internal gateway serves public work, which no network carries, by this proxy."""

    def change(platform: Platform) -> Platform:
        gateways = [
            gateway.model_copy(update={"class_": "public", "proxy": Proxy(url=url)})
            if gateway.identity
            else gateway
            for gateway in platform.gateways
        ]
        return platform.model_copy(update={"gateways": gateways})

    return change


def check(change: Any) -> None:
    boundary_rules.proxies_are_allowed(change(parse(platform_data())))


def test_an_internal_translator_may_have_authorities_and_no_proxy():
    data = platform_data()
    gateway_of(data, "internal").update(ca_bundle="bank-authorities")
    assert parse(data)
    message = refused(Refused, lambda d: gateway_of(d, "internal").update(proxy=PROXY))
    assert "internal work uses private endpoints in AWS, which a proxy would" in message


def test_public_work_without_a_network_may_use_a_proxy():
    check(by_proxy(PROXY["url"]))
    platform = by_proxy(PROXY["url"])(parse(platform_data()))
    carried = [
        network.model_copy(update={"classes": ["internal", "public"]}) for network in platform.networks
    ]
    with pytest.raises(
        FieldError, match="public work uses private endpoints in AWS, which a proxy would bypass"
    ):
        check(lambda _: platform.model_copy(update={"networks": carried}))


def test_a_proxy_outside_the_organisation_is_refused():
    with pytest.raises(FieldError, match="is outside the sites' own networks") as caught:
        check(by_proxy("http://52.1.2.3:3128"))
    assert caught.value.refused


@pytest.mark.parametrize("url", ["http://10.40.0.999:3128", "http://10.40.0.20:0", "http://10.40.0.20:70000"])
def test_an_invalid_address_or_port_is_refused(url: str):
    with pytest.raises(FieldError, match="is not a"):
        check(by_proxy(url))


def test_credentials_in_a_proxys_address_are_refused():
    message = refused(
        InputError, lambda d: gateway_of(d, "internal").update(proxy={"url": "http://a:b@10.40.0.20:1"})
    )
    assert "a proxy's address like `http://10.40.0.20:3128`" in message


def test_a_gateway_without_a_translator_needs_no_proxy():
    built = by_proxy(PROXY["url"])(parse(platform_data()))
    bare = [gateway.model_copy(update={"identity": None}) for gateway in built.gateways]
    with pytest.raises(
        FieldError, match="gateway internal-fra1 has `proxy`, but no AWS identity that would use it"
    ):
        boundary_rules.proxies_are_allowed(built.model_copy(update={"gateways": bare}))
