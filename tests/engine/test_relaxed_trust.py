"""What a branch trusts or names that its base commit does not counts as loosening."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.trust import Trust
from isthmus.engine.pull_request.relaxed_trust import stated_changes, trust_changes
from tests.blueprints import bank


def trust(*accounts: str, **fields: Any) -> Trust:
    entries = [{"value": account, "reason": "backup", "owner": "ana", **fields} for account in accounts]
    return Trust.model_validate({"accounts": entries})


def with_site(**fields: Any) -> Platform:
    platform = bank.platform()
    return platform.model_copy(
        update={"sites": [platform.sites[0].model_copy(update=fields), *platform.sites[1:]]}
    )


def loosening(changes: list[RuleChange]) -> list[str]:
    return [change.what for change in changes if change.loosens]


def test_a_new_entry_of_the_trust_file_loosens_and_names_its_owner():
    (change,) = trust_changes(Trust(), trust("111122223333"))
    assert (change.kind, change.what, change.loosens) == ("trust", "trust.yaml, accounts: 111122223333", True)
    assert (change.old, change.new) == ("", "by ana, without end: backup")


def test_a_removed_entry_and_an_earlier_end_do_not_loosen():
    assert loosening(list(trust_changes(trust("111122223333"), Trust()))) == []
    shorter = trust("111122223333", expires="2027-01-01")
    assert loosening(list(trust_changes(trust("111122223333"), shorter))) == []
    assert loosening(list(trust_changes(shorter, trust("111122223333")))) == [
        "trust.yaml, accounts: 111122223333"
    ]


def test_an_unchanged_platform_has_no_changes():
    assert list(stated_changes(bank.platform(), bank.platform())) == []


def test_a_new_public_range_loosens_and_a_part_of_a_known_one_does_not():
    changes = list(stated_changes(bank.platform(), with_site(cidrs=["10.40.0.0/16", "52.94.0.0/16"])))
    assert [(change.what, change.new) for change in changes] == [
        ("address_ranges: 52.94.0.0/16", "sites[fra1].cidrs[1]")
    ]
    assert changes[0].loosens
    assert list(stated_changes(bank.platform(), with_site(cidrs=["10.40.0.0/16", "10.40.7.0/24"]))) == []


def test_another_cluster_loosens_although_its_kind_and_place_stay():
    changes = list(stated_changes(bank.platform(), with_site(kube_context="elsewhere")))
    assert loosening(changes) == ["clusters: elsewhere"]
    assert [change.what for change in changes if not change.loosens] == ["clusters: fra1"]


def test_a_new_private_range_and_a_new_namespace_are_marked_as_within_the_organisation():
    changes = list(stated_changes(bank.platform(), with_site(cidrs=["10.40.0.0/16", "172.20.0.0/16"])))
    assert loosening(changes) == ["address_ranges: 172.20.0.0/16 (within what is the organisation's own)"]


def test_nothing_is_compared_where_a_commit_lacks_the_stack():
    assert list(stated_changes(None, bank.platform())) == []
    assert list(stated_changes(bank.platform(), None)) == []
