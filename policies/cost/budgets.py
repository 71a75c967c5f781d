"""Rules for cost control: budgets and their actions, anomalies, cost tags, provisioned throughput."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.contracts.platform.lookups.budgets import AwsBudget, aws_budgets
from isthmus.contracts.platform.model.aws.account import TAG_KEYS, TEAM_TAG
from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.resources.resources import Graph, Resource
from policies.cost.capacity import number
from policies.inputs.declared import governing_platform, tag
from policies.inputs.links import referenced_resources
from policies.inputs.selectors import first_of_rows
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Applicable, Rule, Subject, Violation

_BUDGET, _ACTION = "aws:budgets/budget:Budget", "aws:budgets/budgetAction:BudgetAction"
_MONITOR, _SUBSCRIPTION = (
    f"aws:costexplorer/anomaly{kind}:Anomaly{kind}" for kind in ("Monitor", "Subscription")
)
_TAG = "aws:costexplorer/costAllocationTag:CostAllocationTag"
_PROFILE = "aws:bedrock/inferenceProfile:InferenceProfile"
_ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
_CALLED_TYPES = (_PROFILE, _ENDPOINT)
_THROUGHPUT = "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput"
_WORKLOAD, _OF_ENDPOINT = TAG_KEYS["workload"], "isthmus.dev/endpoint"
_COMMITMENT = {"none": None, "one-month": "OneMonth", "six-months": "SixMonths"}


def _matching_budgets(graph: Graph, stated: AwsBudget) -> list[Resource]:
    """Budgets of the graph that count the same costs as a budget of the platform."""
    values = set(stated.filter_values)
    team = stated.of if stated.scope == "team" else None
    return [
        budget
        for budget in graph.of(_BUDGET)
        if (tag(budget, TEAM_TAG) or None) == team
        and any(values <= set(at(part, "values") or []) for part in budget.inputs.get("costFilters") or [])
    ]


def _stated_budgets(platform: Platform | None) -> list[AwsBudget]:
    return aws_budgets(platform) if platform else []


def _check_budgets_made(subject: Subject) -> Iterator[Violation]:
    platform = governing_platform(subject)
    for stated in _stated_budgets(platform):
        budgets = _matching_budgets(subject.graph, stated)
        if not budgets:
            yield Violation(
                f"the stack does not create the stated budget {stated.name} of {stated.monthly_usd:g} USD"
            )
        for budget in budgets:
            limit = budget.inputs.get("limitAmount")
            usd = number(limit)
            if is_unknown(limit) or usd is None:
                yield Violation(f"the limit of {budget.name} is not known yet", budget, "undecided")
            elif usd > number(f"{stated.monthly_usd:.2f}"):  # type: ignore[operator]
                problem = f"{budget.name} allows {float(usd):g} USD a month; the platform states {stated.monthly_usd:g}"
                yield Violation(problem, budget)


def _budgets(subject: Subject) -> Iterator[Resource | None]:
    """Budgets that count the costs of a stated budget; the stack as a whole if a stated budget is missing."""
    platform = governing_platform(subject)
    for budget in _stated_budgets(platform):
        yield from _matching_budgets(subject.graph, budget) or [None]


def _check_budget_actions(subject: Subject) -> Iterator[Violation]:
    for action in subject.graph.of(_ACTION):
        model = action.inputs.get("approvalModel")
        if model != "AUTOMATIC":
            verdict = "undecided" if is_unknown(model) else "violated"
            yield Violation(f"{action.name} needs an approval before it stops anything", action, verdict)
        threshold = number(at(action.inputs, "actionThreshold.actionThresholdValue"))
        if (
            at(action.inputs, "actionThreshold.actionThresholdType") == "PERCENTAGE"
            and (threshold or 0) > 100
        ):
            yield Violation(f"{action.name} stops calls only after the budget is used up", action)
    platform = governing_platform(subject)
    for stated in _stated_budgets(platform):
        for budget in _matching_budgets(subject.graph, stated) if stated.action == "deny" else []:
            if not any(
                _is_action_of(subject.graph, candidate, budget) for candidate in subject.graph.of(_ACTION)
            ):
                yield Violation(
                    f"{budget.name} has no action that stops calls when it is used up, but the platform states one",
                    budget,
                )


def _budget_actions(subject: Subject) -> Iterator[Resource]:
    platform = governing_platform(subject)
    yield from subject.graph.of(_ACTION)
    for budget in _stated_budgets(platform):
        yield from _matching_budgets(subject.graph, budget) if budget.action == "deny" else []


def _is_action_of(graph: Graph, action: Resource, budget: Resource) -> bool:
    budget_name = action.inputs.get("budgetName")
    return budget in referenced_resources(graph, action, "budgetName", ":Budget") or (
        bool(budget_name) and budget_name == budget.inputs.get("name")
    )


def _managed_monitors(subject: Subject) -> list[Resource] | None:
    """Anomaly monitors, if the platform lets this stack manage them; otherwise None."""
    platform = governing_platform(subject)
    if platform is None or platform.anomalies.mode != "manage":
        return None
    return list(subject.graph.of(_MONITOR))


def _check_anomalies_watched(subject: Subject) -> Iterator[Violation]:
    monitors = _managed_monitors(subject)
    if monitors is None:
        return
    watched = {
        monitor.urn
        for subscription in subject.graph.of(_SUBSCRIPTION)
        for monitor in referenced_resources(subject.graph, subscription, "monitorArnLists", ":AnomalyMonitor")
    }
    if not monitors:
        yield Violation("the platform states a monitor of unusual spend, but the stack creates none")
    for monitor in monitors:
        if monitor.urn not in watched:
            yield Violation(
                f"anomaly monitor {monitor.name} has no subscription, so it notifies nobody", monitor
            )


def _anomaly_monitors(subject: Subject) -> Applicable:
    monitors = _managed_monitors(subject)
    return [] if monitors is None else monitors or [None]


def _unactivated_tags(subject: Subject) -> list[str]:
    """Tags that the platform's budgets count by and that this stack should activate but does not."""
    platform = governing_platform(subject)
    if platform is None or platform.cost_tags != "manage":
        return []
    activated = {str(cost_tag.inputs.get("tagKey")) for cost_tag in subject.graph.of(_TAG)}
    return sorted({TAG_KEYS[budget.scope] for budget in _stated_budgets(platform)} - activated)


