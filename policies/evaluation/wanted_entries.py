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


@dataclass(frozen=True)
class Proposal:
    """What to write into `trust.yaml`, and what stays."""

    entries: Mapping[Wanted, str]
    """Entry → why it is needed."""
    staying: Sequence[Finding]
    """Findings that stop a change, and for which no entry is proposed."""
    together: Mapping[Wanted, Sequence[Wanted]]
    """Entry that would allow the same as several others together, and more → those."""


def propose(subject: Subject, stack: str = "") -> Proposal:
    """The entries that a stack lacks, and what they leave."""
    whole: dict[Wanted, str] = {}
    while found := _whole_entry(subject, stack):
        (entry, why), subject = found
        whole[entry] = why
    violations = [violation for violation in violations_of(subject) if violation.entry]
    entries: dict[Wanted, str] = {}
    for violation in violations:
        if violation.entry:
            entries.setdefault(violation.entry, violation.message)
    entries = whole | _needed_entries(violations, entries)
    judged = judge_subject(subject, stack)
    return Proposal(
        dict(sorted(entries.items(), key=lambda entry: (KINDS.index(entry[0][0]), entry[0][1]))),
        blocking_findings(finding for finding, entry in judged if entry is None),
        _together(violations, entries),
    )


def _whole_entry(subject: Subject, stack: str) -> tuple[tuple[Wanted, str], Subject] | None:
    """The first entry that trusts a part of own code as a whole and leaves fewer findings; None if there is none."""
    stopping = _stopping(subject, stack)
    for (kind, value), why in _parts(subject) if stopping else ():
        if subject.trusts_exactly(kind, value):
            continue
        trusting = _trusting(subject, kind, value)
        if _stopping(trusting, stack) < stopping:
            return ((kind, value), why), trusting
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


def _stopping(subject: Subject, stack: str) -> frozenset[tuple[str, str, str]]:
    """What stops a change. An entry leaves a part of it, or what it leaves is something else."""
    findings = blocking_findings(finding for finding, _ in judge_subject(subject, stack))
    return frozenset((finding.policy, finding.urn, finding.message) for finding in findings)


def _trusting(subject: Subject, kind: Kind, value: str) -> Subject:
    trust = subject.settings.trust
    entry = Entry(value=value, reason="proposed", owner="proposed")
    trust = trust.model_copy(update={kind: [*trust.entries(kind), entry]})
    return replace(subject, settings=subject.settings.model_copy(update={"trust": trust}))


def _together(violations: Sequence[Violation], entries: Mapping[Wanted, str]) -> dict[Wanted, list[Wanted]]:
    """The group of types whose trust would allow what several entries do."""
    found: dict[Wanted, list[Wanted]] = {}
    for violation in violations:
        for kind, value in violation.other_entries if violation.entry in entries else ():
            if kind == "resource_types" and "/" in value and violation.entry is not None:
                group = found.setdefault((kind, f"{value.partition('/')[0]}/*"), [])
                group += [violation.entry] if violation.entry not in group else []
    return {group: sorted(members) for group, members in found.items() if len(members) > 1}


def _needed_entries(violations: Sequence[Violation], entries: Mapping[Wanted, str]) -> dict[Wanted, str]:
    """The entries without those whose violations another one allows too: a wider value, or the type of an object."""
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
