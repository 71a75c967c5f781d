"""Cost as the platform states it: budgets, what they stop, whose each call is, and what is bought ahead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.contracts.platform.model.aws.account import TAG_KEYS
from isthmus.contracts.platform.model.aws.account import Budget as Stated
from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.resources.resources import Graph, Resource
from policies.cost.capacity import number
from policies.inputs.declared import governs, tag
from policies.inputs.links import referred
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_BUDGET, ACTION = "aws:budgets/budget:Budget", "aws:budgets/budgetAction:BudgetAction"
_MONITOR, _SUBSCRIPTION = (
    f"aws:costexplorer/anomaly{each}:Anomaly{each}" for each in ("Monitor", "Subscription")
)
TAG = "aws:costexplorer/costAllocationTag:CostAllocationTag"
_PROFILE = "aws:bedrock/inferenceProfile:InferenceProfile"
_ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
_CALLED = (_PROFILE, _ENDPOINT)
BOUGHT = "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput"
_WORKLOAD, _OF_ENDPOINT = TAG_KEYS["workload"], "isthmus.dev/endpoint"
_COMMITMENT = {"none": None, "one-month": "OneMonth", "six-months": "SixMonths"}


def counting(graph: Graph, one: Stated) -> list[Resource]:
    """Budgets of the graph that count what a stated one does."""
    wanted = f"user:{TAG_KEYS[one.scope]}${one.of}"
    return [
        each
        for each in graph.of(_BUDGET)
        if any(wanted in (at(part, "values") or []) for part in each.inputs.get("costFilters") or [])
    ]


def _budgets_stated(subject: Subject) -> Iterator[Broken]:
    platform = governs(subject)
    for one in platform.budgets if platform else []:
        found = counting(subject.graph, one)
        if not found:
            yield Broken(f"budget {one.name} of {one.monthly_usd:g} USD is stated and not made")
        for budget in found:
            limit = budget.inputs.get("limitAmount")
            usd = number(limit)
            if unknown(limit) or usd is None:
                yield Broken(f"how much {budget.name} allows is not known yet", budget, "undecided")
            elif usd > number(f"{one.monthly_usd:.2f}"):  # type: ignore[operator]
                said = (
                    f"{budget.name} allows {float(usd):g} USD a month, and the platform {one.monthly_usd:g}"
                )
                yield Broken(said, budget)


def _budgets_act(subject: Subject) -> Iterator[Broken]:
    for action in subject.graph.of(ACTION):
        model = action.inputs.get("approvalModel")
        if model != "AUTOMATIC":
            verdict = "undecided" if unknown(model) else "violated"
            yield Broken(f"{action.name} waits for somebody before it stops anything", action, verdict)
        threshold = number(at(action.inputs, "actionThreshold.actionThresholdValue"))
        if (
            at(action.inputs, "actionThreshold.actionThresholdType") == "PERCENTAGE"
            and (threshold or 0) > 100
        ):
            yield Broken(f"{action.name} stops calls only after the budget is used up", action)
    platform = governs(subject)
    for one in platform.budgets if platform else []:
        for budget in counting(subject.graph, one) if one.action == "deny" else []:
            if not any(_ends(subject.graph, each, budget) for each in subject.graph.of(ACTION)):
                yield Broken(
                    f"{budget.name} stops no call when it is used up, as the platform states", budget
                )


def _ends(graph: Graph, action: Resource, budget: Resource) -> bool:
    named = action.inputs.get("budgetName")
    return budget in referred(graph, action, "budgetName", ":Budget") or (
        bool(named) and named == budget.inputs.get("name")
    )


def watches(subject: Subject) -> list[Resource] | None:
    """Monitors of unusual spend, where the platform wants it watched by this stack; None where it does not."""
    platform = governs(subject)
    if platform is None or platform.anomalies.mode != "manage":
        return None
    return list(subject.graph.of(_MONITOR))


def _leaps_seen(subject: Subject) -> Iterator[Broken]:
    monitors = watches(subject)
    if monitors is None:
        return
    watched = {
        monitor.urn
        for each in subject.graph.of(_SUBSCRIPTION)
        for monitor in referred(subject.graph, each, "monitorArnLists", ":AnomalyMonitor")
    }
    if not monitors:
        yield Broken("unusual spend is to be watched, as the platform states, and no monitor is made")
    for monitor in monitors:
        if monitor.urn not in watched:
            yield Broken(f"nobody hears what {monitor.name} finds of unusual spend", monitor)


def unactivated(subject: Subject) -> list[str]:
    """Tags by which the platform's budgets count, and of whose activation this stack, which should, says nothing."""
    platform = governs(subject)
    if platform is None or platform.cost_tags != "manage":
        return []
    said = {str(each.inputs.get("tagKey")) for each in subject.graph.of(TAG)}
    return sorted({TAG_KEYS[one.scope] for one in platform.budgets} - said)


