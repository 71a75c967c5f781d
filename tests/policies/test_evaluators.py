"""Evaluation jobs as made break no rule, and each change of them that the platform does not state is reported."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.contracts.platform import policy_view
from isthmus.contracts.platform.lookups.evaluator import STATE_FOLDER, evaluated_endpoints
from isthmus.contracts.platform.model.platform import Platform
from policies.evaluation.registry import RULES as ALL_RULES
from policies.release import evaluators
from tests.components.conftest import Engine, build
from tests.components.platforms import bank
from tests.components.test_evaluator import NAME, NAMESPACE, WORKLOAD, evaluated
from tests.policies.test_review_desk import (
    RULES,
    Change,
    found,
    in_namespace,
    let_in,
    let_out,
    reported_only_by,
)

pytestmark = pytest.mark.whole

NETWORK, CONFIG, JOB = f"{NAME}-network", f"{NAME}-{WORKLOAD}-settings", f"{NAME}-{WORKLOAD}"
APART = (*RULES, *evaluators.RULES)


@pytest.fixture(scope="module")
def made() -> tuple[Engine, Platform]:
    engine, platform = Engine(), evaluated(bank(), schedule="0 3 * * 6")
    build(engine, platform)
    return engine, Platform.model_validate(platform)


@pytest.mark.parametrize("at", [0, 1])
def test_no_rule_of_the_pack_reports_more_than_without_jobs(at: int) -> None:
    assert reported_only_by(bank(), evaluated(bank(), at)) == set()


def test_the_platform_as_the_engine_passes_it_on_fits_the_jobs_of_real_models() -> None:
    engine, platform = Engine(), evaluated(bank())
    build(engine, platform)
    stated = Platform.model_validate(platform)
    passed_on = policy_view.parse(policy_view.describe(stated))
    ids = evaluated_endpoints(stated)
    assert ids
    assert [endpoint for endpoint in passed_on.endpoints if endpoint.id in ids] == [
        endpoint for endpoint in stated.endpoints if endpoint.id in ids
    ]
    assert [line for line in found((engine, passed_on), rules=APART) if "evaluation job" in line] == []


def test_a_job_of_each_site_fits_its_own_site() -> None:
    """Two gateways of the class evaluate the workload, and their settings differ."""
    engine, platform = Engine(), evaluated(bank())
    build(engine, platform)
    stated = Platform.model_validate(platform)
    [here] = [gateway for gateway in stated.gateways if gateway.evaluator is not None]
    elsewhere = here.model_copy(update={"name": "confidential-muc1", "site": "muc1"})
    both = stated.model_copy(update={"gateways": [*stated.gateways, elsewhere]})
    assert [line for line in found((engine, both), rules=APART) if "evaluation job" in line] == []


def as_pod(change: Any) -> Change:
    return lambda inputs: change(inputs["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def set_up(**changes: Any) -> Change:
    """Other settings of the job."""

    def change(inputs: dict[str, Any]) -> None:
        inputs["data"]["job.json"] = json.dumps({**json.loads(inputs["data"]["job.json"]), **changes})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            let_out(**in_namespace("isthmus-restricted")),
            f"lets {NAMESPACE} reach pods of namespace isthmus-rest",
        ),
        (
            let_out(**in_namespace("isthmus-confidential")),
            "reach pods of namespace isthmus-confidential, which",
        ),
        (let_out(ipBlock={"cidr": "0.0.0.0/0"}), f"lets {NAMESPACE} reach 0.0.0.0/0"),
        (let_in(in_namespace("monitoring"), 9090), f"lets pods of namespace monitoring call {NAMESPACE}"),
    ],
)
def test_another_way_out_or_in_is_reported(
    made: tuple[Engine, Platform], change: Change, message: str
) -> None:
    assert any(message in reported for reported in found(made, NETWORK, change, APART))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            set_up(url="https://restricted-gateway.isthmus-restricted.svc:8443"),
            "sets url of an evaluation job",
        ),
        (set_up(sensitivity="restricted"), "sets sensitivity of an evaluation job"),
        (set_up(signer="ssh-ed25519 AAAA"), "sets signer of an evaluation job"),
        (set_up(tokens=10**9, official=False), "sets official, tokens of an evaluation job"),
        (set_up(workload="other"), "has settings of an evaluation job that the platform does not state"),
        (set_up(cases="/var/lib/isthmus/evaluation"), "sets cases of an evaluation job"),
    ],
)
def test_other_settings_are_reported(made: tuple[Engine, Platform], change: Change, message: str) -> None:
    assert any(message in line for line in found(made, CONFIG, change, APART))


def mount(**volume: Any) -> Change:
    return as_pod(lambda pod: pod["volumes"].append({"name": "more", **volume}))


def mount_again(volume: str, path: str, **more: Any) -> Change:
    """Mount a volume of the job at one more place."""
    entry = {"name": volume, "mountPath": path, **more}
    return as_pod(lambda pod: pod["containers"][0]["volumeMounts"].append(entry))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            mount(secret={"secretName": "confidential-sealer"}),
            "mounts the Secret confidential-sealer, which the",
        ),
        (
            mount(persistentVolumeClaim={"claimName": "records-confidential"}),
            "mounts the claim records-confid",
        ),
        (
            as_pod(lambda pod: pod["containers"][0].update(command=["sh", "-c", "sleep 1"])),
            "run `sh -c sleep 1`",
        ),
        (
            as_pod(
                lambda pod: pod["containers"][0].update(image="registry.bank.example/llm/evaluator:latest")
            ),
            "registry.bank.example/llm/evaluator:latest",
        ),
        (as_pod(lambda pod: pod.update(automountServiceAccountToken=True)), JOB),
        (mount_again("cases", "/app/isthmus/engine/evaluation"), "mounts its volume cases at /app/isthmus"),
        (mount_again("state", "/etc/isthmus/signing"), "mounts its volume state at /etc/isthmus/signing"),
        (mount_again("state", STATE_FOLDER, subPath="other"), f"mounts its volume state at {STATE_FOLDER}"),
        (mount(configMap={"name": "made-by-hand"}), "mounts the ConfigMap made-by-hand, which the platform"),
    ],
)
def test_other_files_programs_and_images_are_reported(
    made: tuple[Engine, Platform], change: Change, message: str
) -> None:
    before = set(found(made, rules=ALL_RULES))
    assert any(message in line for line in {*found(made, JOB, change, ALL_RULES)} - before)


def test_cases_in_a_claim_that_the_job_could_write_are_reported() -> None:
    engine, platform = Engine(), evaluated(bank(), cases_secret=None, cases_claim="kyc-cases-volume")
    build(engine, platform)

    def change(pod: dict[str, Any]) -> None:
        [cases] = [volume for volume in pod["volumes"] if volume["name"] == "cases"]
        del cases["persistentVolumeClaim"]["readOnly"]

    reported = found((engine, Platform.model_validate(platform)), JOB, as_pod(change), APART)
    assert any("could write its cases in the claim kyc-cases-volume" in line for line in reported)


def test_a_job_that_the_platform_does_not_state_is_reported(made: tuple[Engine, Platform]) -> None:
    engine, platform = made
    stated = platform.model_dump(mode="json", by_alias=True, exclude_none=True)
    for gateway in stated["gateways"]:
        gateway.pop("evaluator", None)
    reported = found((engine, Platform.model_validate(stated)), rules=APART)
    for message in (
        f"{JOB} evaluates models, and the platform states no evaluation job {WORKLOAD}",
        f"{CONFIG} has settings of an evaluation job that the platform does not state",
    ):
        assert any(message in line for line in reported), message
