"""What every rule says of every resource that it is asked of, as an auditor asks: holding is said, not only failing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.policy_settings import Off, Settings
from isthmus.contracts.reports.evidence import Result, Row
from isthmus.contracts.reports.findings import Finding
from isthmus.graph.resources.resources import Graph, Resource
from policies.evaluation.evaluation import judge
from policies.evaluation.registry import RULES
from policies.evaluation.scope import asked
from policies.rules.rule import Rule, Subject


def evidence(
    resources: Iterable[Resource],
    platform: Platform | None,
    settings: Settings,
    stack: str,
    today: date,
    rules: Sequence[Rule] = RULES,
) -> list[Row]:
    """By rule in the catalogue's order, then by resource. `today` decides which silences still hold.

    A rule that is asked of nothing is not applicable, one that is switched off is not asked; neither holds.
    """
    every = sorted(resources, key=lambda each: each.urn)
    subject = Subject(Graph(every), platform, settings)
    found: dict[str, list[Finding]] = {}
    for each in judge(every, platform, settings, stack, today, rules):
        found.setdefault(each.policy, []).append(each)
    off = {each.rule: each for each in settings.off}
    return [row for rule in rules for row in _rows(rule, subject, found.get(rule.id, []), off.get(rule.id))]


def _rows(rule: Rule, subject: Subject, found: list[Finding], off: Off | None) -> Iterator[Row]:
    if off is not None:
        yield _row(rule, None, "switched off", owner=off.owner, reason=off.reason)
        return
    said: dict[str, list[Finding]] = {}
    for each in found:
        said.setdefault(each.urn, []).append(each)
    about = {(each.urn if each else ""): each for each in asked(rule, subject)}
    if found and ("" in said or "" in about):
        # Of the stack as a whole something is wrong, or the rule could not read it: nobody else holds by it.
        about = {}
    there = {each.urn: each for each in subject.graph.resources}
    about |= {urn: there.get(urn) for urn in said}
    if not about:
        yield _row(rule, None, "not applicable")
    for urn in sorted(about):
        yield _judged(rule, about[urn], said.get(urn, []))


def _judged(rule: Rule, resource: Resource | None, found: list[Finding]) -> Row:
    open_ = [each for each in found if each.silenced is None]
    messages = [each.message for each in open_ or found]
    if any(each.verdict == "violated" for each in open_):
        return _row(rule, resource, "fails", messages)
    if open_:
        return _row(rule, resource, "undecided", messages)
    silence = next((each.silenced for each in found if each.silenced), None)
    if silence is not None:
        return _row(
            rule,
            resource,
            "silenced",
            messages,
            owner=silence.owner,
            reason=silence.reason,
            until=silence.until,
        )
    return _row(rule, resource, "holds")


def _row(
    rule: Rule,
    resource: Resource | None,
    result: Result,
    said: Sequence[str] = (),
    *,
    owner: str = "",
    reason: str = "",
    until: date | None = None,
) -> Row:
    return Row(
        control=rule.title,
        supports=list(rule.supports),
        check=rule.id,
        severity=rule.severity,
        resource=resource.name if resource else "",
        type=resource.type if resource else "",
        urn=resource.urn if resource else "",
        result=result,
        said=list(said),
        owner=owner,
        reason=reason,
        until=until,
    )
