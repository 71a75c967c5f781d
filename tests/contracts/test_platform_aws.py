"""The AWS part of a platform: what is refused before any call to AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.contracts.platform.rules.aws.account import languages_of, tier_of
from isthmus.core.errors import InputError, Refused
from tests import authority
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse, refused

Change = Callable[[dict[str, Any]], object]


def network(data: dict[str, Any]) -> dict[str, Any]:
    return data["networks"][0]


def link(data: dict[str, Any]) -> dict[str, Any]:
    return data["links"][0]


def changed(part: str, **values: Any) -> Change:
    return lambda data: data[part][0].update(values)


def without(part: str, key: str) -> Change:
    return lambda data: data[part][0].pop(key)


def second(data: dict[str, Any], *classes: str) -> None:
    """A second network at the same site."""
    first = network(data)
    data["networks"].append({**first, "name": "second", "cidr": "10.81.0.0/16", "classes": list(classes)})


@pytest.mark.parametrize("part", ["networks", "links"])
def test_nothing_in_aws_carries_restricted_work(part: str):
    message = refused(Refused, changed(part, classes=["internal", "restricted"]))
    assert "would carry restricted work, which must stay on-prem" in message


def test_a_network_with_an_internet_gateway_carries_public_work_only():
    assert "carries internal work" in refused(Refused, changed("networks", internet=True))


def test_a_vpc_that_overlaps_a_site_is_refused_with_both_names():
    message = refused(InputError, changed("networks", cidr="10.40.128.0/20"))
    assert "`10.40.128.0/20` of network frankfurt overlaps `10.40.0.0/16` of site fra1" in message


def test_two_networks_with_overlapping_addresses_are_refused():
    def twice(data: dict[str, Any]) -> None:
        second(data, "confidential")
        data["networks"][1].update(cidr="10.80.16.0/20")

    assert "overlaps `10.80.0.0/16` of network frankfurt" in refused(InputError, twice)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"zones": ["eu-central-1a"]}, "network frankfurt has 1 zones, but needs at least two"),
        ({"zones": ["eu-central-1a", "eu-west-1a"]}, "is not in eu-central-1"),
        ({"cidr": "10.80.0.0/27"}, "is too small for a VPC"),
        (
            {"zones": ["eu-central-1a", "eu-central-1b", "eu-central-1a"]},
            "zone `eu-central-1a` appears twice in network frankfurt",
        ),
        ({"cidr": "10.0.0.0/8"}, "is too wide for a VPC"),
        ({"cidr": "10.80.0.0/29"}, "is too small for a VPC"),
        ({"cidr": "10.80.0.1/16"}, "Write it as ADDRESS/LENGTH, like `10.80.0.0/16`"),
        ({"cidr": "127.0.0.0/16"}, "`127.0.0.0/16` overlaps 127.0.0.0/8, which is reserved: no machine"),
        ({"cidr": None}, "network frankfurt has no cidr"),
        ({"mode": "existing"}, "the existing network frankfurt has no vpc"),
        (
            {"mode": "existing", "vpc": "vpc-1"},
            "the existing network frankfurt has no private subnets of vpc-1",
        ),
        (
            {"mode": "existing", "vpc": "vpc-1", "subnets": ["subnet-1"]},
            "the existing network frankfurt has one private subnet of vpc-1",
        ),
        (
            {"mode": "existing", "vpc": "vpc-1", "subnets": ["subnet-1", "subnet-2"]},
            "the existing network frankfurt has no route_tables",
        ),
    ],
)
def test_a_network_without_the_fields_of_its_mode_is_refused(values: dict[str, Any], message: str):
    assert message in refused(InputError, changed("networks", **values))


@pytest.mark.parametrize(
    "peer", ["10.1.2.3", "172.20.0.1", "192.168.1.1", "100.64.0.9", "127.0.0.1", "224.0.0.5"]
)
def test_a_link_peer_with_a_private_address_is_refused(peer: str):
    message = refused(InputError, changed("links", peer_ip=peer))
    assert f"the peer `{peer}` lies in" in message
    assert message.startswith("platform links[fra1-frankfurt].peer_ip")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"peer_ip": "bank.example"}, "is not an IPv4 address"),
        ({"peer_ip": None}, "link fra1-frankfurt has no peer_ip"),
        ({"site_asn": None}, "link fra1-frankfurt has no site_asn"),
        ({"site_asn": 64512}, "both ends of link fra1-frankfurt have the BGP number 64512"),
        ({"kind": "direct-connect"}, "link fra1-frankfurt has no Direct Connect connection"),
        (
            {"kind": "direct-connect", "connection": "dxcon-1"},
            "link fra1-frankfurt has no vlan for its virtual interface",
        ),
    ],
)
def test_a_link_without_the_fields_of_its_kind_is_refused(values: dict[str, Any], message: str):
    assert message in refused(InputError, changed("links", **values))


@pytest.mark.parametrize(
    ("dns", "message"),
    [
        ([], "resolvers need the site's DNS servers, but none is set"),
        (["10.99.0.53"], "the DNS server 10.99.0.53 is in none of the networks that may use the link"),
        ([f"10.40.0.{number}" for number in range(50, 57)], "7 DNS servers are listed"),
    ],
)
def test_a_link_with_resolvers_needs_dns_servers_of_the_site_that_may_use_it(dns: list[str], message: str):
    text = refused(InputError, changed("sites", dns=dns))
    assert message in text
    assert text.startswith("platform sites[fra1].dns")
    data = platform_data()
    data["sites"][0]["dns"], data["links"][0]["resolvers"] = dns, "off"
    assert parse(data).name == "bank"


def test_everything_that_a_link_lacks_is_told_at_once():
    text = refused(InputError, changed("links", site_asn=None, peer_ip=None))
    assert "link fra1-frankfurt has no site_asn, the BGP number of site fra1" in text
    assert "link fra1-frankfurt has no peer_ip" in text


def test_a_link_may_only_carry_networks_of_its_on_prem_site():
    assert "is not within the networks of fra1" in refused(
        Refused, changed("links", sources=["10.41.0.0/24"])
    )


def test_a_link_to_a_site_without_a_network_is_refused():
    def off(data: dict[str, Any]) -> None:
        network(data).update(mode="off")
        data["gateways"].pop()
        data["identities"].clear()
        data["budgets"].clear()

    assert "which has no network" in refused(InputError, off)


def test_a_link_whose_classes_are_in_two_networks_is_refused():
    def apart(data: dict[str, Any]) -> None:
        network(data).update(classes=["internal"])
        second(data, "public")
        data["links"][0].update(classes=["internal", "public"])

    message = refused(Refused, apart)
    assert message.startswith("platform links[fra1-frankfurt].classes")
    assert "(frankfurt: internal; second: public)" in message


def test_a_class_in_two_networks_of_a_site_is_refused():
    def twice(data: dict[str, Any]) -> None:
        second(data, "internal")

    assert "class internal is in two networks at frankfurt, frankfurt and second" in refused(
        InputError, twice
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            changed("networks", classes=["public"]),
            "internal work would reach frankfurt over the internet, because no",
        ),
        (
            changed("networks", mode="off"),
            "internal work would reach frankfurt over the internet, because no",
        ),
        (changed("links", classes=["public"]), "no link from fra1 to frankfurt carries class internal"),
        (changed("links", mode="off"), "no link from fra1 to frankfurt carries class internal"),
        (changed("networks", services=["bedrock-runtime"]), "no private endpoint for rolesanywhere"),
        (changed("networks", services=[]), "no private endpoint for bedrock-runtime and rolesanywhere"),
    ],
)
def test_only_public_work_reaches_aws_without_a_private_link(change: Change, message: str):
    def with_both(data: dict[str, Any]) -> None:
        change(data)
        if network(data)["mode"] == "off":
            data["links"].clear()

    assert message in refused(Refused, with_both)


def test_an_identity_without_a_trust_is_refused_and_access_keys_do_not_help():
    message = refused(Refused, without("identities", "trust"))
    assert "identity internal-frankfurt has no `trust`, so AWS could not verify" in message
    assert "identity internal-frankfurt has no `trust`, so AWS could not verify" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            without("trust", "ca_certificates"),
            "trust frankfurt has neither of ca_certificates and acm_pca, but needs",
        ),
        (
            changed("trust", acm_pca="arn:aws:acm-pca:eu-central-1:123456789012:certificate-authority/1"),
            "trust frankfurt has both of ca_certificates and acm_pca, but needs",
        ),
        (changed("trust", mode="existing"), "the existing trust frankfurt has no trust_anchor"),
        (without("trust", "issuer"), "identity internal-frankfurt has neither an issuer nor a"),
        (
            lambda data: data["images"].pop("credential_helper"),
            "`images` has no credential_helper, which translators with an AWS",
        ),
        (changed("identities", trust="berlin"), "there is no trust `berlin`"),
    ],
)
def test_an_incomplete_trust_is_refused(change: Change, message: str):
    assert message in refused(InputError, change)


def test_a_disabled_trust_is_refused():
    assert "is off" in refused(Refused, changed("trust", mode="off"))


def test_an_identity_certificate_without_authority_is_refused_with_its_path():
    leaf, _ = authority.make("leaf", authority=False)
    message = refused(InputError, changed("trust", ca_certificates=leaf))
    assert message.startswith("platform trust[frankfurt].ca_certificates")


def test_an_identity_with_the_guardrail_of_another_class_is_refused():
    def of_another_class(data: dict[str, Any]) -> None:
        data["guardrails"].append({**data["guardrails"][0], "name": "public", "class": "public"})
        data["identities"][0]["guardrail"] = "public"

    assert "identity internal-frankfurt of class internal has a guardrail of" in refused(
        Refused, of_another_class
    )


def test_logging_of_prompts_and_answers_is_refused_if_a_class_may_not_keep_content():
    message = refused(Refused, changed("invocation_logging", text=True))
    assert "would keep prompts and answers of internal work" in message


@pytest.mark.parametrize("part", ["invocation_logging", "trails"])
def test_records_are_kept_as_long_as_the_class_demands(part: str):
    assert "retention_days is 30, but class internal must keep records for 365" in refused(
        Refused, changed(part, retention_days=30)
    )


def test_an_account_with_sensitive_work_needs_a_trail():
    assert "the account of site frankfurt has no active trail, but work above" in refused(
        Refused, changed("trails", mode="off")
    )
    assert "the account of site frankfurt has no active trail, but work above" in refused(
        Refused, lambda data: data["trails"].clear()
    )


@pytest.mark.parametrize("whom", ["security", "cost"])
def test_an_alarm_needs_a_recipient(whom: str):
    assert f"contacts.{whom} is empty" in refused(
        InputError, lambda data: data["contacts"].update({whom: []})
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"of": "confidental"}, "there is no class `confidental`"),
        ({"scope": "workload", "of": "policy"}, "there is no workload `policy`"),
        ({"scope": "class", "of": "restricted"}, "no identity at frankfurt serves class restricted"),
        ({"monthly_usd": 0}, "greater than 0"),
    ],
)
def test_a_budget_for_a_missing_class_is_refused(values: dict[str, Any], message: str):
    assert message in refused(InputError, changed("budgets", **values))


def test_a_budget_action_needs_an_identity_at_the_same_site():
    def elsewhere(data: dict[str, Any]) -> None:
        milan = {**data["sites"][1], "name": "milan", "region": "eu-south-1", "cidrs": []}
        data["sites"].append(milan)
        data["budgets"][0]["site"] = "milan"

    message = refused(InputError, elsewhere)
    assert "no identity at milan serves class internal" in message
    assert message.startswith("platform budgets[internal-frankfurt].action")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("trust", "has two trust anchors"),
        ("invocation_logging", "the account and region of frankfurt has two invocation logs,"),
        ("trails", "has two trails"),
        ("guardrails", "has two guardrails at frankfurt"),
    ],
)
def test_a_second_trust_log_trail_or_guardrail_is_refused(part: str, message: str):
    assert message in refused(InputError, lambda data: data[part].append({**data[part][0], "name": "second"}))


@pytest.mark.parametrize(
    ("values", "refuses"),
    [
        ({}, True),
        ({"assume_role": "arn:aws:iam::210987654321:role/deploy"}, False),
        ({"account_id": "210987654321"}, False),
    ],
)
def test_sites_without_a_stated_account_share_one_account(values: dict[str, Any], refuses: bool):
    def elsewhere(data: dict[str, Any]) -> None:
        data["sites"].append(
            {**data["sites"][1], "name": "milan", "region": "eu-south-1", "cidrs": [], **values}
        )
        data["trails"].append({**data["trails"][0], "name": "milan", "site": "milan"})

    if refuses:
        assert "the account of milan has two trails" in refused(InputError, elsewhere)
    else:
        data = platform_data()
        elsewhere(data)
        assert len(parse(data).trails) == 2


@pytest.mark.parametrize("part", ["budgets", "anomalies"])
def test_removing_a_tag_that_costs_are_allocated_by_is_refused(part: str):
    def without(data: dict[str, Any]) -> None:
        data["tags"] = {"owner": "llm"}
        if part == "budgets":
            data["anomalies"] = {"mode": "off"}
            data["budgets"][0].update(scope="platform", of=data["name"], action="none")

    message = refused(InputError, without)
    assert message.startswith("platform tags")
    assert "the tag `isthmus-platform` is missing, but the platform's budget or" in message


def spoken(*languages: str, residency: str = "eu", **more: Any) -> Any:
    """The platform's guardrail for prompts in these languages."""

    def change(data: dict[str, Any]) -> None:
        data["guardrails"][0] |= {"languages": list(languages), **more}
        for gateway in data["gateways"]:
            if gateway.get("identity") == data["identities"][0]["name"]:
                for workload in gateway["workloads"]:
                    workload["residency"] = [residency]

    return change


