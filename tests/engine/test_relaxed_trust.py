"""What a branch trusts or names that its base commit does not counts as loosening."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Destination, Platform
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.trust import Trust
from isthmus.engine.pull_request import relaxed_trust
from isthmus.engine.pull_request.relaxed_trust import trust_changes
from tests.blueprints import bank

TODAY = date(2026, 11, 29)


def trust(*accounts: str, **fields: Any) -> Trust:
    entries = [{"value": account, "reason": "backup", "owner": "ana", **fields} for account in accounts]
    return Trust.model_validate({"accounts": entries})


def stated_changes(
    before: Platform | None, after: Platform | None, base_trust: Trust | None = None
) -> list[RuleChange]:
    return list(relaxed_trust.stated_changes(before, after, base_trust or Trust(), TODAY))


def with_site(**fields: Any) -> Platform:
    platform = bank.platform()
    return platform.model_copy(
        update={"sites": [platform.sites[0].model_copy(update=fields), *platform.sites[1:]]}
    )


def loosening(changes: list[RuleChange]) -> list[str]:
    return [change.what for change in changes if change.loosens]


def test_a_new_entry_of_the_trust_file_loosens_and_names_its_owner():
    (change,) = trust_changes(Trust(), trust("111122223333"))
    assert (change.kind, change.what, change.loosens) == ("trust", "trust.yaml accounts 111122223333", True)
    assert (change.old, change.new) == ("", "by ana, without end: backup")


def test_a_removed_entry_and_an_earlier_end_do_not_loosen():
    assert loosening(list(trust_changes(trust("111122223333"), Trust()))) == []
    shorter = trust("111122223333", expires="2027-01-01")
    assert loosening(list(trust_changes(trust("111122223333"), shorter))) == []
    assert loosening(list(trust_changes(shorter, trust("111122223333")))) == [
        "trust.yaml accounts 111122223333"
    ]


def test_an_unchanged_platform_has_no_changes():
    assert (stated_changes(bank.platform(), bank.platform())) == []


def test_a_new_public_range_loosens_and_a_part_of_a_known_one_does_not():
    changes = stated_changes(bank.platform(), with_site(cidrs=["10.40.0.0/16", "52.94.0.0/16"]))
    assert [(change.what, change.new) for change in changes] == [
        ("address range 52.94.0.0/16", "sites[fra1].cidrs[1]")
    ]
    assert changes[0].loosens
    assert (stated_changes(bank.platform(), with_site(cidrs=["10.40.0.0/16", "10.40.7.0/24"]))) == []


def test_a_registry_below_the_own_one_of_the_base_is_shown_and_stops_nothing():
    before = bank.platform()
    own = before.images.registry
    assert own
    for added, kind in ((f"{own}/nvidia", "reach"), (f"{own}.evil.example", "trust"), ("docker.io", "trust")):
        images = before.images.model_copy(update={"registries": [*before.images.registries, f"{added}/"]})
        changes = stated_changes(before, before.model_copy(update={"images": images}))
        assert [(c.kind, c.what) for c in changes] == [(kind, f"registry {added}")]
    moved = before.images.model_copy(update={"registry": "evil.example"})
    below = moved.model_copy(update={"registries": [*moved.registries, "evil.example/tools/"]})
    changes = stated_changes(before, before.model_copy(update={"images": below}))
    kinds = {c.what: c.kind for c in changes if c.loosens}
    assert {kinds["registry evil.example"], kinds["registry evil.example/tools"]} == {"trust"}


def test_another_cluster_loosens_although_its_kind_and_place_stay():
    changes = stated_changes(bank.platform(), with_site(kube_context="elsewhere"))
    assert loosening(changes) == ["cluster elsewhere"]
    assert [change.what for change in changes if not change.loosens] == ["cluster fra1"]


def test_a_new_private_range_is_a_change_of_reach():
    changes = stated_changes(bank.platform(), with_site(cidrs=["10.40.0.0/16", "172.20.0.0/16"]))
    assert [(change.kind, change.what) for change in changes] == [("reach", "address range 172.20.0.0/16")]


def test_nothing_is_compared_where_a_commit_lacks_the_stack():
    assert (stated_changes(None, bank.platform())) == []
    assert (stated_changes(bank.platform(), None)) == []


def test_a_value_that_the_base_already_trusts_is_shown_and_does_not_stop_the_change():
    role = "arn:aws:iam::111122223333:role/deploy"
    platform = bank.platform()
    site = platform.sites[1].model_copy(update={"assume_role": role})
    after = platform.model_copy(update={"sites": [platform.sites[0], site]})
    assert [change.kind for change in stated_changes(platform, after)] == ["trust"]
    assert [change.kind for change in stated_changes(platform, after, trust("111122223333"))] == ["reach"]
    expired = trust("111122223333", expires="2026-11-28")
    assert [change.kind for change in stated_changes(platform, after, expired)] == ["trust"]


def test_a_flag_of_vllm_that_keeps_data_is_shown_and_another_one_stops_the_change():
    def with_flag(flag: str) -> Platform:
        platform = bank.platform()
        first = platform.endpoints[0].model_copy(update={"engine_args": [flag]})
        return platform.model_copy(update={"endpoints": [first, *platform.endpoints[1:]]})

    for flag, kind in (("--seed=7", "reach"), ("--profiler-config={}", "trust")):
        (change,) = stated_changes(bank.platform(), with_flag(flag))
        assert (change.kind, change.what) == (kind, f"engine flag {flag}")
    entry = {"value": "--profiler-config", "reason": "checked", "owner": "ana"}
    trusted = Trust.model_validate({"engine_flags": [entry]})
    (change,) = stated_changes(bank.platform(), with_flag("--profiler-config={}"), trusted)
    assert change.kind == "reach"


def test_a_new_destination_of_a_gateway_loosens_although_its_network_is_known():
    platform = bank.platform()
    gateway = platform.gateways[0]
    proxy = Destination(name="proxy", cidr="10.40.0.7/32", port=3128)
    opened = gateway.model_copy(update={"destinations": [*gateway.destinations, proxy]})
    after = platform.model_copy(update={"gateways": [opened, *platform.gateways[1:]]})
    (change,) = stated_changes(platform, after)
    assert (change.kind, change.loosens) == ("trust", True)
    assert change.what == f"destination 10.40.0.7/32 port 3128 of {gateway.class_} work"


def protection_changes(**changes: Any) -> dict[str, tuple[str, str, str, bool]]:
    """Label → kind, old and new strength, and whether it loosens, after a change of the bank's platform."""
    before = bank.platform()
    found = relaxed_trust.protection_changes(before, before.model_copy(update=changes), Trust(), TODAY)
    return {change.what: (change.kind, change.old, change.new, change.loosens) for change in found}


