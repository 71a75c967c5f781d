"""Combines the verdicts of the base commit and of the branch (head): a change is refused if either refuses it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.engine.policy import evaluation as policy_evaluation
from isthmus.graph.data_path import declared_policy
from isthmus.graph.data_path import paths as ways
from isthmus.graph.data_path.verdicts import WORDS
from isthmus.graph.resources.resources import Graph

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.policy_settings import Settings
    from isthmus.contracts.reports.findings import Finding
    from isthmus.contracts.reports.preview import DataPath, RuleChange
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.engine.preview.assembly import Side
    from isthmus.graph.resources.resources import Resource


def merge_findings(base: Iterable[Finding], head: Iterable[Finding]) -> list[Finding]:
    """Findings of both commits without duplicates, the worst first. Silenced only if no commit has it open."""
    from policies.evaluation.evaluation import EXPIRED_SILENCE, sort_key

    open_: dict[tuple[str, ...], Finding] = {}
    silent: dict[tuple[str, ...], Finding] = {}
    for finding in (*base, *head):
        key = (
            finding.policy,
            finding.urn,
            finding.resource,
            finding.verdict,
            finding.message.partition(EXPIRED_SILENCE)[0],
        )
        previous = (open_ if finding.silenced is None else silent).setdefault(key, finding)
        if finding.silenced is None and len(finding.message) > len(previous.message):
            # The longer message also says that a silence has ended.
            open_[key] = finding
    return sorted(({**silent, **open_}).values(), key=sort_key)


def judge_rule_changes(settings: Settings, changes: Sequence[RuleChange], stack: str) -> list[Finding]:
    """Findings about relaxed rules. Only silences of the base commit apply to them."""
    from policies.evaluation.evaluation import judge
    from policies.evaluation.registry import CHANGES

    return judge([], None, settings, stack, rules=CHANGES, changed=changes)


def worst_paths(
    base: Platform,
    base_side: Side,
    head: Platform,
    head_side: Side,
    resources: Sequence[Resource],
    base_settings: Settings,
) -> list[DataPath]:
    """The branch's data paths with the worse of both verdicts, plus paths of its plan that the base refuses.

    `resources`: of the branch. `base_settings`: with the base's trust file.
    """
    declared = declared_policy.with_declared_before(base, head)
    paths_by_id = {path.id: path for path in head_side.data_paths or []}
    resolving = policy_evaluation.resolving(resources, declared.platform, base_settings)
    for path in ways.data_paths(
        Graph(resources), declared.platform, stricter_classes=declared.held, resolving=resolving
    ):
        head_path = paths_by_id.get(path.id)
        if head_path is None or WORDS.index(path.verdict) > WORDS.index(head_path.verdict):
            paths_by_id[path.id] = path
    refused = {path.workload for path in paths_by_id.values() if path.verdict == "refused"}
    paths_by_id |= {
        path.id: path for path in _refused_plan_paths(base_side, head_side) if path.workload not in refused
    }
    return [paths_by_id[key] for key in sorted(paths_by_id)]


def _refused_plan_paths(base_side: Side, head_side: Side) -> list[DataPath]:
    """Data paths of the branch's plan that the base's handling refuses, including the organisation's own table."""
    from isthmus.reports.preview import refused_paths

    if base_side.requirements is None or head_side.requirements is None or head_side.plan is None:
        return []
    return refused_paths.refused_paths(
        head_side.plan, _with_base_rules(base_side.requirements, head_side.requirements)
    )


def _with_base_rules(base: Requirements, head: Requirements) -> Requirements:
    """The branch's requirements with the stricter class of each workload, and the base's handling and exceptions."""
    workloads = []
    for workload in head.workloads:
        base_workload = base.workload(workload.name)
        stricter = max(
            (workload.sensitivity, base_workload.sensitivity if base_workload else workload.sensitivity),
            key=SENSITIVITIES.index,
        )
        workloads.append(workload.model_copy(update={"sensitivity": stricter}))
    return head.model_copy(
        update={"workloads": workloads, "handling": base.handling, "exceptions": base.exceptions}
    )
