"""The evaluation jobs of the bank's confidential class: their settings, their files, and what they reach."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components import Evaluator
from edge import ssh_signatures
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.errors import InputError
from isthmus.evaluation import subjects
from isthmus.evaluation.jobs import JobSettings
from tests.components.conftest import Engine, build
from tests.components.test_chat import IMAGE, addresses, namespaces
from tests.evaluation.signing import KEY

pytestmark = pytest.mark.whole

NAME = "isthmus-fra1-confidential-evaluator"
NAMESPACE = "isthmus-confidential-evaluator"
WORKLOAD = "kyc-extraction"
JOB: dict[str, Any] = {
    "name": WORKLOAD,
    "secret": "kyc-evaluation-key",
    "cases_secret": "kyc-cases",
    "volume": "evaluation-results",
}


def evaluated(platform: dict[str, Any], at: int = 1, **more: Any) -> dict[str, Any]:
    """The bank with an evaluation job of a gateway's first workload: of the confidential one, unless `at` differs."""
    gateway = platform["gateways"][at]
    platform["images"]["evaluator"] = IMAGE.replace("/x@", "/llm/evaluator@")
    gateway["evaluator"] = {
        "signer": ssh_signatures.public_key_of(KEY),
        "signing_secret": "evaluator-key",
        "jobs": [{**JOB, "name": gateway["workloads"][0]["name"], **more}],
    }
    return platform


def settings_of(engine: Engine) -> JobSettings:
    data = engine.only("ConfigMap", f"{NAME}-{WORKLOAD}-settings").inputs["data"]
    return JobSettings.model_validate_json(data["job.json"])


def job_of(engine: Engine) -> dict[str, Any]:
    return engine.only("CronJob", f"{NAME}-{WORKLOAD}").spec


def pod_of(engine: Engine) -> dict[str, Any]:
    return job_of(engine)["jobTemplate"]["spec"]["template"]["spec"]


def test_a_job_asks_the_gateway_of_its_class_about_what_serves_there(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, evaluated(platform, tokens=5000, minutes=30))
    settings, checked = settings_of(engine), Platform.model_validate(platform)
    assert settings.url == "https://confidential-gateway.isthmus-confidential.svc:8443"
    assert (settings.sensitivity, settings.tokens, settings.minutes) == ("confidential", 5000, 30)
    workload, _ = subjects.find_workload(checked, WORKLOAD)
    assert settings.serving == subjects.find_subjects(checked, workload, None, None)["serving"]
    assert settings.candidate is None
    assert settings.official


def test_a_canary_is_evaluated_beside_the_version_in_use(engine: Engine, platform: dict[str, Any]) -> None:
    other = next(entry for entry in platform["endpoints"] if entry["class"] == "confidential")
    platform["endpoints"].append({**other, "id": "candidate", "replicas": 1, "gpus": 1, "survive": "none"})
    other |= {"replicas": 1, "gpus": 1, "survive": "none"}
    platform["gateways"][1]["workloads"][0]["canary"] = {"endpoint": "candidate", "percent": 0}
    build(engine, evaluated(platform))
    candidate = settings_of(engine).candidate
    assert candidate is not None
    assert candidate.endpoint == "candidate"


def test_a_disposable_platform_makes_no_official_result(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, evaluated(platform | {"lifecycle": "disposable"}))
    assert not settings_of(engine).official


