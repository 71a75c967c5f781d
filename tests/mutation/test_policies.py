"""The policies find every fault by a rule that is meant for it, and report no harmless change."""

from __future__ import annotations

import random

import pytest

from tests.mutation import judging, matrix, stacks, table
from tests.mutation.meant import MISSED
from tests.mutation.registry import FAULTS, HARMLESS
from tests.mutation.stacks import Faulted, Stack
from tests.mutation.test_operators import rows

EVERY = [*FAULTS, *HARMLESS]


def somewhere(all_stacks: list[Stack], operator) -> Faulted:
    """An operator on a stack where it applies, which the seed says."""
    order = random.Random(f"{stacks.SEED}/{operator.id}").sample(all_stacks, len(all_stacks))
    return next(fault for stack in order if (fault := stacks.fault(operator, stack)))


@pytest.fixture(scope="module")
def before(all_stacks: list[Stack]) -> dict:
    return {stack.name: judging.judge(stack, stack.resources) for stack in all_stacks}


def test_nothing_is_found_in_a_stack_as_it_is(before):
    assert {name: findings for name, findings in before.items() if findings} == {}


def test_each_fault_but_those_that_are_listed_is_found_by_a_policy_that_is_meant_for_it(all_stacks, before):
    missed = []
    for operator in FAULTS:
        fault = somewhere(all_stacks, operator)
        findings = judging.new(fault, before[fault.stack.name])
        if not judging.by_the_meant(operator, findings):
            missed.append(
                (
                    operator.id,
                    fault.stack.name,
                    str(fault.site),
                    sorted({finding.policy for finding in findings}),
                )
            )
    assert [missing for missing in missed if missing[0] not in MISSED] == []


def test_no_fault_is_excused_that_there_is_not():
    assert set(MISSED) <= {operator.id for operator in FAULTS}


def test_no_harmless_change_is_found(all_stacks, before):
    loud = []
    for operator in HARMLESS:
        fault = somewhere(all_stacks, operator)
        if findings := judging.new(fault, before[fault.stack.name]):
            loud.append(
                (
                    operator.id,
                    fault.stack.name,
                    str(fault.site),
                    sorted({finding.policy for finding in findings}),
                )
            )
    assert loud == []


def test_the_docs_table_says_what_the_policies_find(all_stacks):
    """Of a sample; `make soak` makes the whole of it."""
    sample = random.Random(stacks.SEED).sample(EVERY, 8)
    result = matrix.run(all_stacks, sample)
    for operator, cells in rows(sample):
        marks = [table.mark(operator, result.cells.get((operator.id, stack.name))) for stack in all_stacks]
        assert cells[2 : 2 + len(all_stacks)] == marks, operator.id


@pytest.mark.soak
@pytest.mark.parametrize("operator", EVERY, ids=lambda operator: operator.id)
def test_at_every_place_of_every_stack(all_stacks, before, operator):
    wrong = []
    for fault in (found_fault for stack in all_stacks for found_fault in stacks.all_faults(operator, stack)):
        findings = judging.new(fault, before[fault.stack.name])
        if bool(findings) if not operator.meant_for else not judging.by_the_meant(operator, findings):
            wrong.append(
                (fault.stack.name, str(fault.site), sorted({finding.policy for finding in findings}))
            )
    if operator.id in MISSED:
        assert wrong, "it is found everywhere now: take it off the list"
    else:
        assert wrong == []