def changed(part: str, name: str, **fields: Any) -> dict[str, list[Any]]:
    """The bank's list of parts with one of them changed."""
    items = getattr(bank.platform(), part)
    return {part: [item.model_copy(update=fields) if item.name == name else item for item in items]}


def test_a_platform_that_stays_has_no_change_of_protections():
    assert protection_changes() == {}


def test_another_issuer_loosens():
    issuer = bank.platform().issuer
    assert issuer is not None
    assert protection_changes(issuer=issuer.model_copy(update={"name": "evil-ca"})) == {
        "certificate issuer of the platform": (
            "trust",
            "ClusterIssuer bank-internal-ca",
            "ClusterIssuer evil-ca",
            True,
        )
    }


def test_a_bundle_of_further_authorities_is_trusted_with_the_object_that_makes_it():
    before = bank.platform()
    after = before.model_copy(update={"trust_bundle": "bank-authorities"})
    label = "bundle of further authorities of the platform"
    kinds = []
    for kind, value in (
        (None, ""),
        ("objects", "bank-authorities"),
        ("objects", "isthmus-internal/bank-authorities"),
        ("changes", f"{label}: bank-authorities"),
    ):
        entries = {kind: [{"value": value, "reason": "checked", "owner": "ana"}]} if kind else {}
        (change,) = relaxed_trust.protection_changes(before, after, Trust.model_validate(entries), TODAY)
        assert (change.what, change.entry) == (label, ("objects", "bank-authorities"))
        kinds.append(change.kind)
    assert kinds == ["trust", "reach", "trust", "reach"]


def test_a_network_that_carries_another_class_loosens():
    assert protection_changes(
        **changed("networks", "frankfurt", classes=["confidential", "internal", "public"])
    ) == {"way for confidential work of network frankfurt": ("trust", "", "open", True)}


def test_a_network_of_a_class_that_may_use_aws_is_shown_and_stops_nothing():
    before = bank.platform().model_copy(update=changed("networks", "frankfurt", classes=["public"]))
    (change,) = relaxed_trust.protection_changes(before, bank.platform(), Trust(), TODAY)
    assert (change.kind, change.what, change.loosens) == (
        "reach",
        "way for internal work of network frankfurt",
        True,
    )


def test_a_gateway_that_shares_another_classs_database_loosens():
    internal = next(gateway for gateway in bank.platform().gateways if gateway.class_ == "internal")
    changes = protection_changes(**changed("gateways", "restricted-fra1", database=internal.database))
    assert changes["database of gateway restricted-fra1"][3]


