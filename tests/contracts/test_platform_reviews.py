"""Held answers in the platform: where they are demanded, what they take, and who may decide."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from edge.config import review as edge
from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.model import reviews as platform_reviews
from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import SENSITIVITIES
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
    made = platform_data()
    gateway = made["gateways"][0]
    gateway["database"] = {"host": "postgres.bank.example", "address": "10.40.0.21"}
    gateway["reviews"] = dict(REVIEWS)
    gateway["workloads"][0] |= {"impact": "high", "review": dict(REVIEW)}
    return made


def gateway(said: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return said["gateways"][at]


def workload(said: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return gateway(said, at)["workloads"][0]


def _without_issuer(said: dict[str, Any]) -> None:
    said.pop("issuer")
    for each in (*said["endpoints"], *said["gateways"]):
        if each.get("target", "") != "bedrock":
            each["certificate_secret"] = "own"
    said["trust"][0].pop("issuer", None)
    for each in said["identities"]:
        each["certificate_secret"] = "own"


def test_what_impact_and_review_ask_for_is_held_as_the_platform_says() -> None:
    made = overrides.validate(data()).gateways[0]
    assert made.reviews is not None
    assert (made.reviews.user, made.reviews.replicas, made.reviews.keep_days) == ("reviews", 2, 7)
    assert made.workloads[0].asks_for_people


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda d: gateway(d).pop("reviews"),
            "whose impact is high, and gateway restricted-fra1 holds no answers for people",
        ),
        (
            lambda d: gateway(d).pop("reviews") and workload(d).update(impact="material"),
            "whose impact is material, and gateway restricted-fra1 holds no answers",
        ),
        (
            lambda d: workload(d, 2).update(review={"domain": "hr"}),
            "answers of policy-assistant, as its review",
        ),
        (lambda d: gateway(d)["reviews"].update(user="gateway"), "would decide upon its own answers"),
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
            "c.bank would be erika@bank and max@bank",
        ),
    ],
)
def test_what_would_give_answers_out_unseen_is_answered_with_no(change: Change, says: str) -> None:
    assert says in refused(Refused, change, data())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: gateway(d).pop("database"), "has no database to hold them in"),
        (lambda d: gateway(d)["reviews"].pop("gateway_keys_volume"), "no volume is named for the keys"),
        (
            lambda d: gateway(d)["audit"].update(
                content={"volume": "keys", "days": {"transaction-narratives": 9}}
            ),
            "have one folder of keys",
        ),
        (lambda d: gateway(d)["reviews"].pop("from_namespaces"), "nobody could reach the reviews"),
        (_without_issuer, "reviews.certificate_secret: there is no certificate issuer"),
        (lambda d: gateway(d)["reviews"].update(from_cidrs=["10.40.0.1/16"]), "is not a network"),
        (lambda d: gateway(d)["reviews"].update(decide_h=100, escalated_h=100), "deleted before decide_h"),
        (lambda d: workload(d)["review"].pop("below_confidence"), "nobody says which score is low"),
        (
            lambda d: gateway(d)["reviews"].update(
                reviewers=[{"name": "erika@bank", "client": "c.bank", "workloads": ["kyc"]}]
            ),
            "restricted-fra1 serves no workload kyc",
        ),
        (
            lambda d: gateway(d)["reviews"].update(reviewers=[{"name": "erika@bank", "client": "*.bank"}]),
            "is no name of a client's certificate",
        ),
        (
            lambda d: gateway(d)["reviews"].update(reviewers=[{"name": "Erika", "client": "c.bank"}]),
            "a person's name in lower case",
        ),
        (lambda d: gateway(d)["reviews"].pop("records_volume"), "name no volume for their records"),
        (lambda d: gateway(d)["reviews"].update(keys_volume="records-restricted"), "one binds to one claim"),
        (
            lambda d: gateway(d)["reviews"].update(records_volume="records-confidential"),
            "one binds to one claim",
        ),
        (lambda d: workload(d).update(reviewed_by="claims-desk"), "its own gateway can hold its answers"),
        (
            lambda d: workload(d).update(calibrations=[{**CALIBRATION, "text": "{}"}]),
            "is another file than the one stated",
        ),
        (lambda d: workload(d).update(calibrations=[CALIBRATION, CALIBRATION]), "two calibrations"),
        (
            lambda d: workload(d).update(calibrations=[{**CALIBRATION, "file": "a/../../b.json"}]),
            "leads out of the stack's folder",
        ),
        (lambda d: workload(d, 1).update(calibrations=[CALIBRATION]), "no domain in which they would count"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(change: Change, says: str) -> None:
    assert says in refused(InputError, change, data())


def test_confidential_answers_are_kept_thirty_days_at_most() -> None:
    def longer(said: dict[str, Any]) -> None:
        gateway(said, 1).update(
            database={"host": "p.bank.example", "address": "10.40.0.22"},
            reviews={**REVIEWS, "records_volume": "a", "keys_volume": "b", "gateway_keys_volume": "c"},
        )
        gateway(said, 1)["reviews"]["keep_days"] = 31
        workload(said, 1)["review"] = dict(REVIEW)

    assert "confidential are kept at most 30 days" in refused(Refused, longer, data())


def test_limits_are_those_of_the_edge_and_of_handling() -> None:
    known = {held: days for held, days in edge.KEEP_DAYS.items() if days is not None}
    assert known == platform_reviews.KEEP_DAYS
    assert set(platform_reviews.SCORED) == {
        held for held in SENSITIVITIES if handling.of(held).review_low_confidence
    }


def test_a_gateway_on_fargate_serves_nothing_of_high_impact_whoever_says_that_he_looks_at_it() -> None:
    def weighty(said: dict[str, Any]) -> None:
        workload(said).update(impact="high", review=dict(REVIEW), reviewed_by="claims-desk")

    assert "on Fargate can hold no answers for people" in refused(Refused, weighty, cloud())


def test_on_fargate_somebody_is_named_for_what_people_must_see_else_it_is_refused() -> None:
    said = cloud()
    workload(said)["impact"] = "material"
    workload(said)["reviewed_by"] = "claims-desk"
    assert overrides.validate(said).gateways[0].workloads[0].reviewed_by == "claims-desk"
    assert "or name who sees to it instead" in refused(
        Refused, lambda d: workload(d).pop("reviewed_by"), said
    )
    with pytest.raises(InputError, match="nobody asks for people"):
        overrides.validate({**said, "gateways": [_named(said)]})


def _named(said: dict[str, Any]) -> dict[str, Any]:
    gate = said["gateways"][0]
    return {**gate, "workloads": [{**gate["workloads"][0], "impact": "low", "reviewed_by": "claims-desk"}]}


def test_no_answers_are_held_on_fargate() -> None:
    said = cloud()
    gateway(said)["reviews"] = {**REVIEWS, "from_namespaces": ["reviewers"]}
    assert "runs on Fargate, where no answers are held" in refused(InputError, lambda _: None, said)


def test_in_a_cluster_in_aws_answers_of_high_impact_are_held_and_scored() -> None:
    said = private.reviewed()
    workload(said)["calibrations"] = [CALIBRATION]
    made = overrides.validate(said).gateways[0]
    assert made.reviews is not None
    assert (made.reviews.user, made.reviews.records_volume) == ("reviews", None)
    assert (made.workloads[0].impact, made.workloads[0].calibrations[0].text) == ("high", TEXT)


def test_in_a_cluster_in_aws_what_is_not_held_is_refused_unless_somebody_else_is_named_for_it() -> None:
    said = private.reviewed()
    del gateway(said)["reviews"]
    says = "whose impact is high, and gateway confidential-frankfurt holds no answers for people"
    assert says in refused(Refused, lambda _: None, said)
    named = refused(Refused, lambda d: workload(d).update(reviewed_by="claims-desk"), said)
    assert says in named, "nobody is enough for high impact"
    assert "or name who sees to it instead" not in named
    workload(said)["impact"] = "material"
    assert overrides.validate(said).gateways[0].workloads[0].reviewed_by == "claims-desk"
    assert "or name who sees to it instead" in refused(
        Refused, lambda d: workload(d).pop("reviewed_by"), said
    )


def test_in_a_cluster_in_aws_answers_are_held_or_seen_elsewhere_and_not_both() -> None:
    def both(said: dict[str, Any]) -> None:
        workload(said).update(impact="material", reviewed_by="claims-desk")

    says = refused(InputError, both, private.reviewed())
    assert "its own gateway holds its answers" in says
    assert "take the gateway's `reviews` out" in says


def own_share(said: dict[str, Any], **more: Any) -> dict[str, Any]:
    gateway(said)["audit"] |= {"volume": "records", "sealer_volume": "records-sealer"}
    gateway(said)["reviews"] |= more
    return said


def test_in_a_cluster_in_aws_records_of_those_who_decide_lie_on_the_share_of_the_gateways() -> None:
    made = overrides.validate(own_share(private.reviewed(), records_volume="records-reviews")).gateways[0]
    assert made.reviews is not None
    assert made.reviews.records_volume == "records-reviews"
    assert "name no volume for their records" in refused(
        InputError, lambda _: None, own_share(private.reviewed())
    )
    assert "one binds to one claim" in refused(
        InputError, lambda _: None, own_share(private.reviewed(), records_volume="records-sealer")
    )
    assert "is made here, and a volume of another is named" in refused(
        InputError, lambda _: None, private.reviewed(records_volume="records-reviews")
    )


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda d: gateway(d).pop("database"), InputError, "has no database to hold them in"),
        (lambda d: gateway(d)["reviews"].pop("gateway_keys_volume"), InputError, "no volume is named"),
        (
            lambda d: gateway(d)["reviews"].pop("from_namespaces"),
            InputError,
            "nobody could reach the reviews",
        ),
        (lambda d: gateway(d)["reviews"].update(user="gateway"), Refused, "decide upon its own answers"),
        (lambda d: gateway(d)["reviews"].update(keep_days=31), Refused, "kept at most 30 days"),
        (
            lambda d: gateway(d)["reviews"].update(from_cidrs=["10.81.0.0/16"]),
            Refused,
            "outside the sites' own networks",
        ),
    ],
)
def test_in_a_cluster_in_aws_held_answers_take_what_they_take_on_prem(
    change: Change, error: type[Exception], says: str
) -> None:
    assert says in refused(error, change, private.reviewed())  # type: ignore[arg-type]
