"""What of held answers comes from the requirements, what from the organisation, and the files that score them."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.platform.overrides import merge
from isthmus.core.errors import InputError, Refused
from tests.blueprints.bank import (
    STACK,
    STACKS,
    assembled,
    overrides,
    plan_data,
    platform,
    requirements_data,
    without_teams,
    write,
)

KYC = "kyc-extraction"


def override_of(gateway: str, **fields: Any) -> dict[str, Any]:
    return {"gateways": [{"name": gateway, **fields}]}


def workload(**fields: Any) -> dict[str, Any]:
    return override_of("confidential-fra1", workloads=[{"name": KYC, **fields}])


def test_impact_and_review_come_from_the_requirements_and_cause_answers_to_be_held() -> None:
    gateways = {gateway.name: gateway for gateway in platform().gateways}
    expected = {workload["name"]: workload for workload in requirements_data()["workloads"]}
    for gateway in gateways.values():
        for workload in gateway.workloads:
            requirement = expected[workload.name]
            assert (workload.impact, workload.review is not None) == (
                requirement["impact"],
                "review" in requirement,
            )
            assert (gateway.reviews is not None) == workload.asks_for_people, gateway.name
    assert gateways["public-fra1"].reviews is None
    review = gateways["restricted-fra1"].workloads[0].review
    assert review is not None
    assert review.model_dump(exclude_none=True) == expected["transaction-narratives"]["review"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            workload(review={"domain": "onboarding", "below_confidence": 0.1, "sample_rate": 0.02}),
            "below_confidence: 0.1",
        ),
        (workload(review={"sample_rate": 0.0}), "sample_rate: 0.0"),
        (
            override_of(
                "restricted-fra1",
                workloads=[{"name": "transaction-narratives", "review": {"domain": "nobody"}}],
            ),
            "domain: nobody",
        ),
    ],
)
def test_an_override_cannot_change_review_settings(given: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=f"the review is .*{message}.* in the requirements"):
        platform(**given)


def test_an_override_that_removes_reviews_is_refused() -> None:
    overrides_given = overrides()
    next(gateway for gateway in overrides_given["gateways"] if gateway["name"] == "restricted-fra1")[
        "reviews"
    ] = None
    with pytest.raises(Refused, match="answers of workload transaction-narratives need human review"):
        assembled(overrides_given)


def test_review_settings_are_required_from_the_organisation() -> None:
    overrides_given = overrides()
    overrides_given.pop("gateways")
    with pytest.raises(InputError) as error:
        assembled(overrides_given)
    for path in ("database.host", "database.address", "reviews.from_namespaces"):
        assert f"`gateways[restricted-fra1].{path}`" in error.value.what


def test_a_gateway_holds_only_answers_that_need_review(tmp_path: Path) -> None:
    data = requirements_data()
    (assistant,) = [workload for workload in data["workloads"] if workload["name"] == "policy-assistant"]
    assistant.pop("review")
    write(tmp_path, data, plan_data())
    overrides_given = without_teams(overrides())
    (internal,) = [gateway for gateway in overrides_given["gateways"] if gateway["name"] == "internal-fra1"]
    del internal["reviews"], internal["database"]
    assembled_platform = assembled(overrides_given, tmp_path)
    assert {gateway.name for gateway in assembled_platform.gateways if gateway.reviews is not None} == {
        "restricted-fra1",
        "confidential-fra1",
    }


def calibrated(folder: Path, **more: Any) -> dict[str, Any]:
    """The bank's files in a folder with a calibration beside them; overrides that name it."""
    for part in ("requirements", "plan"):
        shutil.copy(STACKS / f"{STACK}.{part}.yaml", folder)
    calibration = {
        "isthmus_calibration": 1,
        "domain": "onboarding",
        "model_digest": "sha256:" + "1" * 64,
        **more,
    }
    (folder / "calibrations").mkdir(exist_ok=True)
    file = folder / "calibrations" / "llama.json"
    file.write_bytes((json.dumps(calibration, ensure_ascii=False) + "\n").encode())
    digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    stated_calibration = {"name": "llama", "file": "calibrations/llama.json", "digest": digest}
    return merge(overrides(), workload(calibrations=[stated_calibration]))


def test_a_calibration_file_is_read_unchanged_from_the_stacks_folder(tmp_path: Path) -> None:
    overrides_given = calibrated(tmp_path, note="für die Bank")
    before = copy.deepcopy(overrides_given)
    gateway = next(
        gateway
        for gateway in assembled(overrides_given, tmp_path).gateways
        if gateway.name == "confidential-fra1"
    )
    (calibration,) = gateway.workloads[0].calibrations
    assert calibration.text is not None
    assert calibration.text.encode() == (tmp_path / calibration.file).read_bytes()
    assert overrides_given == before, "the overrides stay the caller's"


def test_a_calibration_that_changed_after_it_was_pinned_is_refused(tmp_path: Path) -> None:
    overrides_given = calibrated(tmp_path)
    assembled(overrides_given, tmp_path)
    file = tmp_path / "calibrations" / "llama.json"
    file.write_text(file.read_text().replace("onboarding", "onboarding "))
    os.utime(file, ns=(1, 1))
    with pytest.raises(InputError):
        assembled(overrides_given, tmp_path)
    file.write_text(file.read_text().replace("onboarding ", "onboarding") + " ")
    with pytest.raises(InputError, match="the digest of `calibrations"):
        assembled(overrides_given, tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"domain": "payments"}, "was calibrated in domain 'payments', but the workload's is 'onboarding'"),
        ({"isthmus_calibration": 2}, "is not a calibration file"),
        ({"model_digest": None}, "has no `model_digest`"),
    ],
)
def test_a_calibration_that_no_gateway_would_use_is_refused(
    tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        assembled(calibrated(tmp_path, **more), tmp_path)
    assert f"gateways[confidential-fra1].workloads[{KYC}].calibrations[llama]" in error.value.where


def test_a_missing_calibration_is_named_with_the_command_that_creates_it(tmp_path: Path) -> None:
    overrides_given = calibrated(tmp_path)
    (tmp_path / "calibrations" / "llama.json").unlink()
    with pytest.raises(InputError, match=r"llama.json cannot be read: .*isthmus calibrate"):
        assembled(overrides_given, tmp_path)
