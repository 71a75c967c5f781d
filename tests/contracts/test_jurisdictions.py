"""Jurisdictions: which contains which, in which one an AWS region is, and the error for unknown ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.reference import jurisdictions as j
from isthmus.core.errors import InputError

CODES = st.sampled_from(sorted(j.PARENTS))


@given(CODES, CODES, CODES)
def test_containment_of_jurisdictions_is_transitive(a: str, b: str, c: str):
    if j.is_within(a, b) and j.is_within(b, c):
        assert j.is_within(a, c)


@given(CODES, CODES)
def test_two_jurisdictions_that_contain_each_other_are_equal(a: str, b: str):
    assert (j.is_within(a, b) and j.is_within(b, a)) == (a == b)


def test_germany_is_in_the_eu_and_the_eea():
    assert j.is_within("de", "eu")
    assert j.is_within("de", "eea")
    assert not j.is_within("eu", "de")


@pytest.mark.parametrize("apart", ["uk", "ch", "us", "no", "is", "li"])
def test_countries_outside_the_eu_are_not_within_the_eu(apart: str):
    assert not j.is_within(apart, "eu")


def test_norway_is_in_the_eea_and_switzerland_is_not():
    assert j.is_within("no", "eea")
    assert not j.is_within("ch", "eea")


def test_the_eu_has_27_members():
    assert sum(parent == "eu" for parent in j.PARENTS.values()) == 27


@pytest.mark.parametrize(
    ("region", "place"),
    [("eu-central-1", "de"), ("eu-west-2", "uk"), ("eu-central-2", "ch"), ("us-east-1", "us")],
)
def test_an_aws_region_is_in_the_jurisdiction_of_its_data_centres(region: str, place: str):
    assert j.region_jurisdiction(region) == place


def test_every_aws_region_is_in_a_known_jurisdiction():
    assert set(j.AWS_REGIONS.values()) <= set(j.PARENTS)


def test_an_unknown_jurisdiction_or_region_is_refused_and_never_counts_as_within():
    with pytest.raises(InputError, match="not a known jurisdiction"):
        j.is_within("xx", "eu")
    with pytest.raises(InputError, match="not a known jurisdiction"):
        j.meets_residency("de", ["eu", "xx"])
    with pytest.raises(InputError, match="Did you mean `eu-west-1`"):
        j.region_jurisdiction("eu-west-11")


def test_a_residency_is_met_by_any_of_its_jurisdictions_and_an_empty_one_by_all():
    assert j.meets_residency("de", ["us", "eu"])
    assert not j.meets_residency("jp", ["us", "eu"])
    assert j.meets_residency("jp", [])


def test_an_unknown_code_or_region_is_refused_with_a_known_one():
    with pytest.raises(InputError) as code:
        j.check_code("eux")
    assert "Did you mean `eu`" in code.value.fix
    for refused in (lambda: j.check_code("qqqqqq"), lambda: j.region_jurisdiction("qqqqqq")):
        with pytest.raises(InputError) as caught:
            refused()
        assert caught.value.fix.startswith("Use a")
