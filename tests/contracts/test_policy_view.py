"""The part of a platform that a stack exports to the policy pack, read back without loss."""

from __future__ import annotations

import json

import pytest

from isthmus.contracts.platform import policy_view
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Endpoint, Platform
from policies.evaluation.evaluation import judge
from tests.blueprints import bank
from tests.estate import release


def test_the_policy_view_is_read_back_without_loss():
    built = bank.platform()
    read = policy_view.parse(json.loads(json.dumps(policy_view.describe(built))))
    for part in Platform.model_fields:
        if part not in ("endpoints", "images"):
            assert getattr(read, part) == getattr(built, part), part
    assert [endpoint.id for endpoint in read.endpoints] == [endpoint.id for endpoint in built.endpoints]
    assert judge(bank.rendered().resources, read) == judge(bank.rendered().resources, built) == []


def test_a_models_release_does_not_change_the_policy_view():
    before = bank.platform()
    values = before.model_dump(mode="json", by_alias=True, exclude_unset=True)
    release(values)
    after = CheckedPlatform.model_validate(values)
    assert after != before
    assert policy_view.describe(after) == policy_view.describe(before)


@pytest.mark.parametrize("change", [{"isthmus": "v2"}, {"sites": None}, {"zites": []}])
def test_a_platform_of_another_version_is_refused(change: dict[str, object]):
    with pytest.raises(ValueError):  # noqa: PT011 (pydantic's, or our own)
        policy_view.parse({**policy_view.describe(bank.platform()), **change})


def test_the_policy_view_holds_the_store_of_weights_and_not_their_name():
    endpoint = bank.platform().endpoints[0]
    values = endpoint.model_dump(mode="json", by_alias=True, exclude_unset=True)
    store = {
        "endpoint": "https://s3.fra1.bank.example:9000",
        "address": "10.40.0.9",
        "credentials_secret": "s3",
    }
    values["weights"] |= {"uri": "s3://weights/secret-name", "store": store}
    built = bank.platform().model_copy(update={"endpoints": [Endpoint.model_validate(values)]})
    stated_view = policy_view.describe(built)
    [read] = policy_view.parse(stated_view).endpoints
    assert read.weights is not None
    assert read.weights.store is not None
    assert read.weights.store.host == "s3.fra1.bank.example"
    assert "secret-name" not in json.dumps(stated_view)
