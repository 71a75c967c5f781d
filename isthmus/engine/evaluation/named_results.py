"""Reads the results of evaluations that a platform's candidates name, from the files of the project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.contracts import signed_results
from isthmus.contracts.named_results import NamedResult
from isthmus.contracts.requirements.measured_scores import FOLDER
from isthmus.core.errors import InputError, IsthmusError
from isthmus.evaluation import definition

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.platform.model.serving import CandidateEvaluation
    from isthmus.contracts.signed_results import SignedResult


def read_named_results(project: Path, platform: Platform) -> list[NamedResult]:
    """The results that candidates of the platform name. A result that cannot be read has its fault.

    Args:
        project: folder of the project.
        platform: the stack's platform.
    """
    named = {
        (workload.name, workload.canary.evaluation.file, workload.canary.evaluation.sha256): (
            workload.name,
            workload.canary.evaluation,
        )
        for gateway in platform.gateways
        for workload in gateway.workloads
        if workload.canary is not None and workload.canary.evaluation is not None
    }
    return [_read(project / FOLDER, workload, evaluation) for workload, evaluation in named.values()]


def _read(folder: Path, workload: str, evaluation: CandidateEvaluation) -> NamedResult:
    fault, signed = "", None
    try:
        signed = _read_result(folder, evaluation)
    except InputError as error:
        fault = error.what
    try:
        definition_sha256, prompt_sha256 = definition.digests_of(folder / workload)
    except IsthmusError:
        definition_sha256, prompt_sha256 = None, None
    return NamedResult(
        workload=workload,
        file=evaluation.file,
        sha256=evaluation.sha256,
        signed=signed,
        fault=fault,
        definition_sha256=definition_sha256,
        prompt_sha256=prompt_sha256,
    )


def _read_result(folder: Path, evaluation: CandidateEvaluation) -> SignedResult:
    if not (folder / evaluation.file).is_file():
        raise InputError(f"there is no result {FOLDER}/{evaluation.file}")
    signed = signed_results.read_named(folder, evaluation.file, evaluation.sha256)
    return signed.model_copy(update={"result": signed.result.model_copy(update={"outcomes": []})})
