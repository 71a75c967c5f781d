"""An emergency access: two signatures by ssh-keygen itself, for a time, on record."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path
from typing import Any

import pytest

from isthmus.blueprints import emergency_access
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.emergency_access import SIGNATURE_NAMESPACE, Record
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core import yaml_files
from isthmus.core.errors import Refused
from tests.components.platforms import bank

NOON = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)
ACCESS: dict[str, Any] = {
    **{"id": "inc-1", "requester": "ann", "approver": "bob", "reason": "INC-1: the model hangs"},
    **{"site": "fra1", "class": "restricted"},
    **{"since": "2026-11-26T10:00:00Z", "until": "2026-11-26T14:00:00Z"},
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ann", "bob", "eve"):
        command = [
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            f"{name} of the bank",
            "-f",
            str(folder / name),
        ]
        subprocess.run(command, check=True)
    return folder


def signed(keys: Path, name: str, text: str, namespace: str = SIGNATURE_NAMESPACE) -> str:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(keys / name)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def platform(keys: Path, **more: Any) -> Platform:
    holders = [
        {"name": name, "user": f"oidc:{name}@bank.example", "key": (keys / f"{name}.pub").read_text().strip()}
        for name in ("ann", "bob")
    ]
    members = [{"name": "ops", "role": "platform", "groups": ["oidc:ops"]}]
    people = {"members": members, "break_glass": {"keyholders": holders, **more}}
    return CheckedPlatform.model_validate({**bank(), "people": people})


def record(keys: Path, folder: Path, signers: tuple[str, str] = ("ann", "bob"), **change: Any) -> None:
    """Write the access, signed by two keys under the names of requester and approver."""
    fields = {**ACCESS, **change}
    text = Record.model_validate(fields).text("bank")
    names = (fields["requester"], fields["approver"])
    fields["signatures"] = {name: signed(keys, key, text) for name, key in zip(names, signers, strict=True)}
    yaml_files.dump({"isthmus": "v1", "accesses": [fields]}, "", emergency_access.file_of(folder, "bank"))


def test_an_access_with_two_signatures_is_in_force(keys: Path, tmp_path: Path) -> None:
    record(keys, tmp_path)
    (access,) = emergency_access.read(tmp_path, "bank", platform(keys), NOON).now
    assert (access.requester, access.approver) == ("oidc:ann@bank.example", "oidc:bob@bank.example")
    assert access.until == datetime.datetime(2026, 11, 26, 14, tzinfo=datetime.UTC)


@pytest.mark.parametrize(("hours", "expected"), [(-3, "begins at"), (2, "ended at"), (24, "ended at")])
def test_an_access_grants_nothing_outside_its_period(
    keys: Path, tmp_path: Path, hours: int, expected: str
) -> None:
    record(keys, tmp_path)
    in_force = emergency_access.read(tmp_path, "bank", platform(keys), NOON + datetime.timedelta(hours=hours))
    assert in_force.now == []
    (line,) = in_force.notes
    assert expected in line


@pytest.mark.parametrize("signers", [("ann", "ann"), ("ann", "eve"), ("bob", "ann"), ("eve", "bob")])
def test_two_signatures_of_one_person_or_one_of_a_stranger_are_refused(
    keys: Path, tmp_path: Path, signers: tuple[str, str]
) -> None:
    record(keys, tmp_path, signers)
    with pytest.raises(Refused, match="it was signed with another key") as refused:
        emergency_access.read(tmp_path, "bank", platform(keys), NOON)
    assert "ssh-keygen -Y sign" in refused.value.fix


def test_an_access_changed_after_signing_is_refused(keys: Path, tmp_path: Path) -> None:
    record(keys, tmp_path)
    file = emergency_access.file_of(tmp_path, "bank")
    file.write_text(file.read_text().replace("class: restricted", "class: internal"))
    with pytest.raises(Refused, match="does not match the text"):
        emergency_access.read(tmp_path, "bank", platform(keys), NOON)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"approver": "eve"}, "is not a keyholder"),
        ({"site": "frankfurt"}, "no cluster of site frankfurt has a namespace of class restricted"),
        ({"class": "public", "site": "fra2"}, "no cluster of site fra2 has a namespace of class public"),
    ],
)
def test_an_access_of_unknown_people_or_to_unknown_classes_is_refused(
    keys: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    record(keys, tmp_path, **change)
    with pytest.raises(Refused, match=message):
        emergency_access.read(tmp_path, "bank", platform(keys), NOON)


def test_a_platform_may_limit_emergency_access_and_needs_keyholders_for_it(
    keys: Path, tmp_path: Path
) -> None:
    record(keys, tmp_path)
    with pytest.raises(Refused, match=r"may last at most 1 h\. Fix: Set `until` to 1 h after"):
        emergency_access.read(tmp_path, "bank", platform(keys, max_hours=1), NOON)
    with pytest.raises(Refused, match="the platform does not allow emergency access"):
        emergency_access.read(tmp_path, "bank", CheckedPlatform.model_validate(bank()), NOON)
