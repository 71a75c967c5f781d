"""Whether a stack is thrown away with its records: the default, and where that is refused."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.blueprints import retention
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.core.errors import Refused
from tests.components.platforms import bank


def test_a_sandbox_is_disposable_and_other_stacks_are_durable_by_default() -> None:
    assert retention.fill({}, sandbox=True)["lifecycle"] == "disposable"
    assert retention.fill({}, sandbox=False)["lifecycle"] == "durable"
    assert retention.fill({"lifecycle": "durable"}, sandbox=True)["lifecycle"] == "durable"


def test_a_store_with_locked_records_is_not_disposable() -> None:
    disposable: dict[str, Any] = {**bank(), "lifecycle": "disposable"}
    with pytest.raises(Refused, match="frankfurt-audit") as refused:
        retention.check(CheckedPlatform.model_validate(disposable), "stacks/Pulumi.bank.yaml")
    assert "isthmus:overrides.lifecycle" in str(refused.value)
    retention.check(CheckedPlatform.model_validate(bank()), "stacks/Pulumi.bank.yaml")
    disposable["audit"][1] |= {"mode": "existing", "bucket": "records"}
    with pytest.raises(Refused, match="the trail of frankfurt"):
        retention.check(CheckedPlatform.model_validate(disposable), "stacks/Pulumi.bank.yaml")
    disposable["trails"][0]["mode"] = "existing"
    retention.check(CheckedPlatform.model_validate(disposable), "stacks/Pulumi.bank.yaml")
