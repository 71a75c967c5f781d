"""A failure of the engine, described in one paragraph."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isthmus.core.errors import EnvironmentFault, InputError, Refused
from isthmus.engine.automation.events import Failure
from isthmus.engine.automation.failures import failure

URN = "urn:pulumi:dev::isthmus::isthmus:index:X$kubernetes:apps/v1:Deployment::model-server"
STACK = "urn:pulumi:dev::isthmus::pulumi:pulumi:Stack::isthmus-dev"
NOT_ADMISSION = (
    'resource "urn:pulumi:dev::isthmus::x$kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy::g"'
    ' was not successfully created by the Kubernetes API server: Patch "https://127.0.0.1:1/apis/admission'
    'registration.k8s.io/v1/validatingadmissionpolicies/x?timeout=5s": unexpected EOF'
)
"""Of an API server that died: types and addresses read like other reasons."""


@pytest.mark.parametrize(
    ("message", "code", "fix"),
    [
        ('no matches for kind "LocalQueue" in version "kueue.x-k8s.io/v1beta1"', 3, "install the operator"),
        ("1 error occurred:\n\t* 0/4 nodes are available: 2 Insufficient nvidia.com/gpu.", 3, "free GPUs"),
        ('Apply failed with 1 conflict: conflict with "kubectl" using apps/v1', 3, "managed-fields"),
        ("ValidatingAdmissionPolicy 'isthmus-restricted-pods' denied request: no AWS", 1, "admission"),
        (
            "An error occurred (DeleteConflict) when calling the DeleteRole operation: must detach all policies",
            3,
            "by a budget action",
        ),
        ("exceeded quota: isthmus, requested: pods=1", 3, "quota"),
        ("error reading from server: EOF", 3, "provider's process was killed"),
        (
            'connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:4: connection refused"',
            3,
            "provider's process was killed",
        ),
        (
            "An error occurred (ThrottlingException) when calling CreateKey: Rate exceeded",
            3,
            "after all retries",
        ),
        ("dial tcp 127.0.0.1:6443: connect: connection refused", 3, "does not answer"),
        (
            NOT_ADMISSION,
            3,
            "does not answer",
        ),
    ],
)
def test_every_known_failure_has_a_fix(message, code, fix):
    error = failure([Failure(STACK, "update failed"), Failure(URN, message)], "", "dev", Path("some.log"))
    text = str(error)
    assert error.exit_code == code
    assert "Deployment model-server" in text
    assert fix in text
    assert "some.log" in text
    assert "\n" not in text
    assert not re.search(r"\d+ errors? occurred", text), "the engine's own bullet marks"


def test_an_error_of_the_program_is_shown_without_its_traceback():
    trace = (
        'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\nValueError: no such model\n'
    )
    text = str(failure([Failure(STACK, trace)], "", "dev", None))
    assert "ValueError: no such model" in text
    assert "File" not in text


@pytest.mark.parametrize("kind", [Refused, InputError, EnvironmentFault])
def test_an_error_of_the_program_keeps_its_kind_and_message(kind):
    told_error = kind("no such zone: exceeded quota", where="networks[x].zones", fix="Name another. " * 60)
    program_failure = Failure(STACK, f"{told_error.verdict}: {told_error}\n")
    error = failure([Failure(URN, "boom"), program_failure], "", "dev", Path("some.log"))
    assert type(error) is kind
    assert str(error) == f"stack dev: {told_error}"


def test_a_program_that_the_engine_stopped_is_not_named_as_the_cause():
    program_failure = Failure(
        STACK, "the environment is wrong: no zones: Resource monitor has terminated, shutting down"
    )
    provider = "urn:pulumi:dev::isthmus::pulumi:providers:aws::frankfurt"
    error = failure(
        [program_failure, Failure(provider, "could not read plugin: exit status 1")], "", "dev", None
    )
    assert "aws frankfurt: could not read plugin" in str(error)


def test_words_in_an_error_message_do_not_change_the_exit_code():
    error = failure([Failure(STACK, "boom, and the answer is no: 5")], "", "dev", None)
    assert error.exit_code == 3


def test_a_failure_without_events_is_taken_from_stderr():
    text = str(failure([], "warning: x\nerror: incorrect passphrase\n", "dev", None))
    assert "incorrect passphrase" in text
    assert "PULUMI_CONFIG_PASSPHRASE" in text


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("error: failed to load checkpoint: place 1: unexpected end of JSON input", "docs/recovery.md"),
        (
            "error: failed to load checkpoint: unsupported checkpoint version 99",
            "an older one must not write it",
        ),
    ],
)
def test_a_state_that_a_remote_backend_cannot_read_is_reported(stderr, message):
    """As Pulumi 3.274.1 says it of an object in S3."""
    error = failure([], stderr, "dev", None)
    assert error.exit_code == 3
    assert message in str(error)


def test_further_failures_are_counted():
    other_urn = URN.replace("model-server", "gateway")
    text = str(failure([Failure(URN, "boom"), Failure(other_urn, "boom")], "", "dev", None))
    assert "(and 1 more)" in text


def test_a_failure_names_the_site_of_its_provider():
    text = str(failure([Failure(URN, "error reading from server: EOF", "fra1")], "", "dev", None))
    assert text.startswith("stack dev, site fra1: ")
    assert "run the same command again" in text
