"""The settings of an evaluation job: which models it asks where, what it may take, and who signs.

The platform states jobs (`gateways[].evaluator`), components write the settings, and the job reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from isthmus.contracts.evaluation_result import Subject
from isthmus.contracts.platform.lookups.evaluator import (
    CASES_FOLDER,
    KEYS_FOLDER,
    SIGNING_FOLDER,
    STATE_FOLDER,
    TLS_FOLDER,
    gateway_url,
)
from isthmus.contracts.vocabulary import Part, Sensitivity
from isthmus.evaluation.outcomes import Version
from isthmus.evaluation.subjects import subject_of

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.evaluator import EvaluationJob, GatewayEvaluator
    from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Platform, Workload

VERSION = "evaluation job v1"
MILLION = 1_000_000


class JobJudge(Part):
    """Who scores the tasks with a rubric."""

    workload: str
    subject: Subject


class JobSettings(Part):
    """What an evaluation job reads."""

    isthmus: Literal["evaluation job v1"] = VERSION
    stack: str
    """Name of the platform, as results have it."""
    workload: str
    sensitivity: Sensitivity
    site: str
    url: str
    """The gateway of the class."""
    official: bool
    """Whether a complete result is official: the platform is neither disposable nor a sandbox."""
    signer: str
    """Public key of the signing key."""
    serving: Subject
    """The version in use. The job adds the digest of the system prompt, which is among the cases."""
    candidate: Subject | None = None
    judge: JobJudge | None = None
    usd_per_token: dict[Version, tuple[float, float]] = {}
    """Price of a token of a prompt and of an answer, where the platform states one."""
    tokens: int = Field(ge=1)
    minutes: float = Field(gt=0)
    parallel: int = Field(ge=1)
    cases: str = CASES_FOLDER
    """Folder with `evaluation.yaml`, the system prompt and the cases."""
    keys: str = KEYS_FOLDER
    """Folder with `key`, a key for evaluations of the workload, and `judge-key`, one of the judge's workload."""
    signing: str = SIGNING_FOLDER
    """Folder with `evaluator.key`, the signing key."""
    tls: str = TLS_FOLDER
    """Folder with the client certificate: `tls.crt`, `tls.key` and `ca.crt`."""
    state: str = STATE_FOLDER
    """Folder of a volume that outlives the pod: unfinished runs and results."""


def job_settings(
    platform: Platform, gateway: Gateway, evaluator: GatewayEvaluator, job: EvaluationJob
) -> dict[str, Any]:
    """The settings of a job, as JSON has them. The platform's rules ensure that its workloads and endpoints exist."""
    workloads = {workload.name: workload for workload in gateway.workloads}
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    workload = workloads[job.name]
    versions: dict[Version, Endpoint] = {"serving": endpoints[workload.endpoint]}
    if workload.canary is not None:
        versions["candidate"] = endpoints[workload.canary.endpoint]
    judge = None
    if job.judge is not None:
        judging = workloads[job.judge]
        judge = JobJudge(workload=job.judge, subject=subject_of(endpoints[judging.endpoint], judging, None))
    settings = JobSettings(
        stack=platform.name,
        workload=job.name,
        sensitivity=gateway.class_,
        site=gateway.site,
        url=gateway_url(gateway.class_),
        official=platform.lifecycle != "disposable",
        signer=evaluator.signer,
        serving=_subject(versions["serving"], workload),
        candidate=_subject(versions["candidate"], workload) if "candidate" in versions else None,
        judge=judge,
        usd_per_token={
            version: (prices.prompt / MILLION, prices.completion / MILLION)
            for version, endpoint in versions.items()
            if endpoint.cost is not None and (prices := endpoint.cost.usd_per_million_tokens) is not None
        },
        tokens=job.tokens,
        minutes=job.minutes,
        parallel=job.parallel,
    )
    return settings.model_dump(mode="json")


def _subject(endpoint: Endpoint, workload: Workload) -> Subject:
    return subject_of(endpoint, workload, None)
