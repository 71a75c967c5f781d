"""Masking: no secret appears in a reported change, neither in its old nor in its new value."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from isthmus.core.pulumi_values import MASK
from isthmus.engine.preview.changes import properties
from isthmus.engine.preview.masking import Masker

SECRET = "hunter2-hunter2-hunter2"
MARKED = {
    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    "ciphertext": "[secret]",
}
"""As the engine's events and a state have it."""
ENCRYPTED = "v1:rqh3SzEjk6A=:v1:JLtKoMAao0DYnl1z:R4XYf4R+aSzXSG2LF6WwWf2LcOYMTA=="


def shown(old: Any, new: Any, kind: str = "aws:x/y:Z", known_secrets: tuple[str, ...] = ()) -> str:
    changes = properties(kind, {"it": old}, {"it": new}, Masker(known_secrets))
    assert changes, "the change itself is to be seen"
    return json.dumps([change.model_dump() for change in changes])


def test_a_value_marked_secret_by_the_engine_is_masked_on_both_sides():
    changes = properties("aws:x/y:Z", {"it": MARKED}, {"it": SECRET}, Masker())
    assert [(change.old, change.new, change.secret) for change in changes] == [(MASK, MASK, True)]
    assert SECRET not in shown(SECRET, MARKED)


def test_values_of_kubernetes_secrets_are_masked():
    old, new = {"data": {"key": "b2xk"}}, {"data": {"key": "bmV3"}}
    changes = properties("kubernetes:core/v1:Secret", old, new, Masker())
    assert [(change.path, change.old, change.new) for change in changes] == [("data.key", MASK, MASK)]


def test_a_marked_secret_output_of_the_engine_is_masked():
    wire = {
        "4dabf18193072939515e22adb298388d": "d0e6a833031e9bbcd3f4e8bde6ca49a4",
        "value": SECRET,
        "secret": True,
    }
    assert SECRET not in shown("was", wire)


@pytest.mark.parametrize(
    "carrier",
    [
        SECRET,
        f"postgres://bank:{SECRET}@db",
        {"deep": [{"password": SECRET}]},
        {SECRET: "as a key"},
        base64.b64encode(SECRET.encode()).decode(),
        json.dumps({"token": SECRET}),
    ],
    ids=["whole", "within", "deep", "key", "base64", "document"],
)
def test_a_known_secret_is_masked_in_every_text(carrier: Any):
    assert SECRET not in shown("was", carrier, known_secrets=(SECRET,))
    assert base64.b64encode(SECRET.encode()).decode() not in shown(carrier, "will", known_secrets=(SECRET,))


def test_every_text_of_a_structured_secret_is_masked():
    assert SECRET not in shown("was", SECRET, known_secrets=(json.dumps({"user": {"password": SECRET}}),))


def test_an_encrypted_configuration_value_is_masked():
    assert ENCRYPTED not in shown("was", f"salt {ENCRYPTED}")


def test_a_short_secret_is_masked_only_as_a_whole_value():
    assert Masker(["test"]).text("tests/latest") == "tests/latest"
    assert Masker(["test"]).text("test") == MASK


def test_a_changed_secret_is_reported_without_its_values():
    other_secret = "correct-horse-battery"
    changes = properties("aws:x/y:Z", {"it": SECRET}, {"it": other_secret}, Masker([SECRET, other_secret]))
    assert [(change.old, change.new, change.secret) for change in changes] == [(MASK, MASK, True)]


def test_generated_names_and_defaults_are_not_reported_as_properties():
    new = {"__defaults": ["name", "region"], "name": "bucket-1f2e3d4", "region": "eu-central-1", "kept": 1}
    assert [property.path for property in properties("aws:x/y:Z", None, new, Masker())] == ["kept"]


def test_a_lone_surrogate_is_replaced_by_a_question_mark():
    assert Masker().value({"a": ["x\ud800y"]}) == {"a": ["x?y"]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ('spec.containers["x"].env["DB_PASSWORD"].value', "hunter2"),
        ("metadata.annotations.api-key", "hunter2"),
        ("spec.containers", [{"name": "x", "env": [{"name": "API_TOKEN", "value": "hunter2"}]}]),
        ("spec.containers", [{"args": ["--api-key=hunter2", "--db-password hunter2"]}]),
        ("data.note", "AKIAIOSFODNN7EXAMPLE"),
        ("data.pem", "-----BEGIN PRIVATE KEY-----\nhunter2"),
        ("spec.credential", "hunter2"),
        ("spec", {"password": "hunter2"}),
    ],
)
def test_values_with_secret_names_are_masked(path: str, value: Any):
    shown = json.dumps(Masker().field(path, value))
    assert MASK in shown
    assert "hunter2" not in shown
    assert "AKIA" not in shown


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.automountServiceAccountToken", True),
        ("spec.volumes", [{"name": "tls", "secret": {"secretName": "gateway-tls"}}]),
        ('env["DB_PASSWORD"].valueFrom.secretKeyRef.name', "db"),
        ("spec.imagePullSecrets", [{"name": "registry"}]),
        ("spec.containers", [{"args": ["--max-tokens=4096", "--model=x"]}]),
        ("spec.replicas", 3),
    ],
)
def test_a_reference_to_a_secret_is_shown(path: str, value: Any):
    assert Masker().field(path, value) == value
