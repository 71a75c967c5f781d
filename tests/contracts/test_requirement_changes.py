"""Changes of requirements for a what-if: paths, values, and what is refused."""

from __future__ import annotations

import pytest

from isthmus.contracts.requirements import changes as requirement_changes
from isthmus.contracts.requirements import document as requirements_of
from isthmus.contracts.requirements.document import Requirements
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from isthmus.core.yaml_documents import Document
from tests.blueprints.bank import ROOT


@pytest.fixture
def document() -> Document:
    return yaml_files.load(ROOT / "stacks" / "bank-dev.requirements.yaml")


def changed(document: Document, *texts: str, scale_traffic: float = 1.0) -> Requirements:
    changes = [requirement_changes.parse_change(text) for text in texts]
    return requirement_changes.apply_changes(document, changes, scale_traffic)


def test_a_change_replaces_a_value_and_the_document_stays(document: Document):
    before = yaml_files.digest(document.data)
    requirements = changed(
        document, "budget.monthly_usd=30000", "workloads.kyc-extraction.slo.ttft_p95_ms=900"
    )
    assert requirements.budget is not None
    assert requirements.budget.monthly_usd == 30000
    workload = requirements.workload("kyc-extraction")
    assert workload is not None
    assert workload.slo.ttft_p95_ms == 900
    assert yaml_files.digest(document.data) == before
    assert requirements.digest not in ("", before)


def test_a_path_may_be_written_as_errors_print_it(document: Document):
    dots = changed(document, "workloads.kyc-extraction.survive=none")
    brackets = changed(document, "workloads[kyc-extraction].survive=none")
    index = changed(document, "workloads.1.survive=none")
    assert dots.digest == brackets.digest == index.digest


def test_names_with_dots_are_found_whole(document: Document):
    name = "meta-llama/Llama-3.1-8B-Instruct"
    requirements = changed(document, f"workloads.kyc-extraction.model.candidates.{name}.scores.fp8=0.5")
    workload = requirements.workload("kyc-extraction")
    assert workload is not None
    assert {c.id: c.scores.get("fp8") for c in workload.model.candidates}[name] == 0.5


@pytest.mark.parametrize(
    "text",
    [
        "sites.frankfurt.prices[g6e.12xlarge].usd_per_hour=9.5",
        "sites.frankfurt.prices.g6e.12xlarge={usd_per_hour: 9.5}",
    ],
)
def test_a_new_entry_of_a_free_mapping_may_have_dots(document: Document, text: str):
    site = changed(document, text).site("frankfurt")
    assert site is not None
    assert site.prices == {"g6e.12xlarge": {"usd_per_hour": 9.5}}  # type: ignore[union-attr]


def test_a_section_that_the_file_lacks_is_added(document: Document):
    assert changed(document, "commitments.max_term_months=12").commitments.max_term_months == 12


def test_values_are_yaml_and_null_removes_an_optional_one(document: Document):
    requirements = changed(document, "budget=null", "workloads.campaign-copy.residency=[eu, uk]")
    assert requirements.budget is None
    workload = requirements.workload("campaign-copy")
    assert workload is not None
    assert workload.residency == ["eu", "uk"]


def test_traffic_is_scaled_for_all_workloads_peak_and_mean(document: Document):
    base, doubled = requirements_of.parse(document), changed(document, scale_traffic=2)
    for workload in base.workloads:
        other = doubled.workload(workload.name)
        assert other is not None
        assert other.traffic.peak_rps == pytest.approx(2 * workload.traffic.peak_rps)
        assert other.traffic.mean_rps == pytest.approx(2 * workload.traffic.mean_rps)


def test_recorded_changes_give_the_same_requirements_again(document: Document):
    first = changed(document, "budget.monthly_usd=30000", scale_traffic=1.5)
    changes = [requirement_changes.parse_change("budget.monthly_usd=30000")]
    texts = requirement_changes.describe_changes(changes, 1.5)
    assert texts == ["budget.monthly_usd=30000", "scale-traffic=1.5"]
    again, factor = requirement_changes.parse_recorded(texts)
    assert requirement_changes.apply_changes(document, again, factor).digest == first.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("budget.monthly_us=3", "there is no key `monthly_us` in `budget`. Fix: Did you mean `monthly_usd`?"),
        ("bugdet.monthly_usd=3", "there is no key `bugdet`. Fix: Did you mean `budget`?"),
        (
            "workloads.kyc-extractin.survive=none",
            "`workloads` has no item `kyc-extractin`. Fix: Did you mean",
        ),
        ("workloads.campaign-copy.traffic.prompt_tokens.mean=4", "is the single value `600`"),
        ("budget", "`budget` is not a change"),
        ("=3", "`=3` is not a change"),
        ("budget..monthly_usd=3", "has an empty key"),
        ("workloads[kyc.survive=none", "is not a change"),
        ("workloads[].survive=none", "has a bracket without its pair or without a key"),
        ("budget.monthly_usd=", "has no value"),
        ("budget.monthly_usd=[", "is not YAML"),
    ],
)
def test_a_wrong_change_says_what_is_wrong(document: Document, text: str, message: str):
    with pytest.raises(InputError) as error:
        changed(document, text)
    assert message in str(error.value)
    assert error.value.where.startswith("--set")


def test_an_invalid_value_names_the_change_and_no_line_of_the_file(document: Document):
    with pytest.raises(InputError) as error:
        changed(document, "workloads.kyc-extraction.slo.ttft_p95_ms=-1")
    assert (
        "bank-dev.requirements.yaml (with workloads.kyc-extraction.slo.ttft_p95_ms=-1)" in error.value.where
    )
    assert "workloads[kyc-extraction].slo.ttft_p95_ms" in error.value.where


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf"), 1e9])
def test_a_factor_outside_its_range_is_refused(document: Document, factor: float):
    with pytest.raises(InputError, match="cannot be scaled"):
        changed(document, scale_traffic=factor)
