"""A branch by two words: the base commit's and its own. What either refuses is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.vocabulary import SENSITIVITIES
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


def findings(base: Iterable[Finding], own: Iterable[Finding]) -> list[Finding]:
    """Those of both, each once, the worst first. One is silenced only where nobody else has it open."""
    from policies.evaluation.evaluation import PAST, order

    open_: dict[tuple[str, ...], Finding] = {}
    silent: dict[tuple[str, ...], Finding] = {}
    for each in (*base, *own):
        key = (each.policy, each.urn, each.resource, each.verdict, each.message.partition(PAST)[0])
        kept = (open_ if each.silenced is None else silent).setdefault(key, each)
        if each.silenced is None and len(each.message) > len(kept.message):
            # The one that says besides whose silence has ended.
            open_[key] = each
    return sorted(({**silent, **open_}).values(), key=order)


def of_changes(settings: Settings, changes: Sequence[RuleChange], stack: str) -> list[Finding]:
    """What the change does to what judges it, each a finding; silences are the base's alone."""
    from policies.evaluation.evaluation import judge
    from policies.evaluation.registry import CHANGES

    return judge([], None, settings, stack, rules=CHANGES, changed=changes)


def paths(
    before: Platform, was: Side, after: Platform, will: Side, resources: Iterable[Resource]
) -> list[DataPath]:
    """The branch's data paths, each by the worse of two verdicts, and those that its plan would not have had before."""
    by = declared_policy.of(before, after)
    found = {each.id: each for each in will.data_paths or []}
    for each in ways.data_paths(Graph(resources), by.platform, held=by.held):
        mine = found.get(each.id)
        if mine is None or WORDS.index(each.verdict) > WORDS.index(mine.verdict):
            found[each.id] = each
    refused = {each.workload for each in found.values() if each.verdict == "refused"}
    found |= {each.id: each for each in _planned(was, will) if each.workload not in refused}
    return [found[key] for key in sorted(found)]


def _planned(was: Side, will: Side) -> list[DataPath]:
    """Ways of the branch's plan that the base's handling refuses, an organisation's stricter table included."""
    from isthmus.reports.preview import refused_paths

    if was.requirements is None or will.requirements is None or will.plan is None:
        return []
    return refused_paths.refused_paths(will.plan, _as_before(was.requirements, will.requirements))


def _as_before(was: Requirements, will: Requirements) -> Requirements:
    """The branch's requirements, with the classes, the handling and the exceptions of those before it."""
    workloads = []
    for each in will.workloads:
        old = was.workload(each.name)
        strict = max(
            (each.sensitivity, old.sensitivity if old else each.sensitivity), key=SENSITIVITIES.index
        )
        workloads.append(each.model_copy(update={"sensitivity": strict}))
    return will.model_copy(
        update={"workloads": workloads, "handling": was.handling, "exceptions": was.exceptions}
    )