def _tags_count(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(TAG):
        key, status = each.inputs.get("tagKey"), each.inputs.get("status")
        if unknown(status):
            yield Broken(f"whether {each.name} counts in bills is not known yet", each, "undecided")
        elif status != "Active":
            yield Broken(f"tag {key} counts in no bill: {each.name} is {status or 'not active'}", each)
    for key in unactivated(subject):
        yield Broken(f"budgets count by tag {key}, which nobody activates")


def borne(subject: Subject) -> Iterator[tuple[Resource, set[str]]]:
    """What workloads call, with the workloads one of whose names it must bear."""
    platform = subject.platform
    if platform is None:
        return
    known = {one.name for gateway in platform.gateways for one in gateway.workloads}
    for each in subject.graph.of(*_CALLED):
        wanted = _workloads(platform, tag(each, _OF_ENDPOINT)) if each.type == _ENDPOINT else set()
        if each.type == _ENDPOINT and len(wanted) != 1:
            continue  # machines of several workloads, or of none that is known here, are nobody's alone
        yield each, wanted or known


def _attributed(subject: Subject) -> Iterator[Broken]:
    for each, wanted in borne(subject):
        said = tag(each, _WORKLOAD)
        if unknown(at(each.inputs, "tags")) or unknown(said):
            yield Broken(f"whose cost {each.name} is, is not known yet", each, "undecided")
        elif said not in wanted:
            what = (
                f"bears the workload {said}, which it does not serve" if said else "bears no workload's tag"
            )
            yield Broken(f"{each.name} {what}: no bill and no budget of a workload counts it", each)


def _workloads(platform: Platform, endpoint: str) -> set[str]:
    every = (one for gateway in platform.gateways for one in gateway.workloads)
    return {one.name for one in every if endpoint in (one.endpoint, *one.overflow)}


def _bought(subject: Subject) -> Iterator[Broken]:
    platform = subject.platform
    if platform is None:
        return
    models = {each.id: each.model for each in platform.endpoints}
    stated: list[tuple[Any, Any, Any]] = [
        (models.get(one.endpoint, ""), one.model_units, _COMMITMENT[one.commitment])
        for one in platform.provisioned
    ]
    for each in sorted(subject.graph.of(BOUGHT), key=lambda each: each.urn):
        arn, units, term = (each.inputs.get(key) for key in ("modelArn", "modelUnits", "commitmentDuration"))
        if any(map(unknown, (arn, units, term))):
            yield Broken(f"what {each.name} buys is not known yet", each, "undecided")
            continue
        one = (str(arn).rpartition("/")[2], units, term)
        if one in stated:
            stated.remove(one)
        else:
            said = f"{each.name} buys {units} units of {one[0]} ({term or 'by the hour'})"
            yield Broken(f"{said}, which the platform does not state", each)


_use: Any = fw.owasp("LLM06")
RULES = (
    Rule(
        "cost/budgets-stated",
        "Every budget that the platform states is made, and is no larger",
        "high",
        _use,
        "A budget that is gone, or has grown past what was approved, stops and tells nothing",
        "Take the budget back as the platform states it, or change it there",
        _budgets_stated,
        (_BUDGET,),
    ),
    Rule(
        "cost/budgets-act",
        "A used-up budget stops calls by itself, where the platform says so",
        "high",
        _use,
        "A loop runs through the night while the action waits for somebody's yes",
        "Set approvalModel: AUTOMATIC at 100 % or before, and leave the action with its budget",
        _budgets_act,
        (ACTION, _BUDGET),
    ),
    Rule(
        "cost/leaps-seen",
        "Unusual spend is watched, and somebody hears of it",
        "medium",
        (*_use, *fw.iso_27001("A.8.16")),
        "A budget of a month tells of a leap when most of it is spent",
        "Add an AnomalyMonitor over the platform's tag, and subscriptions to it",
        _leaps_seen,
        (_MONITOR, _SUBSCRIPTION),
    ),
    Rule(
        "cost/tags-count",
        "Tags by which budgets count are active in bills",
        "medium",
        _use,
        "A budget over a tag that no bill knows counts nothing, and is never used up",
        "Set status: Active on the CostAllocationTag",
        _tags_count,
        (TAG,),
    ),
    Rule(
        "cost/attributed",
        "What a workload calls bears its name in the bill",
        "medium",
        (*_use, *fw.nist("CM-8"), *fw.iso_27001("A.5.9")),
        "What bears no workload's tag is in nobody's budget",
        "Tag it isthmus.dev/workload with the workload that calls it",
        _attributed,
        _CALLED,
    ),
    Rule(
        "cost/throughput-stated",
        "Throughput is bought ahead as the platform states it",
        "high",
        fw.nist("CM-2"),
        "Throughput with a term is paid for to its end, called or not, and AWS deletes none before",
        "State it under `provisioned`, or take it away before it is bought",
        _bought,
        (BOUGHT,),
    ),
)
