"""Builds the arguments of Evaluator from the platform's contract."""

from __future__ import annotations

from typing import Any

from components.base.platform_lookups import shared_arguments
from components.evaluation.evaluator import EvaluatorArgs
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.evaluation.jobs import job_settings

_JOB = {"secret", "cases_secret", "cases_claim", "volume", "schedule", "minutes"}


def evaluator_args(platform: Platform, gateway: Gateway, gateway_ip: Any) -> EvaluatorArgs | None:
    """Arguments of a gateway's evaluation jobs. None if it has none. `gateway_ip`: address of its Service."""
    evaluator = gateway.evaluator
    if evaluator is None:
        return None
    shared = shared_arguments(platform, evaluator.certificate_secret)
    arguments: dict[str, Any] = {
        **{key: shared[key] for key in ("issuer", "certificate_secret", "pull_secrets") if key in shared},
        "sensitivity": gateway.class_,
        "image": platform.images.evaluator,
        "gateway_ip": gateway_ip,
        "signing_secret": evaluator.signing_secret,
        "cpu": evaluator.cpu,
        "memory": evaluator.memory,
        "jobs": [
            {
                "workload": job.name,
                "settings": job_settings(platform, gateway, evaluator, job),
                **job.model_dump(include=_JOB, exclude_none=True),
            }
            for job in evaluator.jobs
        ],
    }
    return arguments  # type: ignore[return-value]
