"""Whether the account may run the machines of its SageMaker endpoints, against answers that the test chooses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.core.errors import Refused
from stacks.aws_account import client, instance_quotas
from tests.hosted import platform

NEEDED = 2 * 6 + 2


def asked(monkeypatch: pytest.MonkeyPatch, answer: float | None) -> list[str]:
    made = CheckedPlatform.model_validate(platform())
    (site,) = [each for each in made.sites if each.kind == "aws"]

    def quota(of: Any, name: str, region: str, service: str) -> float | None:
        assert (name, region, service) == ("ml.g6e.2xlarge for endpoint usage", "eu-central-1", "sagemaker")
        return answer

    monkeypatch.setattr(client, "quota", quota)
    return instance_quotas.suffice(SimpleNamespace(site=site), made)  # type: ignore[arg-type]


def test_a_quota_that_carries_a_rollout_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, NEEDED) == []


def test_a_quota_that_carries_no_rollout_is_answered_with_no(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match=f"is {NEEDED - 1}, and {NEEDED} are needed"):
        asked(monkeypatch, NEEDED - 1)


def test_a_quota_that_aws_does_not_tell_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = asked(monkeypatch, None)
    assert f"{NEEDED} are needed" in line
