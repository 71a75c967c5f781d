"""The operators themselves: each applies somewhere, changes what it says and nothing else, the same every time."""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import random
from collections.abc import Iterator

import pytest

from isthmus.core import yaml_files
from tests.mutation import outside, registry, stacks, table
from tests.mutation.__main__ import BEGIN, DOC
from tests.mutation.matrix import Matrix
from tests.mutation.parts import BOXES, CONFIGS, references
from tests.mutation.registry import ASIDE, FAULTS, HARMLESS
from tests.mutation.shapes import Operator, without
from tests.mutation.stacks import Faulted, Stack

EVERY = [*FAULTS, *HARMLESS]


@pytest.fixture(scope="module")
def once(every: list[Stack]) -> dict[str, Faulted]:
    """Each operator on one stack where it applies, which the seed says."""
    made = {}
    for operator in EVERY:
        order = random.Random(f"{stacks.SEED}/{operator.id}").sample(every, len(every))
        found = next((one for stack in order if (one := stacks.fault(operator, stack))), None)
        if found is not None:
            made[operator.id] = found
    return made


def differing(one: Faulted) -> set[str]:
    was, now = ({each.urn: each for each in side} for side in (one.stack.resources, one.resources))
    return {urn for urn in {*was, *now} if was.get(urn) != now.get(urn)}


def test_there_are_as_many_as_were_asked_for_and_in_every_family():
    assert len(ASIDE) == 20
    assert len(FAULTS) - len(ASIDE) >= 45
    assert len(HARMLESS) >= 60
    assert {each.family for each in FAULTS} == {each.family for each in ASIDE} == set(registry.FAMILIES)
    assert len({each.id for each in EVERY}) == len(EVERY)
    assert all(each.meant_for for each in FAULTS)
    assert not any(each.meant_for for each in HARMLESS)


def test_each_says_in_a_sentence_what_somebody_did():
    assert not [each.id for each in EVERY if not each.says.endswith(".") or len(each.says.split()) < 4]
    assert len({each.says for each in EVERY}) == len(EVERY)


def test_each_applies_to_a_stack(once: dict[str, Faulted]):
    assert [each.id for each in EVERY if each.id not in once] == []


def test_each_changes_the_graph_and_leaves_the_one_that_it_was_given_alone(
    once: dict[str, Faulted], every: list[Stack]
):
    before = {stack.name: copy.deepcopy(stack.resources) for stack in every}
    for one in once.values():
        again = stacks.at(one.operator, one.stack, one.site)
        assert again.resources == one.resources, f"{one.operator.id} is not the same twice"
        assert one.resources != one.stack.resources, f"{one.operator.id} changes nothing"
    for stack in every:
        assert stack.resources == before[stack.name], f"an operator changed what it was given of {stack.name}"


def test_a_fault_touches_a_few_resources_and_the_inputs_of_no_component(once: dict[str, Faulted]):
    for operator in FAULTS:
        one = once[operator.id]
        was = {each.urn: each for each in one.stack.resources}
        # What waits for an admission policy, a class's gateway, sealer and reviews among it, waits for one thing less.
        assert len(differing(one)) <= 10, operator.id
        others = [each for each in one.resources if not each.made]
        assert all(each.inputs == was[each.urn].inputs for each in others), operator.id


def test_what_comes_out_could_have_been_asked_of_the_engine(once: dict[str, Faulted]):
    """One resource a URN, no dependency on what is not there, no value of a resource that nobody makes."""
    for one in once.values():
        urns = [each.urn for each in one.resources]
        assert len(set(urns)) == len(urns), one.operator.id
        known = {each.urn for each in one.resources} | {each.parent for each in one.resources}
        for each in one.resources:
            needs = {
                *each.dependencies,
                *(urn for some in each.property_dependencies.values() for urn in some),
            }
            assert needs <= known, f"{one.operator.id}: {each.name} needs {needs - known}"
        loose = {name for each in one.resources for name in references(each.inputs)}
        loose -= {name for each in one.stack.resources for name in references(each.inputs)}
        assert loose <= {each.name for each in one.resources}, one.operator.id


def properties(type_: str) -> set[str]:
    """The inputs that a type of pulumi-aws takes, as the provider calls them."""
    module, name = type_.split(":")[1].split("/")[0], type_.rsplit(":", 1)[1]
    found = getattr(importlib.import_module(f"pulumi_aws.{module}"), name)
    declared = inspect.signature(found._internal_init).parameters
    return {camel(each) for each in declared} - {"resourceName", "opts"}


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def test_aws_takes_every_input_that_an_operator_writes(once: dict[str, Faulted]):
    for one in once.values():
        was = {each.urn: set(each.inputs) for each in one.stack.resources}
        for each in one.resources:
            new = set(each.inputs) - was.get(each.urn, set())
            if each.type.startswith("aws:") and new:
                assert new <= properties(each.type), f"{one.operator.id}: {new - properties(each.type)}"


def test_a_container_and_a_configuration_are_read_and_written_back_as_they_were(every: list[Stack]):
    boxes = configs = 0
    for each in (each for stack in every for each in stack.resources if each.made):
        boxes += len(list(BOXES.find(each.inputs)))
        for at in CONFIGS.find(each.inputs):
            inputs, part = json.loads(json.dumps(each.inputs)), CONFIGS.open(each.inputs, at)
            CONFIGS.close(inputs, at, part)
            assert CONFIGS.open(inputs, at) == part == yaml_files.loads(yaml_files.dumps(part)).data
            configs += 1
    assert boxes > 40
    assert configs > 20


def test_what_is_left_out_is_needed_by_nobody_any_more(every: list[Stack]):
    stack = next(each for each in every if each.name == "bank-dev")
    key = next(each for each in stack.resources if each.name == "bank-frankfurt-key")
    assert any(key.urn in each.dependencies for each in stack.resources)
    left = without(stack.resources, {key.urn})
    assert len(left) == len(stack.resources) - 1
    assert not [each.name for each in left if key.urn in each.dependencies]


def test_checkov_is_shown_what_was_touched_and_what_stands_around_it(
    once: dict[str, Faulted], every: list[Stack]
):
    stack = next(each for each in every if each.name == "bank-dev")
    removed = stacks.fault(registry.named("namespace-without-default-deny"), stack)
    assert removed is not None
    kinds = {
        urn.split("::")[2].rpartition("$")[2] for urn in outside.touched(stack.resources, removed.resources)
    }
    assert "kubernetes:networking.k8s.io/v1:NetworkPolicy" in kinds
    assert "kubernetes:apps/v1:Deployment" in kinds
    assert outside.touched(stack.resources, stack.resources) == frozenset()


def rows(operators: list[Operator]) -> Iterator[tuple[Operator, list[str]]]:
    """The cells of an operator's line in the docs."""
    held = {
        line.split("`")[1]: line for line in DOC.read_text().partition(BEGIN)[2].splitlines() if "| `" in line
    }
    for each in operators:
        yield each, [cell.strip() for cell in held[each.id].strip("|").split(" | ")]


def test_the_docs_table_has_every_operator_and_says_where_it_applies(every: list[Stack]):
    for operator, cells in rows(EVERY):
        assert cells[1] == operator.says
        marks = cells[2 : 2 + len(every)]
        expected = [bool(operator.sites(stack.resources)) for stack in every]
        assert [each != table.NOWHERE for each in marks] == expected, operator.id
    matrix = Matrix(every, EVERY)
    assert table.head(matrix).splitlines()[0] in DOC.read_text()
