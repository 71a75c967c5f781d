"""Hold a stack's resources to every rule."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.findings import SEVERITIES, Finding, Silence
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.graph.resources.resources import Graph, Resource
from policies.data_path import account as account_rules
from policies.data_path import paths
from policies.evaluation.registry import RULES
from policies.rules.rule import Broken, Rule, Subject

BOUNDARIES = frozenset(rule.id for rule in (*paths.RULES, *account_rules.RULES))
STOPS = ("critical", "high")
"""Severities that stop a change."""
PAST = " (silenced by "
"""What follows in a message says whose silence has ended."""


def judge(
    resources: Iterable[Resource],
    platform: Platform | None = None,
    settings: Settings | None = None,
    stack: str = "",
    today: date | None = None,
    rules: Sequence[Rule] = RULES,
    held: Mapping[str, Sensitivity] | None = None,
    changed: Sequence[RuleChange] = (),
) -> list[Finding]:
    """What the rules find, the worst first, silences applied. The same resources give the same list, in any order.

    `held`: workloads that are judged by a stricter class than the one they are served in. `changed`: what the change
    does to what judges it (`policies.release.change`).
    """
    chosen = settings or Settings()
    day = today or datetime.now(UTC).date()
    off = {each.rule for each in chosen.off}
    graph = Graph(sorted(resources, key=lambda each: each.urn))
    subject = Subject(graph, platform, chosen, held or {}, changed)
    found = [
        _finding(rule, broken, chosen.silences, stack, day)
        for rule in rules
        if rule.id not in off
        for broken in _check(rule, subject)
    ]
    return sorted({order(each): each for each in found}.values(), key=order)


def standing(findings: Iterable[Finding]) -> list[Finding]:
    """Those that stop a change: grave or undecided, and nobody answers for them."""
    return [
        each
        for each in findings
        if each.silenced is None and (each.severity in STOPS or each.verdict == "undecided")
    ]


def forbidding(findings: Iterable[Finding]) -> list[Finding]:
    """Those with which a stack is not even begun: critical, undecided, or of a boundary, whatever its severity."""
    return [
        each
        for each in findings
        if each.silenced is None
        and (each.severity == "critical" or each.verdict == "undecided" or each.policy in BOUNDARIES)
    ]


def _check(rule: Rule, subject: Subject) -> Iterable[Broken]:
    """A rule that stumbles over what it cannot read has not passed it."""
    try:
        return list(rule.check(subject))
    except Exception as error:  # noqa: BLE001 (whatever it is, the resource was not judged)
        what = f"{type(error).__name__}: {error}"
        return [Broken(f"the rule could not read the resources ({what[:200]})", None, "undecided")]


def _finding(rule: Rule, broken: Broken, silences: list[Silence], stack: str, day: date) -> Finding:
    resource = broken.resource
    name = resource.name if resource else ""
    about = [each for each in silences if each.policy == rule.id and fnmatch.fnmatchcase(name, each.resource)]
    holding = next((each for each in about if day <= each.until), None)
    message = broken.message
    if about and holding is None:
        last = max(about, key=lambda each: each.until)
        message += f"{PAST}{last.owner} until {last.until}, which is past)"
    return Finding(
        policy=rule.id,
        title=rule.title,
        severity=rule.severity,
        verdict=broken.verdict,
        supports=list(rule.supports),
        stack=stack,
        urn=resource.urn if resource else "",
        resource=name,
        message=message,
        why=rule.why,
        fix=rule.fix,
        patch=broken.patch,
        silenced=holding,
    )


def order(each: Finding) -> tuple[object, ...]:
    """The worst first."""
    return (SEVERITIES.index(each.severity), each.policy, each.resource, each.urn, each.verdict, each.message)
