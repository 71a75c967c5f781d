"""The entries of `trust.yaml` that a stack lacks, as few as suffice.

An application, an agent of nodes and a network apart are trusted as a whole, by one entry. Judging the stack with it
tells whether it suffices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from isthmus.contracts.reports.findings import Finding
from isthmus.contracts.trust import KINDS, Entry, Kind, covers
from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.evaluation.evaluation import blocking_findings, judge_subject, violations_of
from policies.inputs.aws_reach import is_of_component
from policies.inputs.values import at, is_unknown
from policies.rules.rule import Subject, Violation

Wanted = tuple[Kind, str]
"""Kind and value of an entry."""
Judged = tuple[Finding, Wanted | None]
"""A finding, and the entry that would allow it."""


@dataclass(frozen=True)
class Proposal:
    """What to write into `trust.yaml`, and what stays."""

    entries: Mapping[Wanted, str]
    """Entry → why it is needed."""
    staying: Sequence[Finding]
    """Findings that stop a change, and for which no entry is proposed."""
    together: Mapping[Wanted, Sequence[Wanted]]
    """Wider entry → the entries that it would replace."""


def propose(subject: Subject, stack: str = "") -> Proposal:
    """The entries that a stack lacks, and what they leave."""
    whole: dict[Wanted, str] = {}
    judged = judge_subject(subject, stack)
    while better := _with_whole_entry(subject, stack, judged):
        entry, why, subject, judged = better
        whole[entry] = why
    violations = [violation for violation in violations_of(subject) if violation.entry]
    entries: dict[Wanted, str] = {}
    for violation in violations:
        if violation.entry:
            entries.setdefault(violation.entry, violation.message)
    entries = whole | _needed_entries(violations, entries)
    return Proposal(
        dict(sorted(entries.items(), key=lambda entry: (KINDS.index(entry[0][0]), entry[0][1]))),
        blocking_findings(finding for finding, entry in judged if entry is None),
        _together(violations, entries),
    )


def _with_whole_entry(
    subject: Subject, stack: str, judged: Sequence[Judged]
) -> tuple[Wanted, str, Subject, Sequence[Judged]] | None:
    """Trust the first part of own code that one entry covers as a whole, if that leaves fewer findings.

    Returns the entry, why, and the subject that trusts it, judged; None if no entry does so.
    """
    stopping = _stopping(judged)
    for entry, why in _parts(subject) if stopping else ():
        if subject.trusts_exactly(*entry):
            continue
        trusting = _trusting(subject, *entry)
        judged_again = judge_subject(trusting, stack)
        if _stopping(judged_again) < stopping:
            return entry, why, trusting, judged_again
    return None


def _parts(subject: Subject) -> Iterator[tuple[Wanted, str]]:
    """Parts of own code that one entry trusts as a whole, if they are what docs/trust.md says of them."""
    for resource in subject.graph.resources:
        if is_of_component(resource):
            continue
        name, namespace = name_and_namespace(resource)
        if resource.type == "kubernetes:core/v1:Namespace" and _has_class(resource):
            yield ("namespaces", name), f"{name} is the namespace of an application of a class"
        elif resource.type == "kubernetes:apps/v1:DaemonSet" and not (
            is_unknown(name) or is_unknown(namespace)
        ):
            yield (
                ("objects", f"{namespace}/{name}"),
                f"pods of {namespace}/{name} read logs or figures of their nodes",
            )
        elif resource.type == "aws:ec2/vpc:Vpc":
            yield (
                ("objects", resource.name),
                f"{resource.name} is a network apart from the platform's, which leads to the internet",
            )


def _has_class(namespace: Resource) -> bool:
    labels = at(namespace.inputs, "metadata.labels")
    return isinstance(labels, Mapping) and bool(labels.get(CLASS))


def _stopping(judged: Sequence[Judged]) -> frozenset[tuple[str, str, str]]:
    """Rule, resource and message of what stops a change."""
    findings = blocking_findings(finding for finding, _ in judged)
    return frozenset((finding.policy, finding.urn, finding.message) for finding in findings)


def _trusting(subject: Subject, kind: Kind, value: str) -> Subject:
    trust = subject.settings.trust
    entry = Entry(value=value, reason="proposed", owner="proposed")
    trust = trust.model_copy(update={kind: [*trust.entries(kind), entry]})
    return replace(subject, settings=subject.settings.model_copy(update={"trust": trust}))


def _together(violations: Sequence[Violation], entries: Mapping[Wanted, str]) -> dict[Wanted, list[Wanted]]:
    """Groups of types, each with the entries that it would replace."""
    groups: dict[Wanted, set[Wanted]] = {}
    for violation in violations:
        if violation.entry is None or violation.entry not in entries:
            continue
        for kind, value in violation.other_entries:
            if kind == "resource_types" and "/" in value:
                group: Wanted = kind, f"{value.partition('/')[0]}/*"
                groups.setdefault(group, set()).add(violation.entry)
    return {group: sorted(members) for group, members in groups.items() if len(members) > 1}


def _needed_entries(violations: Sequence[Violation], entries: Mapping[Wanted, str]) -> dict[Wanted, str]:
    """Leave out entries whose violations another entry allows too: a wider value, or the type of an object."""
    needed = dict(entries)
    for entry in sorted(entries, key=lambda entry: (entry[0] != "objects", -len(entry[1]), entry)):
        others = [other for other in needed if other != entry]
        if all(
            any(covers(other, way) for other in others for way in (violation.entry, *violation.other_entries))
            for violation in violations
            if violation.entry
        ):
            del needed[entry]
    return needed
