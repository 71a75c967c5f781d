"""The review desk in the platform: what it needs, whom it may name, and what of it loosens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isthmus.blueprints import desk_files, image_digests, missing_values
from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.deciding_fields import LOOSER
from isthmus.contracts.platform.stated_values import stated_values
from isthmus.core.errors import InputError, Refused
from tests.contracts.bank import refused
from tests.contracts.test_platform_reviews import data as reviewed

Change = Callable[[dict[str, Any]], object]
TEXT = "# Payments\nCompare each amount.\n"
DIGEST = f"sha256:{hashlib.sha256(TEXT.encode()).hexdigest()}"
GUIDELINE: dict[str, Any] = {
    **{"name": "payments", "workloads": ["transaction-narratives"]},
    **{"file": "guidelines/payments.md", "digest": DIGEST, "text": TEXT},
}

WRONG = """
answers:
  - name: wrong-payee
    request: Who was paid?
    answer: Nobody
    wrong: Muster GmbH was paid.
"""


def planted(text: str = WRONG, **more: Any) -> dict[str, Any]:
    """An entry with planted answers, whose file was read."""
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    return {"domain": "crime", "file": "planted/crime.yaml", "digest": digest, "text": text, **more}


def data() -> dict[str, Any]:
    """The bank, whose restricted answers people review at a desk."""
    platform = reviewed()
    platform["people"] = {
        "sign_on": {
            **{"issuer": "https://sso.bank.example/realms/bank", "address": "10.40.0.12"},
            **{"clients": ["reviews"], "keys": {"config_map": "sign-on-keys"}},
        }
    }
    platform["images"]["sign_on"] = platform["images"]["edge"]
    platform["gateways"][0]["reviews"]["desk"] = {
        **{"url": "https://reviews.bank.example", "from_namespaces": ["ingress"]},
        "groups": [
            {"name": "desk", "groups": ["crime-desk"], "domains": ["crime"], "role": "reviewer"},
            {"name": "audit", "groups": ["internal-audit"], "role": "auditor"},
        ],
        "reasons": [{"domain": "crime", "codes": [{"code": "wrong-amount", "label": "Wrong amount"}]}],
        "guidelines": [dict(GUIDELINE)],
        "planted": [planted()],
    }
    return platform


def desk(data: dict[str, Any]) -> dict[str, Any]:
    return data["gateways"][0]["reviews"]["desk"]


def sign_on(data: dict[str, Any]) -> dict[str, Any]:
    return data["people"]["sign_on"]


def test_a_desk_needs_no_users_of_workloads() -> None:
    checked = overrides.validate(data()).gateways[0].reviews
    assert checked is not None
    assert checked.desk is not None
    assert (checked.desk.client, checked.desk.sign_on_secret) == (None, "sign-on")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("people"), "nobody can sign on at the desk of gateway restricted-fra1"),
        (lambda d: sign_on(d).pop("address"), "a desk needs the address of the sign-on"),
        (lambda d: sign_on(d).pop("keys"), "a desk needs the keys of the sign-on"),
        (lambda d: sign_on(d).update(clients=["a", "b"]), "desk at the sign-on is not clear"),
        (lambda d: desk(d).update(client="chat"), "`chat` is no application whose tokens are accepted"),
        (lambda d: d["images"].pop("sign_on"), "a desk needs the image `sign_on`"),
        (lambda d: desk(d).pop("from_namespaces"), "nobody can reach the desk of gateway restricted-fra1"),
        (lambda d: desk(d).update(url="https://reviews.bank.example/desk"), "reviews.desk.url"),
        (lambda d: desk(d)["groups"][0].update(domains=["claims"]), "has no domain `claims`"),
        (lambda d: desk(d)["groups"][1].update(workloads=["kyc"]), "has no workload `kyc`"),
        (
            lambda d: desk(d)["groups"][0].update(workloads=["transaction-narratives"]),
            "group desk of the desk has domains and workloads",
        ),
        (lambda d: desk(d)["groups"][0].update(role="boss"), "role"),
        (lambda d: desk(d)["reasons"].append(desk(d)["reasons"][0]), "domain `crime` is there twice"),
        (
            lambda d: desk(d)["reasons"][0]["codes"].append({"code": "wrong-amount", "label": "x"}),
            "code `wrong-amount` is there twice",
        ),
        (lambda d: desk(d).update(score_after_first_judgement=["claims"]), "has no domain `claims`"),
        (lambda d: desk(d)["guidelines"][0].update(workloads=["kyc"]), "has no workload `kyc`"),
        (lambda d: desk(d)["guidelines"][0].pop("digest"), "has only one of file and digest"),
        (lambda d: desk(d)["guidelines"][0].update(text="changed"), "the file has changed"),
        (lambda d: desk(d)["guidelines"][0].update(file="a/../../b.md"), "outside the stack's folder"),
        (
            lambda d: desk(d).update(guidelines=[{"name": "a", "workloads": ["transaction-narratives"]}]),
            "guideline a has no text",
        ),
        (lambda d: desk(d).update(planted=[planted(domain="claims")]), "has no domain `claims`"),
        (lambda d: desk(d)["planted"].append(planted()), "domain `crime` is there twice"),
        (lambda d: desk(d)["planted"][0].pop("text"), "the planted answers of domain `crime` were not read"),
        (lambda d: desk(d)["planted"][0].update(text="answers: []"), "the file has changed"),
        (lambda d: desk(d).update(planted=[planted("answers: []")]), "`planted/crime.yaml` answers: "),
        (lambda d: desk(d).update(planted=[planted("[")]), "`planted/crime.yaml`: the file does not parse"),
        (
            lambda d: desk(d).update(planted=[planted(WRONG.replace("request: Who was paid?", "x: 1"))]),
            "`planted/crime.yaml` answers.0.request",
        ),
        (
            lambda d: desk(d).update(planted=[planted(WRONG + "    workloads: [kyc-extraction]\n")]),
            "has no workload `kyc-extraction`",
        ),
        (lambda d: desk(d)["planted"][0].update(rate=0.5), "rate"),
    ],
)
def test_a_desk_that_cannot_work_is_refused_and_named(change: Change, message: str) -> None:
    assert message in refused(InputError, change, data())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: desk(d)["groups"][0].update(groups=["internal-audit"]),
            "group `internal-audit` is auditor and reviewer at the desk",
        ),
        (lambda d: desk(d).update(from_cidrs=["52.94.0.0/16"]), "outside the networks"),
        (lambda d: desk(d).update(from_cidrs=["10.80.0.0/16"]), "outside the networks"),
        (lambda d: sign_on(d).update(address="10.80.0.9"), "would sign on at 10.80.0.9"),
    ],
)
def test_a_desk_that_opens_a_class_is_refused(change: Change, message: str) -> None:
    assert message in refused(Refused, change, data())


@pytest.mark.parametrize(
    ("key", "entry", "text"), [("guidelines", GUIDELINE, TEXT), ("planted", planted(), WRONG)]
)
def test_files_of_a_desk_are_read_from_the_stacks_folder(
    tmp_path: Path, key: str, entry: dict[str, Any], text: str
) -> None:
    platform = data()
    desk(platform).update({"guidelines": [], "planted": []})
    desk(platform)[key] = [{name: value for name, value in entry.items() if name != "text"}]
    with pytest.raises(InputError, match="cannot be read"):
        desk_files.fill(platform, tmp_path, "stack.yaml")
    file = tmp_path / entry["file"]
    file.parent.mkdir()
    file.write_text(text)
    assert desk_files.paths(platform, tmp_path) == [file]
    filled = desk_files.fill(platform, tmp_path, "stack.yaml")
    assert desk(filled)[key] == [entry]
    assert overrides.validate(filled)


def test_values_that_a_desk_lacks_are_listed_with_an_example() -> None:
    platform = data()
    for key in ("url", "from_namespaces"):
        desk(platform).pop(key)
    sign_on(platform).pop("address")
    with pytest.raises(InputError) as error:
        missing_values.require(platform, "stack.yaml")
    for line in ("reviews.desk.url", "reviews.desk.from_namespaces", "people.sign_on.address"):
        assert line in str(error.value)


def test_a_desk_needs_the_image_of_the_sign_on_in_the_lock() -> None:
    platform = data()
    assert "sign_on" in image_digests.needed_images(platform)
    platform["gateways"][0]["reviews"].pop("desk")
    assert "sign_on" not in image_digests.needed_images(platform)


def test_more_people_and_networks_at_a_desk_loosen() -> None:
    at = "gateways.reviews.desk."
    assert LOOSER[at + "groups.role"]("reviewer", "senior")
    assert not LOOSER[at + "groups.role"]("senior", "reviewer")
    assert LOOSER[at + "groups.groups"](["a"], ["a", "b"])
    assert LOOSER[at + "groups.domains"](["crime"], None)
    assert LOOSER[at + "score_after_first_judgement"](["crime"], [])
    assert LOOSER[at + "from_cidrs"](["10.40.0.0/24"], ["10.40.0.0/16"])
    assert LOOSER[at + "groups.role"]("owner", "auditor")
    assert LOOSER[at + "second_look_rate"](0.02, 0.0)
    assert LOOSER[at + "people"]("aggregate", "pseudonymous")
    assert not LOOSER[at + "people"]("aggregate", "none")
    assert LOOSER[at + "planted.rate"](0.05, 0.02)
    assert LOOSER[at + "planted.rate"](0.05, None)
    assert not LOOSER[at + "planted.most_per_day"](5, 9)


def test_a_group_of_auditors_may_read_the_board_as_owners() -> None:
    platform = data()
    owners = {"name": "owners", "groups": ["internal-audit"], "role": "owner"}
    desk(platform)["groups"].append(owners)
    assert overrides.validate(platform)


def test_reviewers_groups_are_people_of_the_stack() -> None:
    people = {value.value for value in stated_values(overrides.validate(data())) if value.kind == "people"}
    assert people == {"reviewer: crime-desk", "auditor: internal-audit"}