def _check_tags_active(subject: Subject) -> Iterator[Violation]:
    for cost_tag in subject.graph.of(_TAG):
        key, status = cost_tag.inputs.get("tagKey"), cost_tag.inputs.get("status")
        if is_unknown(status):
            yield Violation(
                f"whether {cost_tag.name} is active in billing is not known yet", cost_tag, "undecided"
            )
        elif status != "Active":
            yield Violation(
                f"tag {key} is not used in billing: {cost_tag.name} is {status or 'not active'}", cost_tag
            )
    for key in _unactivated_tags(subject):
        yield Violation(f"budgets count by tag {key}, but the stack does not activate it")


def _cost_tags(subject: Subject) -> Iterator[Resource | None]:
    yield from subject.graph.of(_TAG)
    yield from [None] if _unactivated_tags(subject) else []


def _billed_resources(subject: Subject) -> Iterator[tuple[Resource, set[str]]]:
    """Resources that workloads call, with the workload names of which each must carry one."""
    platform = subject.platform
    if platform is None:
        return
    workload_names = {workload.name for gateway in platform.gateways for workload in gateway.workloads}
    for resource in subject.graph.of(*_CALLED_TYPES):
        names = (
            _workloads_of_endpoint(platform, tag(resource, _OF_ENDPOINT))
            if resource.type == _ENDPOINT
            else set()
        )
        if resource.type == _ENDPOINT and len(names) != 1:
            continue  # machines of several or unknown workloads belong to no single workload
        yield resource, names or workload_names


def _check_attributed(subject: Subject) -> Iterator[Violation]:
    for resource, names in _billed_resources(subject):
        workload = tag(resource, _WORKLOAD)
        if is_unknown(at(resource.inputs, "tags")) or is_unknown(workload):
            yield Violation(
                f"which workload {resource.name} is billed to is not known yet", resource, "undecided"
            )
        elif workload not in names:
            problem = (
                f"is tagged with workload {workload}, which it does not serve"
                if workload
                else "has no workload tag"
            )
            yield Violation(f"{resource.name} {problem}, so no workload's budget counts it", resource)