@pytest.mark.parametrize(
    ("languages", "tier"), [(["en"], "classic"), (["fr", "es"], "classic"), (["de", "en"], "standard")]
)
def test_a_guardrail_gets_the_tier_that_supports_its_languages(languages: list[str], tier: str):
    data = platform_data()
    spoken(*languages)(data)
    platform = parse(data)
    assert tier_of(platform, platform.guardrails[0]) == tier


def test_a_guardrail_takes_its_languages_from_screening():
    data = platform_data()
    data["guardrails"][0].pop("languages", None)
    platform = parse(data)
    gateway = next(
        gateway for gateway in platform.gateways if gateway.identity == platform.identities[0].name
    )
    languages = gateway.screening.spoken if gateway.screening is not None else ["en"]
    assert languages_of(platform, platform.guardrails[0]) == languages


def test_german_behind_a_guardrail_of_the_classic_tier_is_refused():
    message = refused(InputError, spoken("de", "en", tier="classic"))
    assert "guardrail internal-frankfurt has tier classic, which does not filter" in message
    assert "guardrail internal-frankfurt has tier classic, which does not filter" in message
    data = platform_data()
    spoken("de", "en", tier="classic", unfiltered_languages=["de"])(data)
    platform = parse(data)
    assert tier_of(platform, platform.guardrails[0]) == "classic", "somebody has decided so"


