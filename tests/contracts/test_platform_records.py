"""A gateway's records in the platform: where they are, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge.config.audit import UNSEALED_S
from isthmus.contracts import overrides, platform_records
from isthmus.contracts.errors import AnswerIsNo, InputError
from tests.contracts.bank import platform_data

Change = Callable[[dict[str, Any]], object]


def audit(data: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return data["gateways"][at]["audit"]


def keeps(data: dict[str, Any], at: int, **days: int) -> None:
    audit(data, at)["content"] = {
        "volume": "keys",
        "days": {key.replace("_", "-"): d for key, d in days.items()},
    }


def refused(kind: type[Exception], change: Change) -> str:
    data = platform_data()
    change(data)
    with pytest.raises(kind) as caught:
        overrides.validate(data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda d: d["gateways"][0].pop("audit"),
            "keeps no records, and class restricted keeps them 60 months",
        ),
        (lambda d: d["gateways"][2].pop("audit"), "keeps no records, and class internal"),
        (lambda d: audit(d).update(max_unsealed_s=181), "wait at most 180 s"),
        (lambda d: keeps(d, 2, policy_assistant=1), "content of class internal is kept not"),
        (lambda d: keeps(d, 1, kyc=31), "kept at most 30 days, and of kyc for 31 days"),
        (lambda d: d["audit"][0].update(address="52.94.1.1"), "outside the on-prem sites' networks"),
    ],
)
def test_what_would_lose_records_or_keep_too_much_is_answered_with_no(change: Change, says: str) -> None:
    assert says in refused(AnswerIsNo, change)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["audit"][0].pop("address"), "names no address"),
        (lambda d: d["audit"][0].update(address="10.40.0.999"), "`10.40.0.999` is not an address"),
        (lambda d: d["images"].pop("translator"), "images.translator"),
        (lambda d: keeps(d, 0, other=1), "serves no workload other"),
        (lambda d: audit(d).update(sealer_volume="records-restricted"), "one binds to one claim"),
        (lambda d: audit(d, 1).update(volume="records-restricted"), "one binds to one claim"),
        (lambda d: audit(d).update(policy="v 12"), "a policy's version like `v12`"),
        (lambda d: audit(d).pop("sealer_secret"), "sealer_secret"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(change: Change, says: str) -> None:
    assert says in refused(InputError, change)


def test_restricted_content_is_kept_as_long_as_is_said() -> None:
    data = platform_data()
    keeps(data, 0, transaction_narratives=1825)
    kept = overrides.validate(data).gateways[0].audit
    assert kept is not None
    assert kept.content is not None
    assert kept.content.days == {"transaction-narratives": 1825}


def test_records_wait_as_long_as_the_edge_lets_them() -> None:
    assert {key: value for key, value in UNSEALED_S.items() if value} == platform_records.UNSEALED_S
