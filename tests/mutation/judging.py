"""The only interface to the policies: their findings for the resources of a stack."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.contracts.reports.findings import Finding
from isthmus.engine.render.recorder import Resource
from policies.evaluation import evaluation
from tests.mutation.meant import FAMILY_OF, POLICIES
from tests.mutation.shapes import Operator
from tests.mutation.stacks import Faulted, Stack


def judge(stack: Stack, resources: Sequence[Resource]) -> list[Finding]:
    """What the policies find in these resources, taken for the stack's."""
    return evaluation.judge(list(resources), stack.platform)


def new(faulted: Faulted, before: Sequence[Finding]) -> list[Finding]:
    """What is found after an operator and was not before."""
    known_findings = {(finding.policy, finding.urn, finding.message) for finding in before}
    findings = judge(faulted.stack, faulted.resources)
    return [
        finding
        for finding in findings
        if (finding.policy, finding.urn, finding.message) not in known_findings
    ]


def by_the_meant(operator: Operator, findings: Sequence[Finding]) -> bool:
    """Whether a policy that is meant for the operator's fault is among those that found it."""
    ids = POLICIES.get(operator.id, frozenset())
    return any(
        finding.policy in ids or FAMILY_OF.get(finding.family, finding.family) in operator.meant_for
        for finding in findings
    )