def test_a_standard_tier_guardrail_must_not_process_content_outside_the_residency():
    def change(data: dict[str, Any]) -> None:
        spoken("de", residency="de")(data)
        for endpoint in data["endpoints"]:
            if endpoint["id"] in data["identities"][0]["endpoints"]:
                del endpoint["inference_profile"], endpoint["destination_regions"]

    message = refused(Refused, change)
    assert "guardrail internal-frankfurt checks de through eu.guardrail.v1:0," in message
    assert "may be in de only" in message


MONITOR = "arn:aws:ce::111122223333:anomalymonitor/0a1b2c3d-0000-4000-8000-000000000000"


def test_a_cost_monitor_needs_a_recipient():
    data = platform_data()
    data |= {"anomalies": {"mode": "existing", "monitor": MONITOR}, "budgets": []}
    assert parse(data).anomalies.monitor == MONITOR

    def unheard(data: dict[str, Any]) -> None:
        data |= {"anomalies": {"mode": "existing", "monitor": MONITOR}, "budgets": []}
        data["contacts"]["cost"] = []

    assert "contacts.cost is empty" in refused(InputError, unheard)


def test_a_managed_cost_monitor_must_not_name_an_existing_monitor():
    def change(data: dict[str, Any]) -> None:
        data["anomalies"] = {"mode": "manage", "monitor": MONITOR}

    assert "anomalies has a monitor, but `mode: manage`" in refused(InputError, change)


