"""Held answers in the platform: when they are required, what they need, and who may decide."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from isthmus.contracts.platform import overrides
from isthmus.core.errors import InputError, Refused
from tests import private
from tests.components.fargate import cloud
from tests.contracts.bank import platform_data, refused

Change = Callable[[dict[str, Any]], object]
REVIEW = {"domain": "crime", "below_confidence": 0.8}
REVIEWS = {
    **{"secret": "restricted-reviews", "reviewers_ca": "reviewers-ca", "from_namespaces": ["reviewers"]},
    **{"records_volume": "records-restricted-reviews", "keys_volume": "held-keys-reviews"},
    "gateway_keys_volume": "held-keys",
}
TEXT = '{"isthmus_calibration": 1}\n'
CALIBRATION = {
    **{"name": "llama", "file": "calibrations/llama.json", "text": TEXT},
    "digest": f"sha256:{hashlib.sha256(TEXT.encode()).hexdigest()}",
}


def data() -> dict[str, Any]:
    """The bank, whose restricted answers are of high impact and held."""
    platform = platform_data()
    gateway = platform["gateways"][0]
    gateway["database"] = {"host": "postgres.bank.example", "address": "10.40.0.21"}
    gateway["reviews"] = dict(REVIEWS)
    gateway["workloads"][0] |= {"impact": "high", "review": dict(REVIEW)}
    return platform


def gateway(data: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return data["gateways"][at]


def workload(data: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return gateway(data, at)["workloads"][0]


def _without_issuer(data: dict[str, Any]) -> None:
    data.pop("issuer")
    for endpoint in (*data["endpoints"], *data["gateways"]):
        if endpoint.get("target", "") != "bedrock":
            endpoint["certificate_secret"] = "own"
    data["trust"][0].pop("issuer", None)
    for identity in data["identities"]:
        identity["certificate_secret"] = "own"


def test_answers_are_held_by_impact_and_review_settings() -> None:
    checked = overrides.validate(data()).gateways[0]
    assert checked.reviews is not None
    assert (checked.reviews.user, checked.reviews.replicas, checked.reviews.keep_days) == ("reviews", 2, 7)
    assert checked.workloads[0].asks_for_people


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: gateway(d).pop("reviews"),
            "answers of workload transaction-narratives need human review (impact:",
        ),
        (
            lambda d: gateway(d).pop("reviews") and workload(d).update(impact="material"),
            "answers of workload transaction-narratives need human review (impact:",
        ),
        (
            lambda d: workload(d, 2).update(review={"domain": "hr"}),
            "answers of workload policy-assistant need human review (`review` is",
        ),
        (
            lambda d: gateway(d)["reviews"].update(user="gateway"),
            "gateway and reviews of restricted-fra1 have the same database user",
        ),
        (
            lambda d: gateway(d)["reviews"].update(from_cidrs=["52.94.0.0/16"]),
            "outside the on-prem sites' networks",
        ),
        (
            lambda d: gateway(d)["reviews"].update(from_cidrs=["10.80.0.0/16"]),
            "outside the on-prem sites' networks",
        ),
        (
            lambda d: gateway(d)["reviews"].update(
                reviewers=[
                    {"name": "erika@bank", "client": "c.bank"},
                    {"name": "max@bank", "client": "c.bank"},
                ]
            ),
            "client c.bank is listed for two reviewers, erika@bank and max@bank",
        ),
    ],
)
def test_a_platform_that_releases_unreviewed_answers_is_refused(change: Change, message: str) -> None:
    assert message in refused(Refused, change, data())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: gateway(d).pop("database"),
            "has `reviews`, but no database for",
        ),
        (
            lambda d: gateway(d)["reviews"].pop("gateway_keys_volume"),
            "gateway_keys_volume is not set, so the gateway cannot store",
        ),
        (
            lambda d: gateway(d)["audit"].update(
                content={"volume": "keys", "days": {"transaction-narratives": 9}}
            ),
            "gateway_keys_volume is set, but held answers share the keys of",
        ),
        (
            lambda d: gateway(d)["reviews"].pop("from_namespaces"),
            "have neither from_cidrs nor",
        ),
        (_without_issuer, "reviews of gateway restricted-fra1 have neither a certificate issuer"),
        (lambda d: gateway(d)["reviews"].update(from_cidrs=["10.40.0.1/16"]), "is not a network"),
        (
            lambda d: gateway(d)["reviews"].update(decide_h=100, escalated_h=100),
            "keep_days is 7, shorter than decide_h and escalated_h together",
        ),
        (
            lambda d: workload(d)["review"].pop("below_confidence"),
            "workload transaction-narratives has no review.below_confidence, so no",
        ),
        (
            lambda d: gateway(d)["reviews"].update(
                reviewers=[{"name": "erika@bank", "client": "c.bank", "workloads": ["kyc"]}]
            ),
            "gateway restricted-fra1 has no workload `kyc`",
        ),
        (
            lambda d: gateway(d)["reviews"].update(reviewers=[{"name": "erika@bank", "client": "*.bank"}]),
            "`*.bank` is not a valid name of a client certificate",
        ),
        (
            lambda d: gateway(d)["reviews"].update(reviewers=[{"name": "Erika", "client": "c.bank"}]),
            "a person's name in lower case",
        ),
        (
            lambda d: gateway(d)["reviews"].pop("records_volume"),
            "have no records_volume",
        ),
        (
            lambda d: gateway(d)["reviews"].update(keys_volume="records-restricted"),
            "is used twice, as",
        ),
        (
            lambda d: gateway(d)["reviews"].update(records_volume="records-confidential"),
            "is used twice, as",
        ),
        (lambda d: workload(d).update(reviewed_by="claims-desk"), "its own gateway can hold its answers"),
        (
            lambda d: workload(d).update(calibrations=[{**CALIBRATION, "text": "{}"}]),
            "the digest of `calibrations/l",
        ),
        (lambda d: workload(d).update(calibrations=[CALIBRATION, CALIBRATION]), "two calibrations"),
        (
            lambda d: workload(d).update(calibrations=[{**CALIBRATION, "file": "a/../../b.json"}]),
            "`a/../../b.json` is outside the stack's folder",
        ),
        (
            lambda d: workload(d, 1).update(calibrations=[CALIBRATION]),
            "workload kyc has `calibrations`, but no `review` with a domain",
        ),
    ],
)
def test_an_impossible_setting_is_refused_with_its_reason(change: Change, message: str) -> None:
    assert message in refused(InputError, change, data())


def test_confidential_answers_are_kept_thirty_days_at_most() -> None:
    def longer(data: dict[str, Any]) -> None:
        gateway(data, 1).update(
            database={"host": "p.bank.example", "address": "10.40.0.22"},
            reviews={**REVIEWS, "records_volume": "a", "keys_volume": "b", "gateway_keys_volume": "c"},
        )
        gateway(data, 1)["reviews"]["keep_days"] = 31
        workload(data, 1)["review"] = dict(REVIEW)

    assert "keep_days is 31, but class confidential allows 30 days for held" in refused(
        Refused, longer, data()
    )


def test_a_gateway_on_fargate_never_serves_high_impact_work() -> None:
    def weighty(data: dict[str, Any]) -> None:
        workload(data).update(impact="high", review=dict(REVIEW), reviewed_by="claims-desk")

    assert "answers of workload claims need human review (impact: high), b" in refused(
        Refused, weighty, cloud()
    )


def test_on_fargate_reviewed_work_needs_a_named_reviewer() -> None:
    data = cloud()
    workload(data)["impact"] = "material"
    workload(data)["reviewed_by"] = "claims-desk"
    assert overrides.validate(data).gateways[0].workloads[0].reviewed_by == "claims-desk"
    assert "need human review (impact:" in refused(Refused, lambda d: workload(d).pop("reviewed_by"), data)
    with pytest.raises(InputError, match="workload claims has `reviewed_by`, but its answers need no review"):
        overrides.validate({**data, "gateways": [_with_reviewer(data)]})


def _with_reviewer(data: dict[str, Any]) -> dict[str, Any]:
    gate = data["gateways"][0]
    return {**gate, "workloads": [{**gate["workloads"][0], "impact": "low", "reviewed_by": "claims-desk"}]}


def test_a_gateway_on_fargate_may_not_hold_answers() -> None:
    data = cloud()
    gateway(data)["reviews"] = {**REVIEWS, "from_namespaces": ["reviewers"]}
    assert "gateway internal-frankfurt runs on Fargate, which does not support" in refused(
        InputError, lambda _: None, data
    )


def test_in_eks_answers_of_high_impact_are_held_and_scored() -> None:
    data = private.reviewed()
    workload(data)["calibrations"] = [CALIBRATION]
    checked = overrides.validate(data).gateways[0]
    assert checked.reviews is not None
    assert (checked.reviews.user, checked.reviews.records_volume) == ("reviews", None)
    assert (checked.workloads[0].impact, checked.workloads[0].calibrations[0].text) == ("high", TEXT)


def test_in_eks_answers_that_are_not_held_need_another_named_reviewer() -> None:
    data = private.reviewed()
    del gateway(data)["reviews"]
    message = "need human review (impact: high),"
    assert message in refused(Refused, lambda _: None, data)
    high_impact = refused(Refused, lambda d: workload(d).update(reviewed_by="claims-desk"), data)
    assert message in high_impact, "nobody is enough for high impact"
    assert "or set `reviewed_by` to who reviews them elsewhere" not in high_impact
    workload(data)["impact"] = "material"
    assert overrides.validate(data).gateways[0].workloads[0].reviewed_by == "claims-desk"
    assert "or set `reviewed_by` to who reviews them elsewhere" in refused(
        Refused, lambda d: workload(d).pop("reviewed_by"), data
    )


def test_in_eks_answers_are_held_or_reviewed_elsewhere_and_not_both() -> None:
    def with_both(data: dict[str, Any]) -> None:
        workload(data).update(impact="material", reviewed_by="claims-desk")

    message = refused(InputError, with_both, private.reviewed())
    assert "its own gateway holds its answers" in message
    assert "workload claim-summaries has `reviewed_by`, but its own gateway holds" in message


def own_share(data: dict[str, Any], **more: Any) -> dict[str, Any]:
    gateway(data)["audit"] |= {"volume": "records", "sealer_volume": "records-sealer"}
    gateway(data)["reviews"] |= more
    return data


def test_in_eks_records_of_the_review_service_are_on_the_share_of_the_gateway() -> None:
    checked = overrides.validate(own_share(private.reviewed(), records_volume="records-reviews")).gateways[0]
    assert checked.reviews is not None
    assert checked.reviews.records_volume == "records-reviews"
    assert "have no records_volume" in refused(InputError, lambda _: None, own_share(private.reviewed()))
    assert "is used twice, as" in refused(
        InputError, lambda _: None, own_share(private.reviewed(), records_volume="records-sealer")
    )
    assert "records_volume is set, but Isthmus makes the file share" in refused(
        InputError, lambda _: None, private.reviewed(records_volume="records-reviews")
    )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda d: gateway(d).pop("database"),
            InputError,
            "has `reviews`, but no database for",
        ),
        (
            lambda d: gateway(d)["reviews"].pop("gateway_keys_volume"),
            InputError,
            "gateway_keys_volume is not set, so the gateway cannot store",
        ),
        (
            lambda d: gateway(d)["reviews"].pop("from_namespaces"),
            InputError,
            "have neither from_cidrs nor",
        ),
        (
            lambda d: gateway(d)["reviews"].update(user="gateway"),
            Refused,
            "gateway and reviews of confidential-frankfurt have the same database",
        ),
        (
            lambda d: gateway(d)["reviews"].update(keep_days=31),
            Refused,
            "keep_days is 31, but class confidential allows 30 days for held",
        ),
        (
            lambda d: gateway(d)["reviews"].update(from_cidrs=["10.81.0.0/16"]),
            Refused,
            "outside the sites' own networks",
        ),
    ],
)
def test_in_eks_held_answers_need_the_same_settings_as_on_prem(
    change: Change, error: type[Exception], message: str
) -> None:
    assert message in refused(error, change, private.reviewed())  # type: ignore[arg-type]
