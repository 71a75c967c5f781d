"""The stack's own account is read from its keys if the platform does not state it."""

from __future__ import annotations

from tests.policies.cases_accounts import OTHER, OURS, WORD, borne, trusted
from tests.policies.cases_aws import policy
from tests.policies.making import findings_of, platform_with, resource_of
from tests.policies.test_boundary_rows_of_guards import trusting

UNSAID = platform_with(sites=[site.model_copy(update={"account_id": None}) for site in WORD.sites])


def key(name: str, *accounts: str):
    return resource_of(
        "aws:kms/key:Key", name, {"policy": policy(*(trusted(account) for account in accounts))}
    )


def test_the_account_that_every_key_admits_is_the_own_account():
    keys = [key("one", OURS), key("two", OURS)]
    assert not findings_of("identity/our-accounts", *keys, borne(trusted(OURS)), platform=UNSAID)


def test_an_account_that_only_one_key_admits_is_a_foreign_account():
    findings = findings_of(
        "identity/our-accounts", key("one", OURS), key("two", OURS, OTHER), platform=UNSAID
    )
    assert [OTHER in finding.message for finding in findings] == [True]


def test_if_keys_admit_different_accounts_all_count_as_foreign():
    findings = findings_of("identity/our-accounts", key("one", OURS, OTHER), platform=UNSAID)
    assert len(findings) == 2


def test_a_stated_account_overrides_the_account_in_the_keys():
    findings = findings_of("identity/our-accounts", key("one", OTHER), platform=WORD)
    assert [OTHER in finding.message for finding in findings] == [True]


def test_twelve_digits_anywhere_else_in_the_platform_make_no_account_an_own_one():
    for changes in (
        {"tags": {"cost-centre": OTHER}},
        {"name": f"bank-{OTHER}"},
        {"contacts": WORD.contacts.model_copy(update={"security": [f"{OTHER}@bank.example"]})},
    ):
        platform = WORD.model_copy(update=changes)
        findings = findings_of("identity/our-accounts", borne(trusted(OTHER)), platform=platform)
        assert [OTHER in finding.message for finding in findings] == [True], changes


def test_an_account_of_the_trust_file_has_access_while_its_entry_is_valid():
    graph = borne(trusted(OTHER))
    for platform in (WORD, None):
        for days, expected in ((1, 0), (-1, 1)):
            settings = trusting("accounts", OTHER, days)
            found = findings_of("identity/our-accounts", graph, platform=platform, settings=settings)
            assert len(found) == expected


def test_the_account_of_a_sites_role_is_the_sites_own_where_it_states_none():
    role = f"arn:aws:iam::{OURS}:role/deploys"
    for stated, expected in ((None, 0), (OTHER, 1)):
        sites = [site.model_copy(update={"account_id": stated, "assume_role": role}) for site in WORD.sites]
        platform = platform_with(sites=sites)
        assert len(findings_of("identity/our-accounts", borne(trusted(OURS)), platform=platform)) == expected
