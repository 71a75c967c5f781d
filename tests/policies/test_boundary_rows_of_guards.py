"""Ways around the boundary that guards close: arguments of vLLM, missing guards, permissions, certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.trust import Trust
from tests.policies.cases_cluster import BOX, deployment
from tests.policies.cases_inside import namespace_of_class
from tests.policies.making import findings_of, resource_of

FLAGS = "workload/engine-keeps-data"


def trusting(kind: str, value: str, days: int | None = None) -> Settings:
    """Settings whose trust file names one value, for so many days from today."""
    entry: dict[str, Any] = {"value": value, "reason": "checked", "owner": "security@bank.example"}
    if days is not None:
        entry["expires"] = datetime.now(UTC).date() + timedelta(days=days)
    return Settings(trust=Trust.model_validate({kind: [entry]}))


def engine(*args: str, command: list[str] | None = None, env: list[Any] | None = None) -> Any:
    box = {**BOX, "name": "vllm", "command": command or ["vllm", "serve"], "args": list(args)}
    return deployment({**box, "env": env or []}, "model")


def verdicts(sensitivity: str, workload: Any, settings: Settings | None = None) -> list[str]:
    graph = (workload, namespace_of_class(sensitivity))
    return [finding.verdict for finding in findings_of(FLAGS, *graph, settings=settings)]


@pytest.mark.parametrize("sensitivity", ["confidential", "restricted"])
@pytest.mark.parametrize(
    "workload",
    [
        engine("/models", "--kv-transfer-config", "{}"),
        engine("/models", "--log_level", "debug"),
        engine(command=["sh", "-c", "exec vllm serve /models --log-level=debug"]),
        engine("$(MORE)", env=[{"name": "MORE", "value": "--otlp-traces-endpoint=http://10.9.9.9"}]),
        engine("--middleware=x.y", command=["python3", "-m", "vllm.entrypoints.openai.api_server"]),
    ],
)
def test_an_own_pod_with_a_leaking_argument_is_refused_and_no_trust_allows_it(
    sensitivity: str, workload: Any
):
    assert verdicts(sensitivity, workload) == ["violated"]
    for flag in ("--kv-transfer-config", "--log-level"):
        assert verdicts(sensitivity, workload, trusting("engine_flags", flag)) == ["violated"]
    assert verdicts("public", workload) == []


@pytest.mark.parametrize(
    "workload",
    [
        engine("/models", "--profiler-config", "{}"),
        engine("/models", "--a-flag-of-tomorrow"),
        engine("/models", "$(MORE)"),
        engine(command=["sh", "-c", "vllm serve /models $MORE"]),
    ],
)
@pytest.mark.parametrize("sensitivity", ["internal", "confidential", "restricted"])
def test_an_argument_that_nobody_knows_is_undecided(sensitivity: str, workload: Any):
    assert verdicts(sensitivity, workload) == ["undecided"]


def test_the_trust_file_decides_about_unknown_arguments_until_its_entry_ends():
    workload = engine("/models", "--profiler_config={}")
    assert verdicts("restricted", workload, trusting("engine_flags", "--profiler-config", days=1)) == []
    assert verdicts("restricted", workload, trusting("engine_flags", "--profiler-config", days=-1)) == [
        "undecided"
    ]
    leaking = engine("/models", "--kv-transfer-config={}")
    assert verdicts("internal", leaking) == ["undecided"]
    assert verdicts("internal", leaking, trusting("engine_flags", "--kv-transfer-config")) == []


def test_a_program_beside_vllm_is_not_judged_by_vllms_arguments():
    assert verdicts("restricted", engine("--config=x", command=["collector"])) == []


def test_variables_of_a_sagemaker_model_are_arguments_too():
    for variables, expected in (
        ({"SM_VLLM_MODEL": "/opt/ml/model", "SM_VLLM_MAX_NUM_SEQS": "8", "HF_HUB_OFFLINE": "1"}, []),
        ({"SM_VLLM_KV_TRANSFER_CONFIG": "{}"}, ["violated"]),
        ({"SM_VLLM_LOG_LEVEL": "debug"}, ["violated"]),
    ):
        inputs = {
            "tags": {"isthmus.dev/class": "confidential"},
            "primaryContainer": {"environment": variables},
        }
        model = resource_of("aws:sagemaker/model:Model", "m", inputs)
        assert [finding.verdict for finding in findings_of(FLAGS, model)] == expected
