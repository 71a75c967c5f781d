"""Ids, names and amounts in a wrong format are refused before AWS would refuse them."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.core.errors import InputError
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse, refused

OTHERS = "arn:aws:iam::210987654321:policy/edge"
LONG = "a" * 250 + "@bank.example"


@pytest.mark.parametrize(
    ("part", "index", "values", "message"),
    [
        ("sites", 1, {"account_id": "12345"}, "an account's 12 digits"),
        ("sites", 1, {"account_id": "١٢٣٤٥٦٧٨٩٠١٢"}, "an account's 12 digits"),
        ("sites", 1, {"permissions_boundary": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, "none of AWS's"),
        ("sites", 1, {"permissions_boundary": "arn:aws:iam::123456789012:role/edge"}, "the ARN of a policy"),
        ("sites", 1, {"account_id": "123456789012", "permissions_boundary": OTHERS}, "is not a policy of"),
        ("identities", 0, {"permissions_boundary": "arn:aws:iam::aws:policy/Admin"}, "none of AWS's"),
        ("trust", 0, {"trust_anchor": "arn:aws:iam::123456789012:role/x"}, "a trust anchor's ARN"),
        (
            "trust",
            0,
            {"acm_pca": "arn:aws:acm:eu-central-1:123456789012:certificate/x"},
            "a private authority's",
        ),
        ("guardrails", 0, {"guardrail_id": "arn:x"}, "a guardrail's id or ARN"),
        ("guardrails", 0, {"earlier_versions": ["DRAFT"]}, "a numbered version like `3`"),
        (
            "guardrails",
            0,
            {"earlier_versions": ["1", "1"]},
            "`1` appears twice in earlier_versions, also at earlier_versions[0]",
        ),
        ("audit", 0, {"bucket": "LLM_Audit"}, "a bucket's name"),
        ("audit", 0, {"retention_days": 36501}, "36500"),
        ("trails", 0, {"retention_days": 36501}, "36500"),
        ("links", 0, {"direct_connect_gateway": "dx-0a"}, "a gateway's id like"),
        ("gateways", 2, {"certificate_secret": "Own TLS"}, "a name as Kubernetes has them"),
        ("budgets", 0, {"monthly_usd": 1e10}, "less than or equal to"),
        ("budgets", 0, {"monthly_usd": float("inf")}, "less than or equal to"),
    ],
)
def test_an_id_of_the_wrong_format_is_refused_with_an_example(
    part: str, index: int, values: dict[str, Any], message: str
):
    assert message in refused(InputError, lambda data: data[part][index].update(values))


def test_a_permissions_boundary_of_another_account_is_refused():
    def of_another_account(data: dict[str, Any]) -> None:
        data["sites"][1]["account_id"] = "123456789012"
        data["identities"][0]["permissions_boundary"] = OTHERS

    message = refused(InputError, of_another_account)
    assert message.startswith("platform identities[internal-frankfurt].permissions_boundary")
    assert f"`{OTHERS}` is not a policy of frankfurt's account 123456789012" in message


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("issuer", {"name": "Bank CA"}, "a name as Kubernetes has them"),
        ("anomalies", {"mode": "manage", "threshold_usd": 0.004}, "greater than or equal to 0.01"),
        ("contacts", {"cost": ["kosten@bänk.example"]}, "an address like `team@site.example`"),
        ("contacts", {"security": [LONG]}, "254"),
    ],
)
def test_platform_level_ids_are_refused_with_an_example(part: str, values: dict[str, Any], message: str):
    assert message in refused(InputError, lambda data: data.setdefault(part, {}).update(values))


@pytest.mark.parametrize(
    "url", ["http://s3.bank.example", "https://user:hunter2@s3.bank.example", "s3.bank.example"]
)
def test_a_store_address_needs_https_and_no_password(url: str):
    message = refused(InputError, lambda data: data["audit"][0].update(endpoint=url))
    assert message.startswith("platform audit[fra1].endpoint")
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "key", ["isthmus-stack", "isthmus.dev/class", "isthmus-platform", "Isthmus-Platform"]
)
def test_a_tag_key_that_isthmus_reserves_is_refused(key: str):
    message = refused(InputError, lambda data: data.update(tags={key: "other"}))
    assert f"the tag key `{key}` is reserved for Isthmus" in message


def test_the_tags_of_the_blueprint_are_accepted():
    tags = {"isthmus-platform": "bank", "isthmus-blueprint": "regulated-hybrid", "owner": "llm"}
    assert parse({**platform_data(), "tags": tags}).tags == tags


def test_more_tags_than_aws_has_room_for_are_refused():
    many = {f"tag-{number}": "1" for number in range(41)}
    assert "41 tags" in refused(InputError, lambda data: data.update(tags=many))


def test_two_invocation_logs_in_one_account_and_region_are_refused():
    def twice(data: dict[str, Any]) -> None:
        data["sites"][1]["account_id"] = "123456789012"
        data["sites"].append({**data["sites"][1], "name": "second", "cidrs": []})
        data["invocation_logging"].append({**data["invocation_logging"][0], "name": "two", "site": "second"})

    message = refused(InputError, twice)
    assert "the account and region of second has two invocation logs, `frankfurt`" in message
    assert message.startswith("platform invocation_logging[two]")


def test_invocation_logs_in_two_regions_are_accepted():
    data = platform_data()
    data["sites"][1]["account_id"] = "123456789012"
    data["sites"].append({**data["sites"][1], "name": "milan", "region": "eu-south-1", "cidrs": []})
    data["invocation_logging"].append({**data["invocation_logging"][0], "name": "two", "site": "milan"})
    assert len(parse(data).invocation_logging) == 2


def test_a_destination_outside_the_aws_network_is_refused():
    message = refused(InputError, lambda data: data["networks"][0].update(cidr="100.64.0.0/16"))
    assert message.startswith("platform gateways[internal-fra1].destinations[bedrock].cidr")
    assert "`10.80.0.0/16` is not within network frankfurt (`100.64" in message