def test_each_of_its_files_has_its_source_and_only_the_state_can_be_written(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, evaluated(platform))
    pod = pod_of(engine)
    (container,) = pod["containers"]
    sources = {
        volume["name"]: (
            volume.get("secret", {}).get("secretName")
            or volume.get("persistentVolumeClaim", {}).get("claimName")
        )
        for volume in pod["volumes"]
    }
    mounted = {
        mount["mountPath"]: (sources[mount["name"]], mount.get("readOnly", False))
        for mount in container["volumeMounts"]
        if sources[mount["name"]]
    }
    assert mounted == {
        "/etc/isthmus/cases": ("kyc-cases", True),
        "/etc/isthmus/keys": ("kyc-evaluation-key", True),
        "/etc/isthmus/signing": ("evaluator-key", True),
        "/etc/isthmus/tls": ("confidential-evaluator-tls", True),
        "/var/lib/isthmus/evaluation": ("evaluation-results", False),
    }
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False
    account = engine.only("ServiceAccount", f"{NAME}-account")
    assert account.inputs["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == account.meta["name"]


def test_cases_in_a_claim_are_only_read(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, evaluated(platform, cases_secret=None, cases_claim="kyc-cases-volume"))
    [cases] = [volume for volume in pod_of(engine)["volumes"] if volume["name"] == "cases"]
    assert cases["persistentVolumeClaim"] == {"claimName": "kyc-cases-volume", "readOnly": True}


def test_it_reaches_its_gateway_and_nobody_reaches_it(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, evaluated(platform))
    policy = engine.only("NetworkPolicy", f"{NAME}-network")
    assert policy.meta["namespace"] == NAMESPACE
    assert namespaces(policy, "egress") == {"isthmus-confidential"}
    assert (addresses(policy, "egress"), policy.spec["ingress"]) == ([], [])
    [rule] = policy.spec["egress"]
    assert rule["to"][0]["podSelector"]["matchLabels"]["isthmus.dev/role"] == "gateway"
    [alias] = pod_of(engine)["hostAliases"]
    assert alias["hostnames"] == ["confidential-gateway.isthmus-confidential.svc"]
    assert pod_of(engine)["dnsPolicy"] == "None"


@pytest.mark.parametrize(
    ("schedule", "expected"), [(None, (True, "0 0 1 1 *")), ("0 3 * * 6", (False, "0 3 * * 6"))]
)
def test_it_runs_by_its_schedule_or_only_when_somebody_starts_it(
    engine: Engine, platform: dict[str, Any], schedule: str | None, expected: tuple[bool, str]
) -> None:
    build(engine, evaluated(platform, schedule=schedule))
    job = job_of(engine)
    assert (job["suspend"], job["schedule"]) == expected
    assert (job["concurrencyPolicy"], job["timeZone"]) == ("Forbid", "Etc/UTC")


def test_a_killed_job_is_started_again_and_one_without_budget_is_not(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, evaluated(platform, minutes=30))
    job = job_of(engine)["jobTemplate"]["spec"]
    evicted, ended = job["podFailurePolicy"]["rules"]
    assert evicted == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    assert (ended["action"], ended["onExitCodes"]["values"]) == ("FailJob", [1, 2])
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (2, 30 * 60 + 900)
    assert job["template"]["spec"]["restartPolicy"] == "Never", "a pod failure policy needs it"
    assert "priorityClassName" not in job["template"]["spec"], "gateways and models go before it"


def test_without_an_evaluator_there_is_no_namespace_for_one(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, platform)
    assert not engine.all("CronJob")
    assert NAMESPACE not in {space.meta["name"] for space in engine.all("Namespace")}


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://restricted-gateway.isthmus-restricted.svc:8443"},
        {"url": "https://llm.elsewhere.example"},
        {"sensitivity": "restricted"},
    ],
)
def test_a_job_that_would_ask_another_gateway_is_not_made(engine: Engine, change: dict[str, Any]) -> None:
    stated = {
        "url": "https://internal-gateway.isthmus-internal.svc:8443",
        "sensitivity": "internal",
        **change,
    }
    job = {
        "workload": "w",
        "settings": stated,
        "secret": "s",
        "cases_secret": "c",
        "volume": "v",
        "minutes": 1,
    }
    arguments = {
        **{"sensitivity": "internal", "image": IMAGE, "gateway_ip": "10.96.0.1", "signing_secret": "k"},
        **{"cpu": "1", "memory": "2Gi", "certificate_secret": "t", "jobs": [job]},
    }
    with pytest.raises(InputError, match="not the gateway of class internal"):
        engine.deploy(Evaluator, "e", arguments)
    job["settings"] = json.loads(json.dumps(stated | dict.fromkeys(change)))
    job["settings"] |= {
        "url": "https://internal-gateway.isthmus-internal.svc:8443",
        "sensitivity": "internal",
    }
    engine.deploy(Evaluator, "e", arguments)
