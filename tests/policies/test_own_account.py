"""The stack's own account is read from its keys if the platform does not state it."""

from __future__ import annotations

from tests.policies.cases_accounts import OTHER, OURS, WORD, borne, trusted
from tests.policies.cases_aws import policy
from tests.policies.making import findings_of, platform_with, resource_of

UNSAID = platform_with(sites=[site.model_copy(update={"account_id": None}) for site in WORD.sites])


def key(name: str, *accounts: str):
    return resource_of(
        "aws:kms/key:Key", name, {"policy": policy(*(trusted(account) for account in accounts))}
    )


def test_the_account_that_every_key_lets_in_is_our_own():
    keys = [key("one", OURS), key("two", OURS)]
    assert not findings_of("identity/our-accounts", *keys, borne(trusted(OURS)), platform=UNSAID)


def test_another_that_one_key_lets_in_besides_is_not():
    findings = findings_of(
        "identity/our-accounts", key("one", OURS), key("two", OURS, OTHER), platform=UNSAID
    )
    assert [OTHER in finding.message for finding in findings] == [True]


def test_where_keys_do_not_agree_nobody_is_ours():
    findings = findings_of("identity/our-accounts", key("one", OURS, OTHER), platform=UNSAID)
    assert len(findings) == 2


def test_a_platform_that_states_its_account_is_believed_and_not_its_keys():
    findings = findings_of("identity/our-accounts", key("one", OTHER), platform=WORD)
    assert [OTHER in finding.message for finding in findings] == [True]
