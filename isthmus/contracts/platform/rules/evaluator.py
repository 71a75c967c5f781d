"""Rules for evaluation jobs: they ask workloads of their own gateway, and cases, keys and signing key are apart."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.contracts.platform.model.evaluator import GatewayEvaluator
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.platform.rules.names import check_known, check_once
from isthmus.contracts.platform.rules.signed_on_pages import Path
from isthmus.core.errors import FieldError, caught, raise_all


def evaluators_can_work(platform: Platform) -> None:
    """Evaluation jobs have an image, run beside a gateway in a cluster, and ask its workloads."""
    raise_all(
        error
        for path, gateway, evaluator in _evaluators(platform)
        for check in (_check_place, _check_workloads, _check_judges, _check_secrets)
        for error in caught(check, platform, path, gateway, evaluator)
    )


def _evaluators(platform: Platform) -> Iterator[tuple[Path, Gateway, GatewayEvaluator]]:
    for index, gateway in enumerate(platform.gateways):
        if gateway.evaluator is not None:
            yield ("gateways", index, "evaluator"), gateway, gateway.evaluator


def _check_place(platform: Platform, path: Path, gateway: Gateway, _: GatewayEvaluator) -> None:
    if gateway.runs_on == "fargate":
        raise FieldError(
            f"gateway {gateway.name} runs on Fargate, and evaluation jobs run in a cluster only",
            *path,
            fix="Remove `evaluator`, and run `isthmus evaluate` on a machine of yours (docs/evaluation.md)",
        )
    if platform.images.evaluator is None:
        raise FieldError(
            "evaluation jobs need the image `evaluator`",
            *("images", "evaluator"),
            fix="Set images.evaluator, by digest",
        )


def _check_workloads(_: Platform, path: Path, gateway: Gateway, evaluator: GatewayEvaluator) -> None:
    names = [job.name for job in evaluator.jobs]
    workloads = [workload.name for workload in gateway.workloads]
    judges = [job.judge for job in evaluator.jobs if job.judge is not None]
    check_known(gateway, "workload", [*names, *judges], workloads, (*path, "jobs"))
    check_once("workload", names, (*path, "jobs"))


def _check_judges(platform: Platform, path: Path, gateway: Gateway, evaluator: GatewayEvaluator) -> None:
    """A judge has another model than those that it judges."""
    workloads = {workload.name: workload for workload in gateway.workloads}
    models = {endpoint.id: endpoint.model for endpoint in platform.endpoints}
    for number, job in enumerate(evaluator.jobs):
        judging, judged = workloads.get(job.judge or ""), workloads.get(job.name)
        if judging is None or judged is None:
            continue
        model = models.get(judging.endpoint)
        endpoints = [judged.endpoint, *([judged.canary.endpoint] if judged.canary else [])]
        for endpoint in endpoints:
            if model is not None and models.get(endpoint) == model:
                raise FieldError(
                    f"the judge {job.judge} is the model {model}, which would judge its own answers (endpoint"
                    f" {endpoint})",
                    *(*path, "jobs", number, "judge"),
                    fix="Name a workload with another model",
                    refused=True,
                )


def _check_secrets(_: Platform, path: Path, gateway: Gateway, evaluator: GatewayEvaluator) -> None:
    """Who may read cases or keys of the gateway cannot sign results: the Secrets differ."""
    for number, job in enumerate(evaluator.jobs):
        for key in ("secret", "cases_secret"):
            if getattr(job, key) == evaluator.signing_secret:
                raise FieldError(
                    f"the evaluation of {job.name} takes {key} and the signing key of gateway {gateway.name} from one"
                    f" Secret, {evaluator.signing_secret}",
                    *(*path, "jobs", number, key),
                    fix="Put the signing key into a Secret of its own",
                    refused=True,
                )
        if job.cases_claim == job.volume:
            raise FieldError(
                f"the evaluation of {job.name} would write its results where its cases are ({job.volume})",
                *(*path, "jobs", number, "cases_claim"),
                fix="Name another claim",
            )


CHECKS = (evaluators_can_work,)
