"""Evidence for auditors: the result of each rule for each resource that it applies to, passes included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.policy_settings import Off, Settings
from isthmus.contracts.reports.evidence import Result, Row
from isthmus.contracts.reports.findings import Finding
from isthmus.graph.resources.resources import Resource
from policies.evaluation.evaluation import judge, subject_of
from policies.evaluation.registry import RULES
from policies.evaluation.scope import applicable_resources
from policies.rules.rule import Rule, Subject


def evidence(
    resources: Iterable[Resource],
    platform: Platform | None,
    settings: Settings,
    stack: str,
    today: date,
    rules: Sequence[Rule] = RULES,
) -> list[Row]:
    """Rows by rule in the order of the registry, then by resource. `today` decides which silences are active.

    A rule that applies to nothing gives the result `not applicable`, and a rule that is off `switched off`.
    """
    all_resources = list(resources)
    subject = subject_of(all_resources, platform, settings, today)
    findings_by_rule: dict[str, list[Finding]] = {}
    for finding in judge(all_resources, platform, settings, stack, today, rules):
        findings_by_rule.setdefault(finding.policy, []).append(finding)
    off = {entry.rule: entry for entry in settings.off}
    return [
        row
        for rule in rules
        for row in _rows(rule, subject, findings_by_rule.get(rule.id, []), off.get(rule.id))
    ]


def _rows(rule: Rule, subject: Subject, findings: list[Finding], off: Off | None) -> Iterator[Row]:
    if off is not None:
        yield _row(rule, None, "switched off", owner=off.owner, reason=off.reason)
        return
    findings_by_urn: dict[str, list[Finding]] = {}
    for finding in findings:
        findings_by_urn.setdefault(finding.urn, []).append(finding)
    judged = {
        (resource.urn if resource else ""): resource for resource in applicable_resources(rule, subject)
    }
    if findings and ("" in findings_by_urn or "" in judged):
        # A finding about the whole stack: no single resource passes the rule.
        judged = {}
    graph = subject.graph
    resources_by_urn = {resource.urn: resource for resource in (*graph.not_made, *graph.resources)}
    judged |= {urn: resources_by_urn.get(urn) for urn in findings_by_urn}
    if not judged:
        yield _row(rule, None, "not applicable")
    for urn in sorted(judged):
        yield _judged_row(rule, judged[urn], findings_by_urn.get(urn, []))


def _judged_row(rule: Rule, resource: Resource | None, findings: list[Finding]) -> Row:
    open_ = [finding for finding in findings if finding.silenced is None]
    messages = [finding.message for finding in open_ or findings]
    if any(finding.verdict == "violated" for finding in open_):
        return _row(rule, resource, "fails", messages)
    if open_:
        return _row(rule, resource, "undecided", messages)
    silence = next((finding.silenced for finding in findings if finding.silenced), None)
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
    messages: Sequence[str] = (),
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
        said=list(messages),
        owner=owner,
        reason=reason,
        until=until,
    )
