"""What a person signs to move a release, and whose signature counts."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge import ssh_signatures
from edge.canary.move import NAMESPACE, Move, following_step, signature_problem
from edge.canary.moves import Release

START = Move(
    data_class="internal",
    site="fra1",
    workload="assistant",
    model="assistant",
    release="chat-v2",
    number=4,
    act="start",
    from_percent=0,
    to_percent=2.5,
    steps=(2.5, 100.0),
    by="ann",
    reason="planned",
)


def private_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def test_the_text_names_everything_that_the_move_decides():
    fields = json.loads(START.text())
    assert fields == {
        **{"isthmus": "release move 1", "class": "internal", "site": "fra1", "workload": "assistant"},
        **{"model": "assistant", "release": "chat-v2", "number": 4, "act": "start", "from": 0, "to": 2.5},
        **{"steps": [2.5, 100], "by": "ann", "reason": "planned"},
    }
    for change in ({"to_percent": 100}, {"number": 5}, {"site": "fra2"}, {"by": "bob"}, {"release": "v3"}):
        assert replace(START, **change).text() != START.text()


def test_a_move_that_a_releaser_signed_counts_and_no_other():
    ann, eve = private_key(), private_key()
    keys = [ssh_signatures.public_key_of(private_key()), ssh_signatures.public_key_of(ann)]
    text = START.text()
    good = ssh_signatures.sign(text, NAMESPACE, ann)
    assert signature_problem(text, good, keys) == ""
    assert signature_problem(text, ssh_signatures.sign(text, NAMESPACE, eve), keys) == (
        "nobody who may release signed it"
    )
    assert signature_problem(text, good, []) == "nobody who may release signed it"
    assert signature_problem(text + " ", good, keys) == "the signature does not match the text"
    other = ssh_signatures.sign(text, "git", ann)
    assert signature_problem(text, other, keys) == f"it was signed for `git`, not for `{NAMESPACE}`"


@pytest.mark.parametrize(("percent", "step"), [(0, 1), (1, 5), (5, 100), (100, None), (7, 100)])
def test_the_following_step_is_the_next_larger_one(percent: float, step: float | None):
    assert following_step((1, 5, 100), percent) == step


def test_a_share_that_is_no_step_of_the_gateway_counts_as_0():
    release = Release(START)
    assert release.percent([2.5, 100]) == 2.5
    assert release.percent([1, 100]) == 0
    assert Release().percent([2.5]) == 0
    assert Release(replace(START, act="abort", from_percent=2.5, to_percent=0)).percent([2.5]) == 0


def test_a_share_reached_by_other_steps_than_the_gateway_s_counts_as_0():
    release = Release()
    release.take(START, "", "")
    at = START.to_percent
    assert release.percent(START.steps) == at
    jump = Release()
    jump.take(replace(START, steps=(100.0,), to_percent=100.0), "", "")
    assert jump.percent((1.0, 5.0, 100.0)) == 0


def test_an_abort_counts_after_a_move_that_does_not():
    abort = replace(START, act="abort", number=9, from_percent=50.0, to_percent=0.0)
    assert abort.problem_after(START) == ""


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_move_with_a_number_that_is_not_finite_is_nobody_s(number: float):
    move = replace(START, steps=(number,))
    assert move.signing_problem('{"steps": ["NaN"]}', "", []) == "its fields are not those that were signed"
