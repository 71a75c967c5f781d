"""What a platform states of itself in the engine says to every rule what the platform says."""

from __future__ import annotations

import json

import pytest

from isthmus.contracts.platform import policy_view
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Endpoint, Platform
from policies.evaluation.evaluation import judge
from tests.blueprints import bank
from tests.estate import release


def test_it_is_read_as_the_parts_that_it_was():
    whole = bank.platform()
    read = policy_view.read(json.loads(json.dumps(policy_view.stated(whole))))
    for part in Platform.model_fields:
        if part not in ("endpoints", "images"):
            assert getattr(read, part) == getattr(whole, part), part
    assert [each.id for each in read.endpoints] == [each.id for each in whole.endpoints]
    assert judge(bank.rendered().resources, read) == judge(bank.rendered().resources, whole) == []


def test_a_models_release_changes_nothing_of_it():
    before = bank.platform()
    said = before.model_dump(mode="json", by_alias=True, exclude_unset=True)
    release(said)
    after = CheckedPlatform.model_validate(said)
    assert after != before
    assert policy_view.stated(after) == policy_view.stated(before)


@pytest.mark.parametrize("change", [{"isthmus": "v2"}, {"sites": None}, {"zites": []}])
def test_what_is_no_platform_of_this_version_is_refused(change: dict[str, object]):
    with pytest.raises(ValueError):  # noqa: PT011 (pydantic's, or our own)
        policy_view.read({**policy_view.stated(bank.platform()), **change})


def test_where_weights_are_fetched_is_known_and_which_they_are_is_not():
    endpoint = bank.platform().endpoints[0]
    said = endpoint.model_dump(mode="json", by_alias=True, exclude_unset=True)
    store = {
        "endpoint": "https://s3.fra1.bank.example:9000",
        "address": "10.40.0.9",
        "credentials_secret": "s3",
    }
    said["weights"] |= {"uri": "s3://weights/secret-name", "store": store}
    whole = bank.platform().model_copy(update={"endpoints": [Endpoint.model_validate(said)]})
    told = policy_view.stated(whole)
    [read] = policy_view.read(told).endpoints
    assert read.weights is not None
    assert read.weights.store is not None
    assert read.weights.store.host == "s3.fra1.bank.example"
    assert "secret-name" not in json.dumps(told)
