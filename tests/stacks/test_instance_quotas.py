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


def quota_warnings(monkeypatch: pytest.MonkeyPatch, answer: float | None) -> list[str]:
    checked_platform = CheckedPlatform.model_validate(platform())
    (site,) = [site for site in checked_platform.sites if site.kind == "aws"]

    def quota(_session: Any, name: str, region: str, service: str) -> float | None:
        assert (name, region, service) == ("ml.g6e.2xlarge for endpoint usage", "eu-central-1", "sagemaker")
        return answer

    monkeypatch.setattr(client, "quota", quota)
    return instance_quotas.check_instance_quotas(SimpleNamespace(site=site), checked_platform)  # type: ignore[arg-type]


def test_a_sufficient_rollout_quota_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert quota_warnings(monkeypatch, NEEDED) == []


def test_an_insufficient_rollout_quota_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match=f"is {NEEDED - 1}, and {NEEDED} are needed"):
        quota_warnings(monkeypatch, NEEDED - 1)


def test_an_unknown_quota_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = quota_warnings(monkeypatch, None)
    assert f"{NEEDED} are needed" in line