def _workloads_of_endpoint(platform: Platform, endpoint: str) -> set[str]:
    workloads = (workload for gateway in platform.gateways for workload in gateway.workloads)
    return {workload.name for workload in workloads if endpoint in workload.endpoint_and_substitutes}


def _check_throughput(subject: Subject) -> Iterator[Violation]:
    platform = subject.platform
    if platform is None:
        return
    models = {endpoint.id: endpoint.model for endpoint in platform.endpoints}
    purchases: list[tuple[Any, Any, Any]] = [
        (models.get(purchase.endpoint, ""), purchase.model_units, _COMMITMENT[purchase.commitment])
        for purchase in platform.provisioned
    ]
    for throughput in sorted(subject.graph.of(_THROUGHPUT), key=lambda throughput: throughput.urn):
        arn, units, term = (
            throughput.inputs.get(key) for key in ("modelArn", "modelUnits", "commitmentDuration")
        )
        if any(map(is_unknown, (arn, units, term))):
            yield Violation(
                f"the throughput that {throughput.name} buys is not known yet", throughput, "undecided"
            )
            continue
        bought = (str(arn).rpartition("/")[2], units, term)
        if bought in purchases:
            purchases.remove(bought)
        else:
            problem = f"{throughput.name} buys {units} units of {bought[0]} ({term or 'by the hour'})"
            yield Violation(f"{problem}, which the platform does not state", throughput)


def _throughput_if_stated(subject: Subject) -> Applicable:
    """Provisioned throughput, if there is a platform to compare with."""
    return subject.graph.of(_THROUGHPUT) if subject.platform else []


_RESOURCE_ABUSE: Any = fw.owasp("LLM06")
RULES = (
    Rule(
        "cost/budgets-stated",
        "Every budget that the platform states exists, and is no larger",
        "high",
        _RESOURCE_ABUSE,
        "A budget that is missing, or larger than approved, neither warns nor stops anything",
        "Restore the budget as the platform states it, or change it in the platform",
        _check_budgets_made,
        (_BUDGET,),
        applies_to=_budgets,
    ),
    Rule(
        "cost/budgets-act",
        "A budget that is used up stops calls automatically, where the platform says so",
        "high",
        _RESOURCE_ABUSE,
        "A loop runs all night while the action waits for an approval",
        "Set approvalModel: AUTOMATIC with a threshold of at most 100 %, and keep the action with its budget",
        _check_budget_actions,
        (_ACTION, _BUDGET),
        applies_to=_budget_actions,
    ),
    Rule(
        "cost/leaps-seen",
        "Unusual spend is monitored, and somebody is notified",
        "medium",
        (*_RESOURCE_ABUSE, *fw.iso_27001("A.8.16")),
        "A monthly budget reports a sudden rise only when most of it is spent",
        "Add an AnomalyMonitor for the platform's tag, and subscribe to it",
        _check_anomalies_watched,
        (_MONITOR, _SUBSCRIPTION),
        applies_to=_anomaly_monitors,
    ),
    Rule(
        "cost/tags-count",
        "Tags that budgets count by are active in billing",
        "medium",
        _RESOURCE_ABUSE,
        "A budget on a tag that billing does not know counts nothing",
        "Set status: Active on the CostAllocationTag",
        _check_tags_active,
        (_TAG,),
        applies_to=_cost_tags,
    ),
    Rule(
        "cost/attributed",
        "Resources that a workload calls carry its name in billing",
        "medium",
        (*_RESOURCE_ABUSE, *fw.nist("CM-8"), *fw.iso_27001("A.5.9")),
        "The cost of an untagged resource is in no workload's budget",
        "Set the tag isthmus.dev/workload to the workload that calls it",
        _check_attributed,
        _CALLED_TYPES,
        applies_to=first_of_rows(_billed_resources),
    ),
    Rule(
        "cost/throughput-stated",
        "Provisioned throughput is bought as the platform states",
        "high",
        fw.nist("CM-2"),
        "AWS charges committed throughput to the end of its term, used or not, and cannot delete it before",
        "Add it under `provisioned` in the platform, or remove it before it is bought",
        _check_throughput,
        (_THROUGHPUT,),
        applies_to=_throughput_if_stated,
    ),
)
