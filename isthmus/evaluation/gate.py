"""The gate of releases: what a candidate lacks before it may answer people.

A candidate needs the result of an evaluation that is official, complete and passed, and that is about exactly what the
candidate serves. The result is read by `isthmus.engine.evaluation.named_results`; nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from isthmus.contracts.evaluation_result import EvaluationResult, Measured, Subject
from isthmus.contracts.reports.candidates import Candidate, Missing, Scores
from isthmus.evaluation.definition import FILE, FOLDER
from isthmus.evaluation.subjects import subject_of

if TYPE_CHECKING:
    from isthmus.contracts.named_results import NamedResult
    from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Platform, Workload
    from isthmus.contracts.platform.model.serving import Canary
    from isthmus.contracts.trust import Trust

_WORDS: Mapping[str, str] = {
    "model": "model",
    "precision": "precision",
    "weights": "digest of the weights",
    "adapter": "adapter",
    "engine_sha256": "digest of the engine's settings",
    "prompt_sha256": "digest of the system prompt",
}
"""Field of a subject → how messages name it."""


@dataclass(frozen=True)
class _Place:
    """Where a candidate is in the platform."""

    platform: Platform
    gateway: Gateway
    workload: Workload
    canary: Canary

    @property
    def evaluate(self) -> str:
        """The command that makes the result."""
        return f"`isthmus evaluate STACK {self.workload.name} --candidate {self.canary.endpoint} --signing-key FILE`"

    def endpoint(self, name: str) -> Endpoint:
        return next(endpoint for endpoint in self.platform.endpoints if endpoint.id == name)


def judge_candidates(
    platform: Platform, results: Sequence[NamedResult] | None, trust: Trust, today: date
) -> list[Candidate]:
    """The gate's verdict on each candidate of a platform.

    Args:
        platform: the stack's platform.
        results: those that its candidates name. None: they were not read; then only a candidate that names none lacks
            something.
        trust: whom the project trusts as evaluators.
        today: the day on which they must be trusted.
    """
    return [
        _judge(_Place(platform, gateway, workload, workload.canary), results, trust, today)
        for gateway in platform.gateways
        for workload in gateway.workloads
        if workload.canary is not None
    ]


def _judge(place: _Place, results: Sequence[NamedResult] | None, trust: Trust, today: date) -> Candidate:
    named = _find(place, results or [])
    missing: list[Missing] = []
    if place.canary.takes_requests:
        if place.canary.evaluation is None:
            missing = [_unnamed(place)]
        elif named is not None:
            missing = list(_missing(place, named, trust, today))
    signed = named.signed if named is not None else None
    evaluator = signed.evaluator(trust, today) if signed is not None else None
    return Candidate(
        workload=place.workload.name,
        class_=place.gateway.class_,
        gateway=place.gateway.name,
        endpoint=place.canary.endpoint,
        model=place.endpoint(place.canary.endpoint).model,
        share=_share(place.canary),
        takes_requests=place.canary.takes_requests,
        scores=_scores(named.file, signed.result, evaluator.owner if evaluator else "")
        if named is not None and signed is not None
        else None,
        missing=missing,
    )


def _share(canary: Canary) -> str:
    copies = f", copies of {canary.shadow_percent:g} %" if canary.shadow_percent else ""
    return f"{canary.share}{copies}"


def _find(place: _Place, results: Sequence[NamedResult]) -> NamedResult | None:
    """The result that the candidate names."""
    evaluation = place.canary.evaluation
    if evaluation is None:
        return None
    wanted = (place.workload.name, evaluation.file, evaluation.sha256)
    return next((named for named in results if (named.workload, named.file, named.sha256) == wanted), None)


def _unnamed(place: _Place) -> Missing:
    return Missing(
        what=f"the candidate {place.canary.endpoint} of {place.workload.name} names no result of an evaluation",
        fix=f"Run {place.evaluate}, and write `evaluation: {{file: …, sha256: …}}` below `canary`",
    )


def _missing(place: _Place, named: NamedResult, trust: Trust, today: date) -> Iterator[Missing]:
    """What a named result lacks."""
    again = f"Run {place.evaluate}, and name its result below `canary.evaluation`"
    if named.signed is None:
        yield Missing(what=named.fault, fix=f"Commit the file as it was, or: {again[0].lower()}{again[1:]}")
        return
    result, name = named.signed.result, place.workload.name
    if result.workload != name:
        yield Missing(
            what=f"the result {named.file} is of the workload {result.workload}, not of {name}", fix=again
        )
        return
    if result.sensitivity != place.gateway.class_:
        what = f"the result {named.file} is of class {result.sensitivity}, and {name} of class {place.gateway.class_}"
        yield Missing(what=what, fix=again)
    if reason := named.signed.why_unofficial(trust, today):
        yield Missing(what=f"the result {named.file} is not official: {reason}", fix=again)
    yield from _own_evaluation(place, named, trust, today)
    if not result.complete or result.stand_ins:
        reason = (
            "not complete" if not result.complete else "of the sandbox, where stand-ins answer for the models"
        )
        yield Missing(what=f"the result {named.file} is {reason}", fix=again)
    elif result.verdict != "passed":
        yield Missing(
            what=f"the candidate {place.canary.endpoint} of {name} has not passed: {result.verdict}, {result.why}",
            fix="Keep the version in use; or mend the candidate, or add cases if it is undecided, and evaluate again",
        )
    yield from _other_subjects(place, named, result, again)
    yield from _other_thresholds(place, named, result, again)
    yield from _unfit_judge(place, named, result, again)


def _own_evaluation(place: _Place, named: NamedResult, trust: Trust, today: date) -> Iterator[Missing]:
    """The evaluator must not be the team whose workload it is, as far as the files name both."""
    evaluator = named.signed.evaluator(trust, today) if named.signed is not None else None
    team = place.workload.team
    if evaluator is not None and team is not None and evaluator.owner.casefold() == team.casefold():
        yield Missing(
            what=f"the evaluator of {named.file} is the workload's own team {team}",
            fix="Let somebody else evaluate, whose key trust.yaml names below `evaluators`",
        )


def _other_subjects(
    place: _Place, named: NamedResult, result: EvaluationResult, again: str
) -> Iterator[Missing]:
    """Whether the result is about what the candidate and the version in use serve."""
    candidate = place.endpoint(place.canary.endpoint)
    versions = (
        ("candidate", result.candidate, candidate),
        ("version in use", result.serving, place.endpoint(place.workload.endpoint)),
    )
    for what, evaluated, endpoint in versions:
        if evaluated is None:
            yield Missing(what=f"the result {named.file} has no score of the {what}", fix=again)
            continue
        served = subject_of(endpoint, place.workload, named.prompt_sha256)
        if differing := [field for field in _WORDS if getattr(served, field) != getattr(evaluated, field)]:
            yield Missing(what=_differs(named, what, differing, evaluated, served), fix=again)
    if candidate.target != "bedrock" and candidate.weights is None:
        yield Missing(
            what=f"the platform states no weights of {candidate.id}, so no result is about them",
            fix=f"State `weights` of the endpoint {candidate.id} with their digest, and evaluate again",
        )


def _differs(
    named: NamedResult, what: str, fields: Sequence[str], evaluated: Subject, served: Subject
) -> str:
    differences = ", ".join(
        f"{_WORDS[field]} {getattr(evaluated, field) or 'none'} evaluated, {getattr(served, field) or 'none'} served"
        for field in fields
    )
    return f"the result {named.file} is about another {what}: {differences}"


def _other_thresholds(
    place: _Place, named: NamedResult, result: EvaluationResult, again: str
) -> Iterator[Missing]:
    definition = f"{FOLDER}/{place.workload.name}/{FILE}"
    if named.definition_sha256 is None:
        yield Missing(what=f"{definition} cannot be read", fix="Commit the evaluation beside its result")
    elif named.definition_sha256 != result.definition_sha256:
        yield Missing(
            what=f"the result {named.file} has other tasks or thresholds than {definition} has today",
            fix=again,
        )


def _unfit_judge(
    place: _Place, named: NamedResult, result: EvaluationResult, again: str
) -> Iterator[Missing]:
    """The judge is a workload of the same class, with another model."""
    if result.judge is None:
        return
    judges = [
        (gateway.class_, place.endpoint(workload.endpoint).model)
        for gateway in place.platform.gateways
        for workload in gateway.workloads
        if workload.name == result.judge
    ]
    judged = {subject.model for subject in (result.candidate, result.serving) if subject is not None}
    if not judges:
        reason = "is no workload of the platform"
    elif all(class_ != place.gateway.class_ for class_, _ in judges):
        reason = f"is of class {judges[0][0]}, not of class {place.gateway.class_}"
    elif all(model in judged for _, model in judges):
        reason = f"is the model {judges[0][1]}, which judged its own answers"
    else:
        return
    yield Missing(what=f"the judge {result.judge} of the result {named.file} {reason}", fix=again)


def _scores(file: str, result: EvaluationResult, signed_by: str) -> Scores:
    tasks = [(task, task.candidate) for task in result.tasks if task.candidate is not None]
    compared = [(task, task.paired.difference) for task in result.tasks if task.paired is not None]
    worst = min(compared, key=lambda entry: entry[1].low + entry[0].max_loss, default=None)
    costs = [(measures.usd_per_case, measures.cases) for _, measures in tasks]
    known = [(usd, cases) for usd, cases in costs if usd is not None]
    return Scores(
        file=file,
        score=result.score_candidate,
        loss=None if worst is None else _as_loss(worst[1]),
        max_loss=None if worst is None else worst[0].max_loss,
        loss_task="" if worst is None else worst[0].name,
        seconds_p50=max((measures.seconds_p50 for _, measures in tasks), default=0),
        seconds_p95=max((measures.seconds_p95 for _, measures in tasks), default=0),
        usd_per_case=sum(usd * cases for usd, cases in known) / sum(cases for _, cases in known)
        if known and len(known) == len(costs)
        else None,
        signed_by=signed_by,
    )


def _as_loss(difference: Measured) -> Measured:
    """A difference of scores as a loss: what the candidate has less."""
    return Measured(value=0 - difference.value, low=0 - difference.high, high=0 - difference.low)
