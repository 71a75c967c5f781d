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
    write,
)

KYC = "kyc-extraction"


def of(gateway: str, **said: Any) -> dict[str, Any]:
    return {"gateways": [{"name": gateway, **said}]}


def workload(**said: Any) -> dict[str, Any]:
    return of("confidential-fra1", workloads=[{"name": KYC, **said}])


def test_impact_and_review_are_the_requirements_and_where_they_ask_answers_are_held() -> None:
    made = {each.name: each for each in platform().gateways}
    wanted = {each["name"]: each for each in requirements_data()["workloads"]}
    for gateway in made.values():
        for each in gateway.workloads:
            asked = wanted[each.name]
            assert (each.impact, each.review is not None) == (asked["impact"], "review" in asked)
            assert (gateway.reviews is not None) == each.asks_for_people, gateway.name
    assert made["public-fra1"].reviews is None
    review = made["restricted-fra1"].workloads[0].review
    assert review is not None
    assert review.model_dump() == wanted["transaction-narratives"]["review"]


@pytest.mark.parametrize(
    ("review", "says"),
    [
        ({"domain": "onboarding", "below_confidence": 0.1, "sample_rate": 0.02}, "below_confidence: 0.1"),
        ({"sample_rate": 0.0}, "sample_rate: 0.0"),
        ({"domain": "nobody"}, "domain: nobody"),
    ],
)
def test_an_override_cannot_say_what_is_reviewed(review: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=f"the review is .*{says}.* in the requirements"):
        platform(**workload(review=review))


def test_an_override_that_takes_the_reviews_away_is_answered_with_no() -> None:
    given = overrides()
    next(each for each in given["gateways"] if each["name"] == "restricted-fra1")["reviews"] = None
    with pytest.raises(Refused, match="impact is high, and gateway restricted-fra1 holds no answers"):
        assembled(given)


def test_where_answers_are_held_and_from_where_they_are_seen_only_the_organisation_knows() -> None:
    given = overrides()
    given.pop("gateways")
    with pytest.raises(InputError) as error:
        assembled(given)
    for path in ("database.host", "database.address", "reviews.from_namespaces"):
        assert f"`gateways[restricted-fra1].{path}`" in error.value.what


def test_no_gateway_holds_what_nobody_asks_to_see(tmp_path: Path) -> None:
    data = requirements_data()
    (assistant,) = [each for each in data["workloads"] if each["name"] == "policy-assistant"]
    assistant.pop("review")
    write(tmp_path, data, plan_data())
    given = overrides()
    (internal,) = [each for each in given["gateways"] if each["name"] == "internal-fra1"]
    del internal["reviews"], internal["database"]
    made = assembled(given, tmp_path)
    assert {each.name for each in made.gateways if each.reviews is not None} == {
        "restricted-fra1",
        "confidential-fra1",
    }


def calibrated(folder: Path, **more: Any) -> dict[str, Any]:
    """The bank's files in a folder with a calibration beside them; overrides that name it."""
    for part in ("requirements", "plan"):
        shutil.copy(STACKS / f"{STACK}.{part}.yaml", folder)
    said = {"isthmus_calibration": 1, "domain": "onboarding", "model_digest": "sha256:" + "1" * 64, **more}
    (folder / "calibrations").mkdir(exist_ok=True)
    file = folder / "calibrations" / "llama.json"
    file.write_bytes((json.dumps(said, ensure_ascii=False) + "\n").encode())
    digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    named = {"name": "llama", "file": "calibrations/llama.json", "digest": digest}
    return merge(overrides(), workload(calibrations=[named]))


def test_a_calibration_is_read_from_beside_the_stacks_files_to_the_byte(tmp_path: Path) -> None:
    given = calibrated(tmp_path, note="für die Bank")
    before = copy.deepcopy(given)
    made = next(each for each in assembled(given, tmp_path).gateways if each.name == "confidential-fra1")
    (found,) = made.workloads[0].calibrations
    assert found.text is not None
    assert found.text.encode() == (tmp_path / found.file).read_bytes()
    assert given == before, "the overrides stay the caller's"


def test_a_calibration_that_changed_since_it_was_stated_is_refused(tmp_path: Path) -> None:
    given = calibrated(tmp_path)
    assembled(given, tmp_path)
    file = tmp_path / "calibrations" / "llama.json"
    file.write_text(file.read_text().replace("onboarding", "onboarding "))
    os.utime(file, ns=(1, 1))
    with pytest.raises(InputError):
        assembled(given, tmp_path)
    file.write_text(file.read_text().replace("onboarding ", "onboarding") + " ")
    with pytest.raises(InputError, match="is another file than the one stated"):
        assembled(given, tmp_path)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"domain": "payments"}, "was calibrated in domain payments, and the workload's is onboarding"),
        ({"isthmus_calibration": 2}, "is no file of `isthmus calibrate`"),
        ({"model_digest": None}, "names no weights"),
    ],
)
def test_a_calibration_that_no_gateway_would_use_is_refused(
    tmp_path: Path, more: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says) as error:
        assembled(calibrated(tmp_path, **more), tmp_path)
    assert f"gateways[confidential-fra1].workloads[{KYC}].calibrations[llama]" in error.value.where


def test_a_calibration_that_is_not_there_is_named_with_what_makes_it(tmp_path: Path) -> None:
    given = calibrated(tmp_path)
    (tmp_path / "calibrations" / "llama.json").unlink()
    with pytest.raises(InputError, match=r"llama.json cannot be read: .*isthmus calibrate"):
        assembled(given, tmp_path)
