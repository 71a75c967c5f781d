"""The handling table: classes of data, regimes that tighten it, and organisations' tables that may only be stricter."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.reference import handling
from isthmus.contracts.reference.handling import HANDLING, Exception_
from isthmus.contracts.vocabulary import SENSITIVITIES, TARGETS, Sensitivity, Target
from isthmus.core.errors import InputError, Refused


@pytest.mark.parametrize("class_", SENSITIVITIES)
def test_the_table_is_valid_by_its_own_contract(class_: Sensitivity):
    assert handling.Handling.model_validate(HANDLING[class_].model_dump(by_alias=True)) == HANDLING[class_]


def test_a_more_sensitive_class_may_never_run_in_more_places_than_a_less_sensitive_one():
    for looser, stricter in itertools.pairwise(SENSITIVITIES):
        assert set(handling.allowed_targets(stricter)) <= set(handling.allowed_targets(looser))
        assert HANDLING[stricter].records_months_min >= HANDLING[looser].records_months_min
        assert HANDLING[stricter].approvers >= HANDLING[looser].approvers


def test_the_handling_table_equals_the_design():
    assert handling.allowed_targets("restricted") == ("onprem-vllm",)
    assert handling.allowed_targets("confidential") == ("onprem-vllm", "eks-vllm", "sagemaker")
    assert [HANDLING[class_].records_months_min for class_ in SENSITIVITIES] == [6, 12, 12, 60]
    assert [HANDLING[class_].content_days_max for class_ in SENSITIVITIES] == [0, 0, 30, None]
    assert [handling.may_use_aws(class_) for class_ in SENSITIVITIES] == [True, True, True, False]
    assert [HANDLING[class_].corrections_exported for class_ in SENSITIVITIES] == [True, True, True, False]
    assert [HANDLING[class_].usage_by_person for class_ in SENSITIVITIES] == [True, True, True, False]
    assert HANDLING["internal"].sample_rate_min == 0.01
    assert HANDLING["restricted"].approvers == 2
    assert HANDLING["restricted"].content_on_prem


def test_an_unknown_class_may_run_nowhere():
    with pytest.raises(InputError, match="Did you mean `restricted`"):
        handling.handling_of("restrcted")


@given(st.sampled_from(SENSITIVITIES), st.sampled_from(TARGETS))
def test_a_class_runs_only_where_the_table_allows(class_: Sensitivity, target: Target):
    refusal = handling.refusal(class_, target, ["w"], today="2026-01-01")
    assert (refusal is None) == (target in handling.allowed_targets(class_))


def test_an_exception_allows_bedrock_for_its_workload_until_its_end_date():
    exception = Exception_(workload="w", target="bedrock", who="CISO", reason="pilot", until="2026-06-30")
    assert handling.refusal("confidential", "bedrock", ["w"], [exception], "2026-06-30") is None
    assert "none for w is valid on 2026-07-01" in (
        handling.refusal("confidential", "bedrock", ["w"], [exception], "2026-07-01") or ""
    )
    assert "none for v" in (
        handling.refusal("confidential", "bedrock", ["w", "v"], [exception], "2026-06-30") or ""
    )
    assert handling.refusal("confidential", "bedrock", [], [exception], "2026-06-30") is not None
    assert handling.refusal("restricted", "bedrock", ["w"], [exception], "2026-06-30") is not None


REGIMES: list[tuple[str, dict[str, Any]]] = [
    ("pci-dss", {"records_months_min": 12, "records_at_hand_months": 3, "card_authentication_kept": False}),
    ("hipaa", {"records_months_min": 72}),
    ("amlr", {"records_months_min": 60, "records_months_max": 60}),
    ("ai-act-high-risk", {"records_months_min": 6}),
    ("gdpr", {"erasable": True}),
    ("dora", {"exit_plan": True, "provider_register": True}),
]


@pytest.mark.parametrize(("regime", "adds"), REGIMES)
def test_every_regime_applies_its_minimums_and_maximums(regime: str, adds: dict[str, Any]):
    laid = handling.overlay("public", [regime])
    assert {key: getattr(laid, key) for key in adds} == adds


@given(st.sampled_from(SENSITIVITIES), st.lists(st.sampled_from(sorted(handling.REGIMES)), unique=True))
def test_a_regime_never_loosens_a_class(class_: Sensitivity, regimes: list[str]):
    try:
        laid = handling.overlay(class_, regimes)
    except InputError:
        assert {"hipaa", "amlr"} <= set(regimes)
        return
    assert laid.records_months_min >= HANDLING[class_].records_months_min
    assert laid.erasable >= HANDLING[class_].erasable
    assert laid == handling.overlay(class_, list(reversed(regimes)))


def test_regimes_that_contradict_each_other_are_an_error():
    with pytest.raises(InputError, match="both cannot hold"):
        handling.overlay("internal", ["gdpr", "hipaa", "amlr"])


def test_an_unknown_regime_is_an_error():
    with pytest.raises(InputError, match="Did you mean `gdpr`"):
        handling.overlay("internal", ["gdrp"])


LOOSER: list[tuple[Sensitivity, str, Any]] = [
    ("restricted", "targets", ["onprem-vllm", "eks-vllm"]),
    ("confidential", "by_exception", ["bedrock", "sagemaker"]),
    ("internal", "path", "tls"),
    ("internal", "profiles_may_leave", True),
    ("confidential", "own_keys", False),
    ("internal", "redacted", ["logs"]),
    ("internal", "records_months_min", 6),
    ("confidential", "content_days_max", 31),
    ("confidential", "content_days_max", None),
    ("restricted", "content_on_prem", False),
    ("internal", "sample_rate_min", 0),
    ("restricted", "approvers", 1),
]


@pytest.mark.parametrize(("class_", "field", "value"), LOOSER)
def test_a_looser_table_is_refused_with_the_field(class_: Sensitivity, field: str, value: Any):
    with pytest.raises(Refused) as caught:
        handling.stricter_only({class_: {field: value}})
    assert caught.value.where == f"handling.{class_}.{field}"


def test_a_stricter_table_is_accepted_and_leaves_other_classes_unchanged():
    table = handling.stricter_only({"internal": {"targets": ["onprem-vllm"], "records_months_min": 24}})
    assert table["internal"].targets == ["onprem-vllm"]
    assert table["internal"].records_months_min == 24
    assert table["public"] == HANDLING["public"]
    assert HANDLING["internal"].records_months_min == 12


def test_an_unknown_field_or_value_is_invalid_input():
    with pytest.raises(InputError, match="Did you mean `records_months_min`"):
        handling.stricter_only({"internal": {"records_month_min": 24}})
    with pytest.raises(InputError, match=r"handling\.internal\.targets"):
        handling.stricter_only({"internal": {"targets": ["onprem"]}})


def test_an_exception_without_a_stated_day_is_judged_by_today():
    def refusal(until: str) -> str | None:
        exception = Exception_(workload="w", target="bedrock", who="CISO", reason="pilot", until=until)
        return handling.refusal("confidential", "bedrock", ["w"], [exception])

    assert refusal("2999-01-01") is None
    assert "by a recorded exception only" in (refusal("2000-01-01") or "")


def test_an_exception_of_another_workload_opens_nothing():
    exception = Exception_(workload="v", target="bedrock", who="CISO", reason="pilot", until="2999-01-01")
    assert handling.refusal("confidential", "bedrock", ["w"], [exception]) is not None
    assert handling.refusal("confidential", "eks-vllm", ["w"], []) is None


def test_a_refusal_follows_the_organisations_handling():
    stricter = handling.stricter_only({"internal": {"targets": ["onprem-vllm"]}})["internal"]
    assert handling.refusal("internal", "bedrock") is None
    assert handling.refusal("internal", "bedrock", handling=stricter) is not None


def test_regimes_are_laid_over_the_organisations_handling():
    base = HANDLING["internal"].model_copy(
        update={"records_months_min": 24, "records_months_max": 48, "records_at_hand_months": 6}
    )
    laid = handling.overlay("internal", ["pci-dss", "gdpr"], base)
    assert (laid.records_months_min, laid.records_months_max, laid.records_at_hand_months) == (24, 48, 6)
    shorter = base.model_copy(update={"records_months_max": 72})
    assert handling.overlay("internal", ["amlr"], shorter).records_months_max == 60
    with pytest.raises(
        InputError, match="amlr must keep records for at least 60 months, class internal at most 48"
    ):
        handling.overlay("internal", ["amlr"], base)


def test_a_conflict_names_the_source_that_came_first_where_two_are_equal():
    base = HANDLING["internal"].model_copy(update={"records_months_min": 60, "records_months_max": 48})
    with pytest.raises(InputError, match="class internal must keep records for at least 60 months"):
        handling.overlay("internal", ["amlr"], base)
    longest = HANDLING["internal"].model_copy(update={"records_months_max": 60})
    with pytest.raises(InputError, match="72 months, class internal at most 60"):
        handling.overlay("internal", ["amlr", "hipaa"], longest)


ORDERED: list[tuple[str, Any, Any]] = [
    *(
        (key, 3, 2)
        for key in ("records_months_min", "records_at_hand_months", "sample_rate_min", "approvers")
    ),
    *((key, 30, 31) for key in ("records_months_max", "content_days_max")),
    *((key, 30, None) for key in ("records_months_max", "content_days_max")),
    *((key, True, False) for key in ("own_keys", "content_encrypted", "content_on_prem", "erasable")),
    *((key, True, False) for key in ("review_low_confidence", "exit_plan", "provider_register")),
    *((key, False, True) for key in ("profiles_may_leave", "card_authentication_kept")),
    *((key, ["onprem-vllm"], ["onprem-vllm", "bedrock"]) for key in ("targets", "by_exception")),
    ("redacted", ["logs", "traces"], ["logs"]),
    ("path", "mutual-tls", "tls"),
]
"""Field, a value, and a looser value."""


@pytest.mark.parametrize(("key", "stricter", "looser"), ORDERED)
def test_a_value_is_looser_than_a_stricter_one_and_never_than_itself(key: str, stricter: Any, looser: Any):
    assert handling.looser(key, stricter, looser)
    assert not handling.looser(key, looser, stricter)
    assert not handling.looser(key, stricter, stricter)
    assert not handling.looser(key, looser, looser)


def test_a_table_that_repeats_the_default_is_accepted():
    fields = HANDLING["confidential"].model_dump(by_alias=True)
    del fields["class"]
    assert handling.stricter_only({"confidential": fields}) == HANDLING


def test_a_table_cannot_rename_a_class():
    with pytest.raises(InputError, match="unknown key `class`"):
        handling.stricter_only({"internal": {"class": "public"}})
