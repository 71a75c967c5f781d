"""The policies against the operators: a fault is found by a policy that is meant for it, a harmless change by none."""

from __future__ import annotations

import random

import pytest

from tests.mutation import judging, matrix, stacks, table
from tests.mutation.meant import MISSED
from tests.mutation.registry import FAULTS, HARMLESS
from tests.mutation.stacks import Faulted, Stack
from tests.mutation.test_operators import rows

EVERY = [*FAULTS, *HARMLESS]


def somewhere(every: list[Stack], operator) -> Faulted:
    """An operator on a stack where it applies, which the seed says."""
    order = random.Random(f"{stacks.SEED}/{operator.id}").sample(every, len(every))
    return next(one for stack in order if (one := stacks.fault(operator, stack)))


@pytest.fixture(scope="module")
def before(every: list[Stack]) -> dict:
    return {stack.name: judging.judge(stack, stack.resources) for stack in every}


def test_nothing_is_found_in_a_stack_as_it_is(before):
    assert {name: found for name, found in before.items() if found} == {}


def test_each_fault_but_those_that_are_listed_is_found_by_a_policy_that_is_meant_for_it(every, before):
    missed = []
    for operator in FAULTS:
        one = somewhere(every, operator)
        found = judging.new(one, before[one.stack.name])
        if not judging.by_the_meant(operator, found):
            missed.append(
                (operator.id, one.stack.name, str(one.site), sorted({each.policy for each in found}))
            )
    assert [each for each in missed if each[0] not in MISSED] == []


def test_no_fault_is_excused_that_there_is_not():
    assert set(MISSED) <= {each.id for each in FAULTS}


def test_no_harmless_change_is_found(every, before):
    loud = []
    for operator in HARMLESS:
        one = somewhere(every, operator)
        if found := judging.new(one, before[one.stack.name]):
            loud.append((operator.id, one.stack.name, str(one.site), sorted({each.policy for each in found})))
    assert loud == []


def test_the_docs_table_says_what_the_policies_find(every):
    """Of a sample; `make soak` makes the whole of it."""
    sample = random.Random(stacks.SEED).sample(EVERY, 8)
    made = matrix.run(every, sample)
    for operator, cells in rows(sample):
        marks = [table.mark(operator, made.cells.get((operator.id, stack.name))) for stack in every]
        assert cells[2 : 2 + len(every)] == marks, operator.id


@pytest.mark.soak
@pytest.mark.parametrize("operator", EVERY, ids=lambda each: each.id)
def test_at_every_place_of_every_stack(every, before, operator):
    wrong = []
    for one in (one for stack in every for one in stacks.every(operator, stack)):
        found = judging.new(one, before[one.stack.name])
        if bool(found) if not operator.meant_for else not judging.by_the_meant(operator, found):
            wrong.append((one.stack.name, str(one.site), sorted({each.policy for each in found})))
    if operator.id in MISSED:
        assert wrong, "it is found everywhere now: take it off the list"
    else:
        assert wrong == []
