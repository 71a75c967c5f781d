"""Answers of the user about interrupted creations, by name or by URN."""

from __future__ import annotations

import pytest

from isthmus.cli.answering import parse_answers
from isthmus.core.errors import InputError

URN = "urn:pulumi:bank-dev::isthmus::isthmus:index:SiteLink$aws:ec2/vpc:Vpc::bank-vpc"
OTHER = "urn:pulumi:bank-dev::isthmus::aws:ec2/internetGateway:InternetGateway::bank-vpc"


def test_answers_are_accepted_by_name_or_urn_with_an_id():
    parsed = parse_answers(["bucket=b=1", f"{URN}=vpc-0a"], ["key", OTHER])
    assert parsed.made == {"bucket": "b=1", URN: "vpc-0a"}
    assert parsed.not_made == {"key", OTHER}


@pytest.mark.parametrize(
    ("made_name", "not_made"), [("bank-vpc", "bank-vpc"), (URN, URN), (URN, "bank-vpc"), ("bank-vpc", URN)]
)
def test_contradictory_answers_are_refused(made_name: str, not_made: str):
    with pytest.raises(InputError, match="in both --made and --not-made") as refused:
        parse_answers([f"{made_name}=vpc-0a"], ["key", not_made])
    assert refused.value.fix
    assert not_made in str(refused.value)


def test_two_different_ids_of_one_creation_are_refused():
    with pytest.raises(InputError, match="has two ids in --made"):
        parse_answers(["bank-vpc=vpc-0a", "bank-vpc=vpc-0b"], None)
    assert parse_answers(["bank-vpc=vpc-0a", "bank-vpc=vpc-0a"], None).made == {"bank-vpc": "vpc-0a"}


@pytest.mark.parametrize("argument", ["bank-vpc", "=vpc-0a", "bank-vpc="])
def test_an_answer_without_name_and_id_is_refused(argument: str):
    with pytest.raises(InputError, match="does not have the form NAME=ID"):
        parse_answers([argument], None)
