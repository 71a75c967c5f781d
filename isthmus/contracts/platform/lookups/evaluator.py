"""What follows from the evaluation jobs of a gateway: their folders, names and the gateway that they ask."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.contracts.platform.model.evaluator import EvaluationJob, GatewayEvaluator
from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reference.admission import class_namespace

SETTINGS_FOLDER, SETTINGS_FILE = "/etc/isthmus/evaluation", "job.json"
CASES_FOLDER, KEYS_FOLDER = "/etc/isthmus/cases", "/etc/isthmus/keys"
SIGNING_FOLDER, TLS_FOLDER = "/etc/isthmus/signing", "/etc/isthmus/tls"
STATE_FOLDER = "/var/lib/isthmus/evaluation"
COMMAND = ("python", "-m", "isthmus.engine.evaluation.job", f"{SETTINGS_FOLDER}/{SETTINGS_FILE}")
"""What an evaluation job runs."""
GRACE_S = 900
"""Seconds that a job has beyond its minutes: to pull the image, start, judge and sign."""


def gateway_url(sensitivity: str) -> str:
    """The gateway of a class, as jobs in its cluster call it."""
    return f"https://{sensitivity}-gateway.{class_namespace(sensitivity)}.svc:8443"


def tls_secret(sensitivity: str) -> str:
    """The Secret that cert-manager fills with the client certificate of a class's jobs."""
    return f"{sensitivity}-evaluator-tls"


def evaluated_endpoints(platform: Platform) -> set[str]:
    """Ids of the endpoints that evaluation jobs ask: of workloads, their canaries and judges."""
    return set(_evaluated(platform))


def _evaluated(platform: Platform) -> Iterator[str]:
    for gateway in platform.gateways:
        workloads = {workload.name: workload for workload in gateway.workloads}
        for job in gateway.evaluator.jobs if gateway.evaluator is not None else ():
            for name in (job.name, job.judge):
                if name is not None and (workload := workloads.get(name)) is not None:
                    yield workload.endpoint
                    if workload.canary is not None:
                        yield workload.canary.endpoint


def stated_secrets(sensitivity: str, evaluator: GatewayEvaluator, job: EvaluationJob) -> dict[str, set[str]]:
    """The Secrets that a job mounts, each with the folders where."""
    mounted = [
        (job.secret, KEYS_FOLDER),
        (evaluator.signing_secret, SIGNING_FOLDER),
        (evaluator.certificate_secret or tls_secret(sensitivity), TLS_FOLDER),
        *([(job.cases_secret, CASES_FOLDER)] if job.cases_secret is not None else []),
    ]
    return {name: {folder for secret, folder in mounted if secret == name} for name, _ in mounted}


def stated_claims(job: EvaluationJob) -> dict[str, str]:
    """The claims that a job mounts, each with the folder where. It may write in `STATE_FOLDER` only."""
    claims = {job.volume: STATE_FOLDER}
    if job.cases_claim is not None:
        claims[job.cases_claim] = CASES_FOLDER
    return claims
