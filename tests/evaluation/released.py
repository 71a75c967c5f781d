"""A platform with a candidate that may answer people, and the result that lets it. For tests."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from edge import ssh_signatures
from isthmus.contracts import signed_results
from isthmus.contracts.evaluation_result import EvaluationResult
from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Platform
from isthmus.contracts.trust import EvaluatorEntry, Trust
from isthmus.core.digests import sha256_of
from isthmus.evaluation.definition import digests_of
from isthmus.evaluation.subjects import subject_of
from tests.evaluation.signing import KEY
from tests.evaluation.test_judging import judged, scores
from tests.policies.making import platform_with

TODAY = date(2026, 12, 2)
WORKLOAD = "claims"
NAME = f"{WORKLOAD}/results/v2.json"
CANARY: dict[str, Any] = {"endpoint": "llama-v2", "percent": 5}
ENDPOINTS: dict[str, dict[str, Any]] = {
    "llama-v1": {"model": "bank/llama", "weights": {"uri": "pvc://v1", "digest": f"sha256:{'1' * 64}"}},
    "llama-v2": {"model": "bank/llama", "weights": {"uri": "pvc://v2", "digest": f"sha256:{'2' * 64}"}},
    "nova": {"model": "bank/nova", "weights": {"uri": "pvc://nova", "digest": f"sha256:{'3' * 64}"}},
}


def released(canary: dict[str, Any] | None = None, **more: Any) -> Platform:
    """A platform whose workload has a candidate. `canary`: more settings of it. `more`: settings of the workload."""
    endpoints = [
        Endpoint.model_validate(
            {
                "id": name,
                "class": "restricted",
                "site": "fra1",
                "target": "onprem-vllm",
                "precision": "fp8",
                **facts,
            }
        )
        for name, facts in ENDPOINTS.items()
    ]
    workload = {"name": WORKLOAD, "endpoint": "llama-v1", "canary": {**CANARY, **(canary or {})}, **more}
    about = {"class": "restricted", "name": "restricted-fra1", "site": "fra1", "host": "llm.bank.example"}
    judge = {"name": "judge", "endpoint": "nova"}
    gateway = {**about, "callers_secret": "callers", "workloads": [workload, judge]}
    names = {"class": "internal", "name": "internal-fra1", "callers_secret": "callers"}
    other = {**about, **names, "workloads": [{"name": "other-judge", "endpoint": "nova"}]}
    gateways = [Gateway.model_validate(entry) for entry in (gateway, other)]
    return platform_with(endpoints=endpoints, gateways=gateways)


def evaluated(project: Path, platform: Platform, **changes: Any) -> dict[str, str]:
    """Write the evaluation of the candidate, and its signed result. Returns how `canary.evaluation` names it.

    `changes`: fields of the result before it is signed.
    """
    folder = project / "evaluations" / WORKLOAD
    result = judged(folder, scores(900, 1000), scores(905, 1000), run={"official": True})
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    workload = platform.gateways[0].workloads[0]
    facts = {
        "workload": WORKLOAD,
        "evaluated_by": ssh_signatures.public_key_of(KEY),
        "definition_sha256": digests_of(folder)[0],
        "serving": subject_of(endpoints["llama-v1"], workload, None),
        "candidate": subject_of(endpoints["llama-v2"], workload, None),
        **changes,
    }
    changed = EvaluationResult.model_validate({**dict(result), **facts})
    file = project / "evaluations" / NAME
    file.parent.mkdir(exist_ok=True)
    signed_results.write(file, changed, KEY)
    return {"file": NAME, "sha256": sha256_of(file.read_bytes())}


def trusting(key: bytes = KEY, owner: str = "model risk", expires: date | None = None) -> Trust:
    value = ssh_signatures.public_key_of(key)
    return Trust(evaluators=[EvaluatorEntry(value=value, reason="validates", owner=owner, expires=expires)])
