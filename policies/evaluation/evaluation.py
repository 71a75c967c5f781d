"""Evaluates the rules on a stack's resources, and applies silences."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.findings import SEVERITIES, Finding, Silence
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.trust import Kind
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.graph.resources.resources import Graph, Resource
from isthmus.graph.resources.sites import resolve_clusters
from policies.evaluation.registry import BOUNDARY_FAMILIES, RULES
from policies.rules.rule import Rule, Subject, Violation

BOUNDARIES = frozenset(rule.id for family in BOUNDARY_FAMILIES for rule in family.RULES)
BLOCKING_SEVERITIES = ("critical", "high")
"""Severities that stop a change."""
EXPIRED_SILENCE = " (silenced by "
"""Marks in a message that the silence of this finding has expired; the owner follows."""


def judge(
    resources: Iterable[Resource],
    platform: Platform | None = None,
    settings: Settings | None = None,
    stack: str = "",
    today: date | None = None,
    rules: Sequence[Rule] = RULES,
    raised_sensitivities: Mapping[str, Sensitivity] | None = None,
    changed: Sequence[RuleChange] = (),
) -> list[Finding]:
    """The findings of all rules, the worst first, with silences applied. The order of resources does not matter.

    `raised_sensitivities`: workloads that are evaluated with a stricter class than the one they are served in.
    `changed`: how the change loosens what evaluates it (`policies.release.change`).
    """
    subject = subject_of(
        resources,
        platform,
        settings or Settings(),
        today or datetime.now(UTC).date(),
        raised_sensitivities=raised_sensitivities,
        changed=changed,
    )
    return [finding for finding, _ in judge_subject(subject, stack, rules)]


def judge_subject(
    subject: Subject, stack: str = "", rules: Sequence[Rule] = RULES
) -> list[tuple[Finding, tuple[Kind, str] | None]]:
    """The findings of `judge`, each with the entry of `trust.yaml` that would allow it; None: no entry can."""
    rules_off = {entry.rule for entry in subject.settings.off}
    findings = [
        (_finding(rule, violation, subject.settings.silences, stack, subject.today), violation.entry)
        for rule in rules
        if rule.id not in rules_off
        for violation in _check(rule, subject)
    ]
    unique = {sort_key(finding): (finding, entry) for finding, entry in findings}
    return [unique[key] for key in sorted(unique)]


def subject_of(
    resources: Iterable[Resource],
    platform: Platform | None,
    settings: Settings,
    today: date,
    *,
    raised_sensitivities: Mapping[str, Sensitivity] | None = None,
    changed: Sequence[RuleChange] = (),
) -> Subject:
    """The input of the rules. The order of the resources does not matter, and each object is in its own cluster."""
    graph = Graph(sorted(resolve_clusters(resources, platform), key=lambda resource: resource.urn))
    return Subject(graph, platform, settings, raised_sensitivities or {}, changed, today)


def violations_of(subject: Subject) -> list[Violation]:
    """What all rules find, without silences."""
    return [violation for rule in RULES for violation in _check(rule, subject)]


def blocking_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Findings that stop a change: critical, high or undecided, and not silenced."""
    return [
        finding
        for finding in findings
        if finding.silenced is None
        and (finding.severity in BLOCKING_SEVERITIES or finding.verdict == "undecided")
    ]


def forbidding_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Findings that stop `up` before it starts: not silenced, and critical, undecided or of a boundary rule."""
    return [
        finding
        for finding in findings
        if finding.silenced is None
        and (finding.severity == "critical" or finding.verdict == "undecided" or finding.policy in BOUNDARIES)
    ]


def _check(rule: Rule, subject: Subject) -> Iterable[Violation]:
    """The violations of a rule. An exception in the rule counts as undecided, not as passed."""
    try:
        return list(rule.check(subject))
    except Exception as error:  # noqa: BLE001 (whatever it is, the resource was not judged)
        problem = f"{type(error).__name__}: {error}"
        return [
            Violation(
                f"a resource has a shape that this rule cannot read, so nothing is decided ({problem[:200]})",
                verdict="undecided",
                fix="Correct the inputs of what this change adds or alters; if they are right, report this error",
            )
        ]


def _finding(rule: Rule, violation: Violation, silences: list[Silence], stack: str, day: date) -> Finding:
    resource = violation.resource
    name = resource.name if resource else ""
    matching = [
        silence
        for silence in silences
        if silence.policy == rule.id and fnmatch.fnmatchcase(name, silence.resource)
    ]
    active = next((silence for silence in matching if day <= silence.until), None)
    message = violation.message
    if matching and active is None:
        latest = max(matching, key=lambda silence: silence.until)
        message += f"{EXPIRED_SILENCE}{latest.owner} until {latest.until}, which has expired)"
    return Finding(
        policy=rule.id,
        title=rule.title,
        severity=rule.severity,
        verdict=violation.verdict,
        supports=list(rule.supports),
        stack=stack,
        urn=resource.urn if resource else "",
        resource=name,
        message=message,
        why=rule.why,
        fix=violation.fix or rule.fix,
        patch=violation.patch,
        silenced=active,
    )


def sort_key(finding: Finding) -> tuple[object, ...]:
    """Sort key: the most severe first."""
    return (
        SEVERITIES.index(finding.severity),
        finding.policy,
        finding.resource,
        finding.urn,
        finding.verdict,
        finding.message,
    )