def test_an_existing_network_of_the_organisation_is_accepted():
    data = platform_data()
    network(data).update(
        mode="existing",
        zones=[],
        vpc="vpc-0a1",
        subnets=["subnet-0a1", "subnet-0b2"],
        route_tables=["rtb-0a1"],
    )
    assert parse(data).networks[0].vpc == "vpc-0a1"


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"aws:owner": "bank"}, "the tag key `aws:owner` begins with aws:, which AWS reserves"),
        ({"owner!": "bank"}, "the tag `owner!: bank` is not valid in AWS"),
        ({"owner": "a" * 257}, "256 in a value at most"),
        ({"k" * 129: "bank"}, "128 of them in a key"),
    ],
)
def test_a_tag_that_aws_would_refuse_is_refused_with_its_key(tags: dict[str, str], reason: str):
    message = refused(InputError, lambda data: data.update(tags=tags))
    assert reason in message
    assert message.startswith("platform tags.")


def test_a_tag_may_be_as_long_as_aws_allows():
    data = platform_data()
    data["tags"] |= {"k" * 128: "v" * 256, "empty": ""}
    assert parse(data).tags["k" * 128] == "v" * 256


def test_a_provider_role_of_another_account_than_its_site_is_refused():
    role = "arn:aws:iam::210987654321:role/deploy"

    def of_another_account(data: dict[str, Any]) -> None:
        site = next(site for site in data["sites"] if site["name"] == "frankfurt")
        site.update(account_id="123456789012", assume_role=role)

    assert f"`{role}` is not a role of frankfurt's account 123456789012" in refused(
        InputError, of_another_account
    )
    bucket = refused(InputError, lambda data: data["sites"][-1].update(assume_role="arn:aws:s3:::x"))
    assert "`arn:aws:s3:::x` is not valid: expected a role's ARN like" in bucket


def test_an_existing_direct_connect_gateway_needs_no_connection_and_no_vlan():
    data = platform_data()
    link(data).update(
        kind="direct-connect", direct_connect_gateway="01234567-89ab-cdef-0123-456789abcdef", peer_ip=None
    )
    assert parse(data).links[0].vlan is None
