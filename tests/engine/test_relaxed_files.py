"""Changes that loosen rules, requirements or classes are reported, and told apart from stricter ones."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from isthmus.contracts.plan.document import Plan
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reference import handling
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.requirements.document import Requirements, parse
from isthmus.core import yaml_documents
from isthmus.engine.pull_request import relaxed_files, relaxed_rules
from policies.release.change import ITSELF, UNJUDGED
from tests.blueprints import bank

TODAY = date(2026, 11, 26)
Edit = Callable[[Any], object]
Told = list[tuple[str, str, bool]]


@functools.cache
def bank_files() -> tuple[dict[str, Any], dict[str, Any]]:
    return bank.requirements_data(), bank.plan_data()


def files(edit: Edit = lambda _: None, replan: Edit = lambda _: None) -> tuple[Requirements, Plan]:
    requirements, plan = copy.deepcopy(bank_files())
    edit(requirements)
    replan(plan)
    return parse(yaml_documents.Document(requirements)), Plan.model_validate_json(json.dumps(plan))


def kinds_of(changes: Any) -> Told:
    return [(change.kind, change.what, change.loosens) for change in changes]


def both_ways(edit: Edit) -> tuple[list[RuleChange], list[RuleChange]]:
    """A change of the requirements, and the one that takes it back."""
    before, after = files(), files(edit)
    return list(relaxed_files.file_changes(before, after)), list(relaxed_files.file_changes(after, before))


def work(workload: str, **fields: Any) -> Edit:
    def edit(requirements: Any) -> None:
        (chosen_workload,) = [
            candidate for candidate in requirements["workloads"] if candidate["name"] == workload
        ]
        for key, value in fields.items():
            if value is None:
                chosen_workload.pop(key, None)
            else:
                chosen_workload[key] = value

    return edit


def site(name: str, **fields: Any) -> Edit:
    def edit(requirements: Any) -> None:
        (site,) = [candidate for candidate in requirements["sites"] if candidate["name"] == name]
        site.update(fields)

    return edit


def exception(until: str) -> Edit:
    exception = {
        "workload": "kyc-extraction",
        "target": "bedrock",
        "who": "ana",
        "reason": "trial",
        "until": until,
    }
    return lambda requirements: requirements.update(exceptions=[exception])


def test_unchanged_settings_are_not_reported():
    assert list(relaxed_files.file_changes(files(), files())) == []
    assert list(relaxed_rules.settings_changes(Settings(), Settings(), TODAY)) == []


REVIEW = {"domain": "financial-crime", "below_confidence": 0.5, "sample_rate": 0.05}


@pytest.mark.parametrize(
    ("edit", "message", "old", "new"),
    [
        (work("transaction-narratives", sensitivity="internal"), "transaction-narratives", "restricted", "internal"),
        (work("kyc-extraction", residency=["eu", "us"]), "kyc-extraction: residency", "eu", "eu, us"),
        (work("kyc-extraction", residency=["eea"]), "kyc-extraction: residency", "eu", "eea"),
        (work("kyc-extraction", residency=None), "kyc-extraction: residency", "eu", "any"),
        (work("transaction-narratives", regimes=["gdpr"]), "transaction-narratives: regimes", "amlr, gdpr", "gdpr"),
        (work("kyc-extraction", impact="low"), "kyc-extraction: impact", "material", "low"),
        (work("kyc-extraction", allow_overflow=True), "kyc-extraction: allow_overflow", "no", "yes"),
        (
            work("transaction-narratives", review=REVIEW),
            "transaction-narratives: review.below_confidence",
            "0.8",
            "0.5",
        ),
        (exception("2027-03-31"), "kyc-extraction: bedrock by exception", "", "until 2027-03-31 by ana: trial"),
    ],
)  # fmt: skip
def test_a_loosened_requirement_is_reported_and_counts_as_stricter_when_reverted(
    edit: Edit, message: str, old: str, new: str
):
    (loosened,), (back,) = both_ways(edit)
    assert (loosened.what, loosened.old, loosened.new, loosened.loosens) == (message, old, new, True)
    assert (back.what, back.old, back.new, back.loosens) == (message, new, old, False)


def test_a_removed_review_counts_as_loosened_in_every_value():
    loosened, back = both_ways(work("kyc-extraction", review=None))
    assert [change.what.rpartition(".")[2] for change in loosened] == [
        "below_confidence",
        "domain",
        "sample_rate",
    ]
    assert all(change.loosens for change in loosened)
    assert not any(change.loosens for change in back)


def test_a_changed_jurisdiction_of_a_site_counts_as_loosened_in_both_directions():
    loosened, back = both_ways(site("fra1", jurisdiction="us"))
    assert [change for change in kinds_of(loosened) if change[0] == "handling"] == [
        ("handling", "site fra1", True)
    ]
    assert ("handling", "site fra1", True) in kinds_of(back)
    assert (loosened[0].old, loosened[0].new) == ("on-prem in de", "on-prem in us")


def test_an_allowed_service_is_reported():
    less = files(site("frankfurt", allow=["bedrock"]))
    assert kinds_of(relaxed_files.file_changes(less, files())) == [
        ("handling", "site frankfurt: allow", True)
    ]
    assert kinds_of(relaxed_files.file_changes(files(), less)) == [
        ("handling", "site frankfurt: allow", False)
    ]


def test_a_longer_exception_counts_as_loosened_and_a_shorter_one_does_not():
    short, long = files(exception("2026-12-31")), files(exception("2027-12-31"))
    assert [of_file.loosens for of_file in relaxed_files.file_changes(short, long)] == [True]
    assert [of_file.loosens for of_file in relaxed_files.file_changes(long, short)] == [False]


def test_renamed_work_with_a_lower_class_is_reported():
    loosened, _ = both_ways(work("transaction-narratives", name="tx", sensitivity="internal"))
    assert kinds_of(loosened) == [
        ("sensitivity", "transaction-narratives", False),
        ("sensitivity", "tx, maybe under another name", True),
    ]
    assert loosened[1].old == "restricted as transaction-narratives, which goes"


def test_added_and_removed_workloads_do_not_count_as_loosened():
    def more(requirements: Any) -> None:
        requirements["workloads"].append({**copy.deepcopy(requirements["workloads"][3]), "name": "more"})

    loosened, back = both_ways(more)
    assert kinds_of(loosened) == [("sensitivity", "more", False)] == kinds_of(back)


def test_a_stack_in_one_commit_only_reports_its_workloads_and_exceptions():
    assert {of_file.loosens for of_file in relaxed_files.file_changes(None, files())} == {False}
    (last,) = [
        of_file
        for of_file in relaxed_files.file_changes(None, files(exception("2027-01-01")))
        if of_file.loosens
    ]
    assert last.what == "kyc-extraction: bedrock by exception"


def place(plan: Any, workload: str, **fields: Any) -> None:
    (placement,) = [placement for placement in plan["placements"] if placement["workload"] == workload]
    (endpoint,) = [endpoint for endpoint in plan["endpoints"] if endpoint["id"] == placement["endpoint"]]
    endpoint.update(fields)


@pytest.mark.parametrize(
    ("fields", "loosens"),
    [
        ({"site": "fra1", "target": "onprem-vllm", "inference_profile": None}, False),
        ({"target": "sagemaker", "inference_profile": None}, False),
        ({"inference_profile": "global.anthropic.claude-haiku-4-5-20251001-v1:0"}, True),
        ({"inference_profile": "us.anthropic.claude-haiku-4-5-20251001-v1:0", "region": "us-east-1"}, True),
        ({"inference_profile": "nobody.knows"}, True),
    ],
)
def test_a_moved_placement_is_reported_with_its_change_of_protection(fields: Any, loosens: bool):
    moved = files(replan=lambda plan: place(plan, "policy-assistant", **fields))
    (of_file,) = relaxed_files.file_changes(files(), moved)
    assert (of_file.kind, of_file.what, of_file.loosens) == ("placement", "policy-assistant", loosens)
    assert of_file.old == "bedrock at frankfurt (de es fr ie it se)"


def test_a_move_from_on_prem_to_a_cloud_counts_as_loosened():
    cloud = {"site": "frankfurt", "target": "sagemaker"}
    (of_file,) = relaxed_files.file_changes(
        files(), files(replan=lambda plan: place(plan, "kyc-extraction", **cloud))
    )
    assert (of_file.old, of_file.new, of_file.loosens) == (
        "onprem-vllm at fra1 (de)",
        "sagemaker at frankfurt (de)",
        True,
    )


def table(**demands: Any) -> dict[str, Any]:
    stricter_only = handling.stricter_only({"confidential": demands} if demands else {})
    return {
        name: sensitivity.model_dump(mode="json", by_alias=True)
        for name, sensitivity in stricter_only.items()
    }


@pytest.mark.parametrize(
    ("demands", "message"),
    [
        ({"targets": ["onprem-vllm"]}, "confidential.targets"),
        ({"records_months_min": 24}, "confidential.records_months_min"),
        ({"content_days_max": 7}, "confidential.content_days_max"),
        ({"path": "mutual-tls-named-destinations"}, "confidential.path"),
        ({"erasable": True}, "confidential.erasable"),
    ],
)
def test_changed_handling_of_a_class_is_reported_by_field(demands: Any, message: str):
    assert kinds_of(relaxed_files.handling_changes(table(**demands), table())) == [
        ("handling", message, True)
    ]
    assert kinds_of(relaxed_files.handling_changes(table(), table(**demands))) == [
        ("handling", message, False)
    ]
    assert list(relaxed_files.handling_changes({}, table())) == [], (
        "a commit without the stack demands nothing else"
    )


def silence(until: str, policy: str = "cost/tags", **fields: str) -> Settings:
    silence = {
        "policy": policy,
        "resource": "bank-*",
        "owner": "ana",
        "reason": "later",
        "until": until,
        **fields,
    }
    return Settings.model_validate({"silences": [silence]})


OFF = Settings.model_validate({"off": [{"rule": "audit/trail-stands", "owner": "ana", "reason": "no"}]})


def figure(**figures: Any) -> Settings:
    return Settings.model_validate({"figures": figures})


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (Settings(), silence("2027-01-01"), "cost/tags of bank-*"),
        (silence("2026-12-01"), silence("2027-01-01"), "cost/tags of bank-*"),
        (Settings(), OFF, "audit/trail-stands"),
        (figure(log_days_min=365), Settings(), "figure log_days_min"),
        (Settings(), figure(key_rotation_days_max=700), "figure key_rotation_days_max"),
        (figure(replicas_min=3), figure(replicas_min=2), "figure replicas_min"),
        (figure(registries=["a/"]), figure(registries=["a/", "b/"]), "figure registries"),
    ],
)
def test_loosened_settings_are_reported_and_count_as_stricter_when_reverted(
    before: Any, after: Any, message: str
):
    (of_setting,) = relaxed_rules.settings_changes(before, after, TODAY)
    (back,) = relaxed_rules.settings_changes(after, before, TODAY)
    assert (of_setting.what, of_setting.loosens, back.what, back.loosens) == (message, True, message, False)


def test_a_figure_of_registries_loosens_by_each_more_and_by_none_at_all():
    some = figure(registries=["a/"])
    for before, after in ((Settings(), some), (some, Settings())):
        (change,) = relaxed_rules.settings_changes(before, after, TODAY)
        assert (change.what, change.loosens) == ("figure registries", True)


def test_an_expired_silence_is_ignored_and_a_wider_one_counts_as_new():
    assert [
        of_setting.loosens
        for of_setting in relaxed_rules.settings_changes(Settings(), silence("2026-11-25"), TODAY)
    ] == [False]
    assert [
        of_setting.loosens
        for of_setting in relaxed_rules.settings_changes(Settings(), silence("2026-11-26"), TODAY)
    ] == [True]
    wider = relaxed_rules.settings_changes(silence("2027-01-01"), silence("2027-01-01", resource="*"), TODAY)
    assert kinds_of(wider) == [("silence", "cost/tags of *", True), ("silence", "cost/tags of bank-*", False)]
    owner = relaxed_rules.settings_changes(silence("2027-01-01"), silence("2027-01-01", owner="eve"), TODAY)
    assert kinds_of(owner) == [("silence", "cost/tags of bank-*", False)]


def test_removed_or_weakened_rules_are_reported():
    before, after = (
        {"a/gone": "low", "a/less": "high", "a/more": "low"},
        {"a/less": "low", "a/more": "high", "a/new": "low"},
    )
    assert kinds_of(relaxed_rules.rule_changes(before, after)) == [  # pyright: ignore[reportArgumentType]
        ("rule", "a/gone", True),
        ("rule", "a/less", True),
        ("rule", "a/more", False),
        ("rule", "a/new", False),
    ]


def test_a_change_of_policy_code_is_reported_and_counts_as_loosened():
    (change,) = relaxed_rules.code_changes([f"policies/{at}.py" for at in range(7)], judged=True)
    assert (change.what, change.loosens) == (ITSELF, True)
    assert change.new.endswith("policies/4.py and 2 more")
    (change,) = relaxed_rules.code_changes(["isthmus/x.py"], judged=False)
    assert change.what == UNJUDGED
    assert list(relaxed_rules.code_changes([], judged=False)) == []
