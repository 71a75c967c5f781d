"""What the user says of creations that could not be decided, by name or by URN."""

from __future__ import annotations

import pytest

from isthmus.cli.answering import answers
from isthmus.core.errors import InputError

URN = "urn:pulumi:bank-dev::isthmus::isthmus:index:SiteLink$aws:ec2/vpc:Vpc::bank-vpc"
OTHER = "urn:pulumi:bank-dev::isthmus::aws:ec2/internetGateway:InternetGateway::bank-vpc"


def test_names_and_urns_are_taken_with_their_ids():
    parsed = answers(["bucket=b=1", f"{URN}=vpc-0a"], ["key", OTHER])
    assert parsed.made == {"bucket": "b=1", URN: "vpc-0a"}
    assert parsed.not_made == {"key", OTHER}


@pytest.mark.parametrize(
    ("made_name", "not_made"), [("bank-vpc", "bank-vpc"), (URN, URN), (URN, "bank-vpc"), ("bank-vpc", URN)]
)
def test_what_is_said_to_be_made_and_not_made_is_refused(made_name: str, not_made: str):
    with pytest.raises(InputError, match="made and not made") as refused:
        answers([f"{made_name}=vpc-0a"], ["key", not_made])
    assert refused.value.fix
    assert not_made in str(refused.value)


def test_two_ids_of_one_thing_are_refused_and_the_same_twice_is_not():
    with pytest.raises(InputError, match="made with two ids"):
        answers(["bank-vpc=vpc-0a", "bank-vpc=vpc-0b"], None)
    assert answers(["bank-vpc=vpc-0a", "bank-vpc=vpc-0a"], None).made == {"bank-vpc": "vpc-0a"}


@pytest.mark.parametrize("argument", ["bank-vpc", "=vpc-0a", "bank-vpc="])
def test_what_is_no_name_with_an_id_is_refused(argument: str):
    with pytest.raises(InputError, match="is not NAME=ID"):
        answers([argument], None)
