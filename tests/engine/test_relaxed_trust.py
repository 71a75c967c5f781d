"""What a branch trusts or names that its base commit does not counts as loosening."""

from __future__ import annotations

from datetime import date
from typing import Any

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
