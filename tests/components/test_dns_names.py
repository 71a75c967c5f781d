"""Which names the platform lets a network in AWS ask for: those of its own parts, and no zone of anybody else's."""

from __future__ import annotations

from typing import Any

import pytest

from components.aws.network.dns_names import needed_names
from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.errors import InputError, Refused
from tests import private
from tests.blueprints import bank
from tests.components import fargate
from tests.contracts.bank import platform_data, refused

PUBLIC = ("*", "*.com", "*.amazonaws.com", "*.eu-central-1.amazonaws.com")


def names(platform: Platform, network: str = "frankfurt") -> list[str]:
    return needed_names(
        platform, next(candidate for candidate in platform.networks if candidate.name == network)
    )


def is_answered(listed: list[str], host: str) -> bool:
    return any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in listed)


def test_the_bank_s_network_asks_for_its_model_its_endpoints_and_the_sites_zones() -> None:
    listed = names(bank.platform())
    for host in (
        "bedrock-runtime.eu-central-1.amazonaws.com",
        "vpce-0a1b-2c3d.bedrock-runtime.eu-central-1.vpce.amazonaws.com",
        "rolesanywhere.eu-central-1.amazonaws.com",
        "db.fra1.bank.example",
    ):
        assert is_answered(listed, host), host
    for host in (
        "sts.eu-central-1.amazonaws.com",
        "ssm.eu-central-1.amazonaws.com",
        "cHJvbXB0.attacker.example",
        "bedrock-runtime.us-east-1.amazonaws.com",
    ):
        assert not is_answered(listed, host), host


def test_a_cluster_s_network_asks_for_what_its_machines_need() -> None:
    listed = names(private.platform())
    for host in (
        "0A1B2C3D.gr7.eu-central-1.eks.amazonaws.com",
        "602401143452.dkr.ecr.eu-central-1.amazonaws.com",
        "prod-eu-central-1-starport-layer-bucket.s3.eu-central-1.amazonaws.com",
        "eks-auth.eu-central-1.api.aws",
        "ec2.eu-central-1.amazonaws.com",
        "sts.eu-central-1.amazonaws.com",
        "fs-0a1b2c3d.efs.eu-central-1.amazonaws.com",
        "ip-10-80-0-7.eu-central-1.compute.internal",
    ):
        assert is_answered(listed, host), host
    assert not is_answered(listed, "confidential-gateway.isthmus-confidential.svc"), (
        "the cluster's own DNS knows it"
    )


def test_the_names_of_a_cluster_without_a_stated_network_are_for_the_only_network_of_its_site() -> None:
    data = private.data()
    (net,) = data["networks"]
    other = {**net, "name": "second", "cidr": "10.81.0.0/16", "classes": ["public"]}
    cluster_name = "0A1B2C3D.gr7.eu-central-1.eks.amazonaws.com"

    def names_of(*networks: dict[str, Any], network: str, stated: str | None = None) -> list[str]:
        platform = private.platform()
        cluster = platform.clusters[0].model_copy(update={"network": stated})
        update = {
            "clusters": [cluster],
            "networks": [Network.model_validate(settings) for settings in networks],
        }
        return names(platform.model_copy(update=update), network)

    first = net["name"]
    assert is_answered(names_of(net, network=first), cluster_name)
    assert is_answered(names_of(net, {**other, "mode": "off"}, network=first), cluster_name)
    assert not is_answered(names_of(net, other, network=first), cluster_name)
    assert is_answered(names_of(net, other, network="second", stated="second"), cluster_name)
    assert not is_answered(names_of(net, other, network=first, stated="second"), cluster_name)


def test_tasks_on_fargate_ask_for_what_starts_them_and_for_their_translator() -> None:
    platform = overrides.validate(fargate.cloud())
    listed = names(platform)
    for host in (
        "api.ecr.eu-central-1.amazonaws.com",
        "secretsmanager.eu-central-1.amazonaws.com",
        "logs.eu-central-1.amazonaws.com",
        "edge-0a1b.elb.eu-central-1.amazonaws.com",
        platform.gateways[0].host,
    ):
        assert is_answered(listed, host), host


def test_no_network_may_ask_for_a_zone_of_everybody_s() -> None:
    for platform in (bank.platform(), private.platform(), overrides.validate(fargate.cloud())):
        for network in platform.networks:
            listed = needed_names(platform, network)
            assert not set(PUBLIC) & set(listed)
            assert not is_answered(listed, "cHJvbXB0.attacker.example")


def with_firewall(**settings: Any) -> Platform:
    data = platform_data()
    data["networks"][0]["dns_firewall"] = settings
    return overrides.validate(data)


def test_additional_names_of_the_organisation_are_resolved() -> None:
    platform = with_firewall(names=["licence.vendor.example", "*.tools.bank.example"])
    listed = names(platform, platform.networks[0].name)
    assert is_answered(listed, "licence.vendor.example")
    assert is_answered(listed, "a.tools.bank.example")
    assert not is_answered(listed, "other.vendor.example")


@pytest.mark.parametrize("name", ["*", "*.com", "vendor", "vendor.example.", "a.*.example"])
def test_an_invalid_or_catch_all_name_is_refused(name: str) -> None:
    def change(data: dict[str, Any]) -> None:
        data["networks"][0]["dns_firewall"] = {"names": [name]}

    assert "names" in refused(InputError, change)


def test_a_wildcard_below_which_anybody_registers_is_refused() -> None:
    def change(data: dict[str, Any]) -> None:
        data["networks"][0]["dns_firewall"] = {"names": ["*.co.uk"]}

    assert "covers all names below co.uk, where anybody can register names" in refused(Refused, change)


def test_a_network_above_public_keeps_its_firewall() -> None:
    def change(data: dict[str, Any]) -> None:
        data["networks"][0]["dns_firewall"] = {"mode": "off"}

    assert "its DNS firewall is off" in refused(Refused, change)
    assert with_firewall(mode="existing").networks[0].dns_mode == "existing"


def test_a_network_asks_for_the_sites_zones_only_over_a_link_of_its_site_and_classes() -> None:
    platform = bank.platform()
    (link,) = platform.links

    def asks(**changes: Any) -> bool:
        changed = platform.model_copy(update={"links": [link.model_copy(update=changes)]})
        return "zone.example" in names(changed)

    assert asks(zones=["zone.example"])
    assert asks(zones=["zone.example"], mode="existing")
    assert not asks(zones=["zone.example"], mode="off")
    assert not asks(zones=["zone.example"], to="elsewhere")
    assert not asks(zones=["zone.example"], classes=["restricted"])