def test_a_guard_that_is_gone_loosens_and_one_that_goes_with_its_gateway_does_not():
    gateway = next(gateway for gateway in bank.platform().gateways if gateway.name == "internal-fra1")
    assert gateway.screening is not None
    without = gateway.screening.model_copy(update={"guards": []})
    changes = protection_changes(**changed("gateways", "internal-fra1", screening=without))
    assert changes == {
        "guard attacks of gateway internal-fra1": (
            "trust",
            "refuse PROMPT_ATTACK in prompts of all workloads",
            "",
            True,
        )
    }
    rest = [gateway for gateway in bank.platform().gateways if gateway.name != "internal-fra1"]
    assert not any(loosens for *_, loosens in protection_changes(gateways=rest).values())


@pytest.mark.parametrize(
    "value", ["certificate issuer of the platform: ClusterIssuer new-ca", "certificate issuer of *"]
)
def test_a_change_that_the_base_already_approves_is_shown_and_does_not_stop(value: str):
    before = bank.platform()
    assert before.issuer is not None
    after = before.model_copy(update={"issuer": before.issuer.model_copy(update={"name": "new-ca"})})
    (refused,) = relaxed_trust.protection_changes(before, after, Trust(), TODAY)
    assert (refused.kind, refused.entry) == (
        "trust",
        ("changes", "certificate issuer of the platform: ClusterIssuer new-ca"),
    )
    about = {"reason": "planned", "owner": "ana"}
    approved = Trust.model_validate({"changes": [{"value": value, **about}]})
    assert refused.entry is not None
    (shown,) = relaxed_trust.protection_changes(before, after, approved, TODAY)
    assert (shown.kind, shown.loosens) == ("reach", True)
    another = Trust.model_validate({"changes": [{"value": f"{refused.entry[1]}-2", **about}]})
    assert [c.kind for c in relaxed_trust.protection_changes(before, after, another, TODAY)] == ["trust"]


def test_the_first_account_or_cluster_of_a_site_pins_it_and_another_one_loosens():
    first = with_site(cluster_uid="b9ae2f0e-7d9e-4a1b-9a0b-6f3e5d2c1a00")
    assert [change.kind for change in stated_changes(bank.platform(), first)] == ["reach"]
    second = with_site(cluster_uid="c9ae2f0e-7d9e-4a1b-9a0b-6f3e5d2c1a00")
    kinds = {change.kind for change in stated_changes(first, second) if change.loosens}
    assert kinds == {"trust"}


def test_people_are_approved_one_by_one_or_by_the_beginning_of_their_groups():
    before = bank.platform()
    bare = before.model_dump(mode="json", by_alias=True, exclude_unset=True)
    bank.remove_pages(bare["gateways"])  # the people here chat with nobody, and decide at no desk
    members = {"members": [{"name": "ops", "role": "platform", "groups": ["oidc:llm-ops"]}]}
    after = type(before).model_validate({**bare, "people": members})
    (refused,) = (c for c in stated_changes(before, after) if c.loosens)
    assert (refused.kind, refused.entry) == ("trust", ("changes", "people: platform: oidc:llm-ops"))
    about = {"reason": "reviewed", "owner": "ana"}
    exact = Trust.model_validate({"changes": [{"value": "people: platform: oidc:llm-ops", **about}]})
    assert {c.kind for c in stated_changes(before, after, exact) if c.loosens} == {"reach"}
    for kind, value in (("principals", "oidc:llm-ops"), ("principals", "oidc:*"), ("changes", "people: *")):
        approved = Trust.model_validate({kind: [{"value": value, **about}]})
        assert {c.kind for c in stated_changes(before, after, approved) if c.loosens} == {"reach"}, value


def test_another_secret_authority_or_gateway_loosens():
    gateway = next(g for g in bank.platform().gateways if g.name == "restricted-fra1")
    assert gateway.database is not None
    for fields, label in (
        ({"callers_secret": "others"}, "callers_secret of gateway restricted-fra1"),
        ({"certificate_secret": "others"}, "certificate_secret of gateway restricted-fra1"),
        (
            {"database": gateway.database.model_copy(update={"user": "postgres"})},
            "database of gateway restricted-fra1",
        ),
    ):
        assert protection_changes(**changed("gateways", "restricted-fra1", **fields))[label][3], label
    link = bank.platform().links[0]
    joined = protection_changes(**changed("links", link.name, transit_gateway="tgw-0123456789abcdef0"))
    assert joined[f"joined gateway of link {link.name}"][3]


def test_longer_retention_does_not_loosen_and_shorter_does():
    label = "days of retention of records store frankfurt"
    assert not protection_changes(**changed("audit", "frankfurt", retention_days=400))[label][3]
    assert protection_changes(**changed("audit", "frankfurt", retention_days=90))[label][3]


def test_a_new_machine_of_a_pool_is_shown_and_stops_nothing():
    name = "fra1-l40s-48gb"
    (change,) = protection_changes(
        **changed("pools", name, node_names=["fra1-l40s-48gb-0", "other"])
    ).values()
    assert change[0] == "reach"
