"""Reads the scores of candidates from the results of evaluations that requirements name (`scores_from`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.contracts import signed_results, trust
from isthmus.contracts.evaluation_result import EvaluationResult, Measured, Subject
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.core.errors import InputError, IsthmusError, join

if TYPE_CHECKING:
    from isthmus.contracts.requirements.workloads import Candidate, ScoreSource, Workload
    from isthmus.core.yaml_documents import Document, PathOf

FOLDER = "evaluations"
"""Folder with the results, beside the requirements or in a folder above them."""


def with_measured_scores(workloads: Sequence[Workload], document: Document) -> list[Workload]:
    """Return the workloads with the scores of the results that they name. Raises `InputError` for every fault.

    Args:
        workloads: those of the requirements.
        document: the requirements' file, for the places of results and for errors.
    """
    faults: list[IsthmusError] = []
    measured: list[Workload] = []
    for index, workload in enumerate(workloads):
        candidates = [
            _measured(
                document, workload, candidate, ("workloads", index, "model", "candidates", number), faults
            )
            for number, candidate in enumerate(workload.model.candidates)
        ]
        model = workload.model.model_copy(update={"candidates": candidates})
        measured.append(workload.model_copy(update={"model": model}))
    if faults:
        raise join(faults)
    return measured


def _measured(
    document: Document,
    workload: Workload,
    candidate: Candidate,
    path: PathOf,
    faults: list[IsthmusError],
) -> Candidate:
    scores: dict[Any, float] = dict(candidate.scores)
    unofficial: dict[str, str] = {}
    for number, source in enumerate(candidate.scores_from):
        where = document.where((*path, "scores_from", number))
        try:
            result, unofficial_because = _read(document, workload, source)
            measured = _scores_of(result, candidate, source)
        except IsthmusError as error:
            faults.append(type(error)(error.what, where=where, fix=error.fix))
            continue
        if twice := [precision for precision in measured if precision in scores]:
            what = f"{candidate.id} has two scores at {twice[0]}"
            faults.append(InputError(what, where=where, fix="Remove one of them"))
        scores |= measured
        if unofficial_because:
            unofficial |= dict.fromkeys(measured, unofficial_because)
    changed = candidate.model_copy(update={"scores": scores})
    changed._unofficial = unofficial  # pyright: ignore[reportPrivateUsage]
    return changed


def _read(document: Document, workload: Workload, source: ScoreSource) -> tuple[EvaluationResult, str]:
    """The result, and why it is not official (empty if it is).

    Raises `InputError` unless it is whole and of this workload.
    """
    folder = _find(document, source.file)
    signed = signed_results.read_named(folder, source.file, source.sha256)
    result = signed.result
    if result.workload != workload.name:
        raise InputError(
            f"the result {source.file} is of the workload {result.workload}", fix=f"Evaluate {workload.name}"
        )
    if not result.complete:
        raise InputError(f"the evaluation of {source.file} is not complete", fix="Run it to its end")
    if result.stand_ins:
        raise InputError(
            f"the result {source.file} is of the sandbox, where stand-ins answer for the models",
            fix="Evaluate the workload on a platform with its models",
        )
    if SENSITIVITIES.index(result.sensitivity) > SENSITIVITIES.index(workload.sensitivity):
        raise InputError(
            f"the result {source.file} is of class {result.sensitivity}, above that of the workload",
            fix="Evaluate with cases of the workload's class",
        )
    # The trust file stands beside the folder of evaluations, in the project's own folder.
    return result, signed.why_unofficial(trust.read(folder.parent), datetime.now(UTC).date())


def _scores_of(result: EvaluationResult, candidate: Candidate, source: ScoreSource) -> dict[str, float]:
    """The scores of the candidate's model in a result, by precision. Raises `InputError` if they are not one each."""
    scored = [entry for entry in _scored(result) if source.of in (None, entry[0])]
    scores: dict[str, float] = {}
    for _, subject, score in scored:
        if subject.model != candidate.id or subject.precision is None:
            continue
        if subject.precision in scores:
            raise InputError(
                f"the result {source.file} has two scores of {candidate.id} at {subject.precision}",
                fix="Add `of: serving` for the version in use, or `of: candidate`",
            )
        scores[subject.precision] = score.value
    if not scores:
        models = ", ".join(f"{subject.model} at {subject.precision}" for _, subject, _ in scored) or "none"
        raise InputError(
            f"the result {source.file} has no score of {candidate.id}; it has {models}",
            fix="Name the result of this model",
        )
    return scores


def _scored(result: EvaluationResult) -> Iterator[tuple[str, Subject, Measured]]:
    if result.serving is not None and result.score_serving is not None:
        yield "serving", result.serving, result.score_serving
    if result.candidate is not None and result.score_candidate is not None:
        yield "candidate", result.candidate, result.score_candidate


def _find(document: Document, name: str) -> Path:
    """The nearest folder of evaluations that has a result. Raises `InputError`."""
    start = Path(document.file or "requirements").absolute().parent
    for folder in (start, *start.parents):
        if (folder / FOLDER / name).is_file():
            return folder / FOLDER
    raise InputError(
        f"there is no result {FOLDER}/{name} beside the requirements or above them",
        fix="Check the name, or write the result with `isthmus evaluate`",
    )
