"""Models of the catalogue that a workload does not consider yet, and could: to choose what to evaluate next.

Their scores are not known. What is known is whether the class, the licence, the residency, the context and the hardware
allow them, and what they would cost by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from isthmus.contracts.requirements.workloads import Candidate
from isthmus.core.errors import InputError
from isthmus.core.validation_errors import did_you_mean
from isthmus.planning.catalogues import bedrock, models
from isthmus.planning.options import candidates, hardware
from isthmus.planning.options.gpu import describe_hardware
from isthmus.planning.options.option import OnApi, Option, Rules

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements, Workload

DEAREST = 3.0
"""Factor on the cost of today's candidate up to which a model is worth a look."""


@dataclass(frozen=True)
class Unconsidered:
    """A model that could serve a workload, if an evaluation shows that it is good enough."""

    workload: str
    model: str
    precision: str
    place: str
    """Site and hardware, or the call of Bedrock."""
    parameters_billion: float | None
    """None for models of Bedrock whose size is not published."""
    monthly_usd: float
    """USD a month by itself: its tokens, or its replicas at the workload's peak without headroom."""
    candidate_usd: float | None
    """The same of the cheapest candidate today. None: none of them can be placed."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def worth_a_look(models_found: Sequence[Unconsidered]) -> list[Unconsidered]:
    """Those of one workload at most `DEAREST` times as dear as its candidate, of which none is cheaper and larger.

    Models without a published size are all there.
    """
    shown: list[Unconsidered] = []
    largest = 0.0
    by_cost = sorted(models_found, key=lambda model: (model.monthly_usd, -(model.parameters_billion or 0.0)))
    for model in by_cost:
        if model.candidate_usd is not None and model.monthly_usd > DEAREST * model.candidate_usd:
            continue
        if model.parameters_billion is None or model.parameters_billion > largest:
            largest = max(largest, model.parameters_billion or 0.0)
            shown.append(model)
    return shown


def models_to_evaluate(
    requirements: Requirements, rules: Rules, workload: str | None = None
) -> list[Unconsidered]:
    """Each model in its cheapest place, by workload, cheapest first.

    Args:
        requirements: with the workloads, their candidates and the sites.
        rules: the day, and what can be built.
        workload: only this one.

    Raises `InputError` for a workload that the requirements lack.
    """
    names = [stated.name for stated in requirements.workloads]
    if workload is not None and workload not in names:
        raise InputError(
            f"the requirements have no workload `{workload}`",
            where="--workload",
            fix=did_you_mean(workload, names) or f"Choose one of {', '.join(names)}",
        )
    wanted = [stated for stated in requirements.workloads if workload in (None, stated.name)]
    return [model for stated in wanted for model in _of_workload(requirements, rules, stated)]


def _of_workload(requirements: Requirements, rules: Rules, workload: Workload) -> Iterator[Unconsidered]:
    today = _options(requirements, rules, workload, workload.model.candidates)
    candidate_usd = min((_cost(requirements, option) for option in today), default=None)
    cheapest: dict[str, tuple[float, Option]] = {}
    for option in _options(requirements, rules, workload, list(_others(workload))):
        model, cost = _model(option), _cost(requirements, option)
        if model not in cheapest or cost < cheapest[model][0]:
            cheapest[model] = cost, option
    for model, (cost, option) in sorted(cheapest.items(), key=lambda entry: (entry[1][0], entry[0])):
        if isinstance(option, OnApi):
            precision, size = "api", None
            place = f"{option.call.profile or 'direct'} from {option.call.region}"
        else:
            precision, size = (
                option.column.precision,
                round(models.find_model(model).architecture.total / 1e9, 2),
            )
            place = f"{describe_hardware(option.column)} at {option.site}"
        now = None if candidate_usd is None else round(candidate_usd, 2)
        yield Unconsidered(workload.name, model, precision, place, size, round(cost, 2), now)


def _options(
    requirements: Requirements, rules: Rules, workload: Workload, wanted: Sequence[Candidate]
) -> list[Option]:
    if not wanted:
        return []
    changed = workload.model_copy(
        update={"model": workload.model.model_copy(update={"candidates": list(wanted)})}
    )
    alone = requirements.model_copy(update={"workloads": [changed]})
    return candidates.find_options(alone, rules).by_workload[workload.name]


def _others(workload: Workload) -> Iterator[Candidate]:
    """Every model of the workload's task that is not a candidate, as if it had the score that is needed."""
    known = {candidate.id for candidate in workload.model.candidates}
    served = {bedrock.bedrock_id(name) for name in known}
    enough = workload.model.min_score
    for name in models.ids():
        model = models.find_model(name)
        if name not in known and model.task == workload.task and model.precisions:
            yield Candidate.model_validate({"id": name, "scores": dict.fromkeys(model.precisions, enough)})
    for name in bedrock.ids():
        if name not in served and bedrock.task(name) == workload.task:
            yield Candidate(id=name, scores={"api": enough})


def _model(option: Option) -> str:
    return option.model if isinstance(option, OnApi) else option.column.model


def _cost(requirements: Requirements, option: Option) -> float:
    if isinstance(option, OnApi):
        return option.monthly
    replicas = max(1, math.ceil(option.units))
    return replicas * hardware.monthly_replica_price(requirements, option.column) + option.monthly
