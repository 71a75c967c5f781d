"""The account that all is made in, where the platform does not state it."""

from __future__ import annotations

from tests.policies.cases_accounts import OTHER, OURS, WORD, borne, trusted
from tests.policies.cases_aws import policy
from tests.policies.making import found, made, stated

UNSAID = stated(sites=[each.model_copy(update={"account_id": None}) for each in WORD.sites])


def key(name: str, *accounts: str):
    return made("aws:kms/key:Key", name, {"policy": policy(*(trusted(each) for each in accounts))})


def test_the_account_that_every_key_lets_in_is_our_own():
    keys = [key("one", OURS), key("two", OURS)]
    assert not found("identity/our-accounts", *keys, borne(trusted(OURS)), platform=UNSAID)


def test_another_that_one_key_lets_in_besides_is_not():
    said = found("identity/our-accounts", key("one", OURS), key("two", OURS, OTHER), platform=UNSAID)
    assert [OTHER in each.message for each in said] == [True]


def test_where_keys_do_not_agree_nobody_is_ours():
    both = found("identity/our-accounts", key("one", OURS, OTHER), platform=UNSAID)
    assert len(both) == 2


def test_a_platform_that_states_its_account_is_believed_and_not_its_keys():
    said = found("identity/our-accounts", key("one", OTHER), platform=WORD)
    assert [OTHER in each.message for each in said] == [True]
