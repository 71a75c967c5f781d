"""Rules for candidates: a model that begins to answer people has a signed evaluation that it passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from isthmus.contracts.platform.model.lifecycle import Lifecycle
from isthmus.evaluation.gate import judge_candidates
from isthmus.graph.resources.resources import Resource
from policies.inputs.documents import gateway_configurations
from policies.inputs.values import at
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation


def _check_candidates(lifecycle: Lifecycle) -> Callable[[Subject], Iterator[Violation]]:
    def check(subject: Subject) -> Iterator[Violation]:
        if subject.platform is None or subject.platform.lifecycle != lifecycle:
            return
        configured = {(class_, workload): resource for resource, class_, workload in _configured(subject)}
        known: set[tuple[str, str]] = set()
        settings = subject.settings
        for candidate in judge_candidates(
            subject.platform, settings.evaluations, settings.trust, subject.today
        ):
            key = candidate.class_, candidate.workload
            if candidate.takes_requests:
                known.add(key)
            for missing in candidate.missing:
                yield Violation(missing.what, configured.get(key), fix=missing.fix)
        for (class_, workload), resource in configured.items():
            if (class_, workload) not in known:
                yield Violation(
                    f"{resource.name} sends requests of {workload} to a candidate, and the platform states no share",
                    resource,
                    fix="State the candidate as `canary` of the workload, with its `evaluation`",
                )

    return check


def _configured(subject: Subject) -> Iterator[tuple[Resource, str, str]]:
    """Gateway configurations that send requests to a candidate: resource, class, workload."""
    for resource, _, config in gateway_configurations(subject.graph):
        for route in at(config, "routes") or []:
            canary = at(route, "canary")
            if canary is not None and (at(canary, "percent") != 0 or _is_moved_or_copied(canary)):
                yield resource, str(at(config, "class")), str(at(route, "workload"))


def _is_moved_or_copied(canary: Any) -> bool:
    return bool(at(canary, "steps") or at(canary, "shadow_percent"))


def _with_candidates(lifecycle: Lifecycle) -> Callable[[Subject], Iterator[Resource]]:
    def select(subject: Subject) -> Iterator[Resource]:
        if subject.platform is not None and subject.platform.lifecycle == lifecycle:
            yield from (resource for resource, _, _ in _configured(subject))

    return select


def _rule(id_: str, title: str, severity: Any, lifecycle: Lifecycle) -> Rule:
    return Rule(
        id=id_,
        title=title,
        severity=severity,
        supports=(*fw.nist("CM-3"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="A model that nobody evaluated would answer people, and only they would notice",
        fix="Evaluate the candidate with a trusted evaluator's key, and name the result (docs/evaluation.md)",
        check=_check_candidates(lifecycle),
        applies_to=_with_candidates(lifecycle),
    )


RULES = (
    _rule(
        "release/candidate-evaluated",
        "A candidate that answers people has a signed evaluation that it passed",
        "critical",
        "durable",
    ),
    _rule(
        "release/trial-candidate-evaluated",
        "In a disposable stack a candidate has a signed evaluation that it passed, too",
        "low",
        "disposable",
    ),
)
