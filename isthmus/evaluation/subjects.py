"""What is evaluated: the endpoints that serve a workload and its candidate, with all that changes their answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast, get_args

from isthmus.contracts.evaluation_result import Subject
from isthmus.contracts.vocabulary import Precision
from isthmus.core.digests import sha256_of
from isthmus.core.errors import InputError, Refused
from isthmus.core.validation_errors import known_names

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform, Workload
    from isthmus.contracts.vocabulary import Sensitivity
    from isthmus.evaluation.outcomes import Version

_NO_INFLUENCE = frozenset(
    {
        "id", "class_", "site", "pool", "replicas", "gpus", "survive", "drain_s", "cpu", "memory", "concurrency",
        "gpu_memory_utilization", "max_num_seqs", "compile_cache", "picker", "prefix_cache", "mig_profile", "cost",
        "load_timeout_s", "surge", "team", "priority", "certificate_secret", "time_sliced",
    }
)  # fmt: skip
"""Settings of an endpoint that change its place, size, speed or price, and no answer."""


def find_workload(platform: Platform, name: str, site: str | None = None) -> tuple[Workload, Sensitivity]:
    """A workload of the platform, and its class. `site`: of its gateway, if several have it. Raises `InputError`."""
    gateways = [
        (gateway, workload)
        for gateway in platform.gateways
        for workload in gateway.workloads
        if workload.name == name
    ]
    if not gateways:
        known = {workload.name for gateway in platform.gateways for workload in gateway.workloads}
        raise InputError(
            f"the stack has no workload `{name}`", where="WORKLOAD", fix=known_names(name, sorted(known))
        )
    gateway, workload = next((entry for entry in gateways if entry[0].site == site), gateways[0])
    return workload, gateway.class_


def find_subjects(
    platform: Platform, workload: Workload, candidate: str | None, prompt_sha256: str | None
) -> Mapping[Version, Subject]:
    """What serves the workload, and the candidate if one is asked for.

    Args:
        platform: the stack's platform.
        workload: whose models are evaluated.
        candidate: model or endpoint of the workload's canary; None evaluates only what serves.
        prompt_sha256: digest of the system prompt.

    Raises:
        Refused: the workload has no canary.
        InputError: the canary is another model.
    """
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    subjects: dict[Version, Subject] = {
        "serving": subject_of(endpoints[workload.endpoint], workload, prompt_sha256)
    }
    if candidate is None:
        return subjects
    if workload.canary is None:
        raise Refused(
            f"the workload `{workload.name}` has no candidate, so `{candidate}` cannot be asked",
            where=f"workloads[{workload.name}].canary",
            fix="Add its endpoint, and `canary: {endpoint: …, percent: 0}`, to the overrides, and run `isthmus up`",
        )
    endpoint = endpoints[workload.canary.endpoint]
    if candidate not in (endpoint.id, endpoint.model):
        raise InputError(
            f"the candidate of `{workload.name}` is {endpoint.model} (endpoint {endpoint.id}), not `{candidate}`",
            where="--candidate",
            fix=f"Write --candidate {endpoint.id}, or change `canary` in the overrides",
        )
    subjects["candidate"] = subject_of(endpoint, workload, prompt_sha256)
    return subjects


def find_judge(
    platform: Platform, judge: str, sensitivity: Sensitivity, subjects: Mapping[Version, Subject]
) -> Subject:
    """What judges. Raises `Refused` unless it is a workload of the same class with another model than it judges."""
    workload, of = find_workload(platform, judge)
    if of != sensitivity:
        raise Refused(
            f"the judge `{judge}` is of class {of}, and answers of class {sensitivity} stay in their class",
            where="judge.workload",
            fix=f"Name a workload of class {sensitivity}",
        )
    endpoint = next(endpoint for endpoint in platform.endpoints if endpoint.id == workload.endpoint)
    if judged := [subject for subject in subjects.values() if subject.model == endpoint.model]:
        raise Refused(
            f"the judge `{judge}` is the model {endpoint.model}, which would judge its own answers (endpoint"
            f" {judged[0].endpoint})",
            where="judge.workload",
            fix="Name a workload with another model",
        )
    return subject_of(endpoint, workload, None)


def subject_of(endpoint: Endpoint, workload: Workload, prompt_sha256: str | None) -> Subject:
    """What an endpoint serves to a workload. `prompt_sha256`: digest of the system prompt; None without one."""
    settings = endpoint.model_dump(mode="json", by_alias=False, exclude=set(_NO_INFLUENCE))
    settings["weights"] = endpoint.weights.digest if endpoint.weights else None
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return Subject(
        endpoint=endpoint.id,
        model=endpoint.model,
        precision=_precision(endpoint),
        weights=endpoint.weights.digest if endpoint.weights else None,
        adapter=workload.adapter,
        engine_sha256=sha256_of(text),
        prompt_sha256=prompt_sha256,
    )


def _precision(endpoint: Endpoint) -> Precision | None:
    if endpoint.target == "bedrock":
        return "api"
    precision = endpoint.precision or (endpoint.weights.precision if endpoint.weights else None)
    return cast("Precision | None", precision if precision in get_args(Precision) else None)
