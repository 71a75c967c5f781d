"""Evaluation jobs in the platform: what they may ask, which Secrets stay apart, and what of them people approve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge import ssh_signatures
from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.deciding_fields import decides
from isthmus.contracts.platform.lookups.evaluator import stated_claims, stated_secrets
from isthmus.contracts.platform.protections import protections
from isthmus.core.errors import InputError, Refused
from tests.components.fargate import cloud
from tests.contracts.bank import platform_data, refused
from tests.evaluation.signing import KEY

Change = Callable[[dict[str, Any]], object]
IMAGE = "registry.bank.example/llm/evaluator@sha256:" + "a" * 64


def data(at: int = 1) -> dict[str, Any]:
    """The bank with an evaluation job of a gateway's first workload."""
    platform = platform_data()
    gateway = platform["gateways"][at]
    platform["images"]["evaluator"] = IMAGE
    gateway["evaluator"] = {
        "signer": ssh_signatures.public_key_of(KEY),
        "signing_secret": "evaluator-key",
        "jobs": [
            {
                "name": gateway["workloads"][0]["name"],
                "secret": "evaluation-key",
                "cases_secret": "cases",
                "volume": "results",
            }
        ],
    }
    return platform


def evaluator(data: dict[str, Any]) -> dict[str, Any]:
    return data["gateways"][1]["evaluator"]


def job(data: dict[str, Any]) -> dict[str, Any]:
    return evaluator(data)["jobs"][0]


def test_a_platform_states_what_a_job_mounts() -> None:
    gateway = overrides.validate(data()).gateways[1]
    assert gateway.evaluator is not None
    [stated] = gateway.evaluator.jobs
    assert stated_secrets(gateway.class_, gateway.evaluator, stated) == {
        "evaluation-key": {"/etc/isthmus/keys"},
        "evaluator-key": {"/etc/isthmus/signing"},
        "cases": {"/etc/isthmus/cases"},
        f"{gateway.class_}-evaluator-tls": {"/etc/isthmus/tls"},
    }
    assert stated_claims(stated) == {"results": "/var/lib/isthmus/evaluation"}
    assert (stated.tokens, stated.minutes, stated.schedule) == (2_000_000, 60, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: job(d).update(name="other"), "gateway confidential-fra1 has no workload `other`"),
        (lambda d: job(d).update(judge="other"), "gateway confidential-fra1 has no workload `other`"),
        (lambda d: evaluator(d)["jobs"].append(dict(job(d))), "jobs"),
        (lambda d: d["images"].pop("evaluator"), "evaluation jobs need the image `evaluator`"),
        (lambda d: job(d).pop("cases_secret"), "needs exactly one of cases_secret and cases_claim"),
        (lambda d: job(d).update(cases_claim="c"), "needs exactly one of cases_secret and cases_claim"),
        (lambda d: job(d).update(schedule="weekly"), "a schedule as Kubernetes writes it"),
        (lambda d: job(d).update(minutes=0), "minutes"),
        (lambda d: evaluator(d).update(signer="ssh-rsa AAAA"), "an Ed25519 public key without its comment"),
        (lambda d: evaluator(d).update(jobs=[]), "jobs"),
        (
            lambda d: (job(d).pop("cases_secret"), job(d).update(cases_claim="results")),
            "would write its results where its cases are",
        ),
        (
            lambda d: d["images"].update(evaluator="registry.bank.example/llm/evaluator:1"),
            "an image by digest",
        ),
    ],
)
def test_jobs_that_cannot_work_are_refused_with_their_place(change: Change, message: str) -> None:
    assert message in refused(InputError, change, data())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: job(d).update(secret="evaluator-key"),
            "takes secret and the signing key of gateway confidential-fra1 from one Secret",
        ),
        (lambda d: job(d).update(cases_secret="evaluator-key"), "takes cases_secret and the signing key"),
        (lambda d: job(d).update(judge=job(d)["name"]), "which would judge its own answers"),
    ],
)
def test_jobs_whose_results_would_prove_nothing_are_refused(change: Change, message: str) -> None:
    assert message in refused(Refused, change, data())


def test_jobs_beside_a_gateway_on_fargate_are_refused_with_what_to_do() -> None:
    platform = cloud()
    gateway = next(entry for entry in platform["gateways"] if entry.get("runs_on") == "fargate")
    stated = data()
    gateway["evaluator"] = evaluator(stated)
    job(stated)["name"] = gateway["workloads"][0]["name"]
    message = refused(InputError, lambda _: None, platform)
    assert "runs on Fargate, and evaluation jobs run in a cluster only" in message


def test_another_signer_or_source_of_cases_is_shown_to_people() -> None:
    at = "gateways.evaluator."
    assert decides(at + "signer", "ssh-ed25519 A", "ssh-ed25519 B")
    for key in ("secret", "cases_secret", "cases_claim", "volume", "judge"):
        assert decides(f"{at}jobs.{key}", "one", "two"), key
    assert not decides(at + "jobs.schedule", None, "0 3 * * 6")
    changed = data()
    evaluator(changed)["signing_secret"] = "other-key"
    before, after = (protections(overrides.validate(platform)) for platform in (data(), changed))
    differing = {label for label in before if before[label].strength != after[label].strength}
    assert differing == {"evaluator.signing_secret of gateway confidential-fra1"}
