"""Every operator applies somewhere, changes only what it describes, and is deterministic."""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import random
from collections.abc import Iterator

import pytest

from isthmus.core import yaml_files
from tests.broken_graphs.parts import BOXES, CONFIGS, references
from tests.broken_graphs.resources import without
from tests.mutation import outside, registry, stacks, table
from tests.mutation.__main__ import BEGIN, DOC
from tests.mutation.matrix import Matrix
from tests.mutation.registry import ASIDE, FAULTS, HARMLESS
from tests.mutation.shapes import Operator
from tests.mutation.stacks import Faulted, Stack

EVERY = [*FAULTS, *HARMLESS]


@pytest.fixture(scope="module")
def once(all_stacks: list[Stack]) -> dict[str, Faulted]:
    """Each operator on one stack where it applies, which the seed says."""
    faults = {}
    for operator in EVERY:
        order = random.Random(f"{stacks.SEED}/{operator.id}").sample(all_stacks, len(all_stacks))
        first_fault = next((fault for stack in order if (fault := stacks.fault(operator, stack))), None)
        if first_fault is not None:
            faults[operator.id] = first_fault
    return faults


def differing(fault: Faulted) -> set[str]:
    old, now = (
        {resource.urn: resource for resource in side} for side in (fault.stack.resources, fault.resources)
    )
    return {urn for urn in {*old, *now} if old.get(urn) != now.get(urn)}


def test_there_are_as_many_as_were_asked_for_and_in_every_family():
    assert len(ASIDE) == 20
    assert len(FAULTS) - len(ASIDE) >= 45
    assert len(HARMLESS) >= 60
    assert (
        {operator.family for operator in FAULTS}
        == {operator.family for operator in ASIDE}
        == set(registry.FAMILIES)
    )
    assert len({operator.id for operator in EVERY}) == len(EVERY)
    assert all(operator.meant_for for operator in FAULTS)
    assert not any(operator.meant_for for operator in HARMLESS)


def test_each_says_in_a_sentence_what_somebody_did():
    assert not [
        operator.id for operator in EVERY if not operator.says.endswith(".") or len(operator.says.split()) < 4
    ]
    assert len({operator.says for operator in EVERY}) == len(EVERY)


def test_each_applies_to_a_stack(once: dict[str, Faulted]):
    assert [operator.id for operator in EVERY if operator.id not in once] == []


def test_each_changes_the_graph_and_leaves_the_one_that_it_was_given_alone(
    once: dict[str, Faulted], all_stacks: list[Stack]
):
    before = {stack.name: copy.deepcopy(stack.resources) for stack in all_stacks}
    for fault in once.values():
        again = stacks.at(fault.operator, fault.stack, fault.site)
        assert again.resources == fault.resources, f"{fault.operator.id} is not the same twice"
        assert fault.resources != fault.stack.resources, f"{fault.operator.id} changes nothing"
    for stack in all_stacks:
        assert stack.resources == before[stack.name], f"an operator changed what it was given of {stack.name}"


def test_a_fault_touches_a_few_resources_and_the_inputs_of_no_component(once: dict[str, Faulted]):
    for operator in FAULTS:
        fault = once[operator.id]
        original = {resource.urn: resource for resource in fault.stack.resources}
        # What waits for an admission policy or a namespace, a class's gateway, sealer and reviews and a site's seven
        # dashboards among it, waits for one thing less.
        assert len(differing(fault)) <= 17, operator.id
        added = [resource for resource in fault.resources if not resource.made]
        assert all(resource.inputs == original[resource.urn].inputs for resource in added), operator.id


def test_what_comes_out_could_have_been_asked_of_the_engine(once: dict[str, Faulted]):
    """One resource a URN, no dependency on what is not there, no value of a resource that nobody makes."""
    for fault in once.values():
        urns = [resource.urn for resource in fault.resources]
        assert len(set(urns)) == len(urns), fault.operator.id
        known_urns = {resource.urn for resource in fault.resources} | {
            resource.parent for resource in fault.resources
        }
        for resource in fault.resources:
            needs = {
                *resource.dependencies,
                *(urn for some in resource.property_dependencies.values() for urn in some),
            }
            assert needs <= known_urns, f"{fault.operator.id}: {resource.name} needs {needs - known_urns}"
        loose = {name for resource in fault.resources for name in references(resource.inputs)}
        loose -= {name for resource in fault.stack.resources for name in references(resource.inputs)}
        assert loose <= {resource.name for resource in fault.resources}, fault.operator.id


def properties(type_: str) -> set[str]:
    """The inputs that a type of pulumi-aws takes, as the provider calls them."""
    module, name = type_.split(":")[1].split("/")[0], type_.rsplit(":", 1)[1]
    class_found = getattr(importlib.import_module(f"pulumi_aws.{module}"), name)
    declared = inspect.signature(class_found._internal_init).parameters
    return {camel(name_declared) for name_declared in declared} - {"resourceName", "opts"}


def camel(name: str) -> str:
    first, *other_words = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in other_words)


def test_aws_takes_every_input_that_an_operator_writes(once: dict[str, Faulted]):
    for fault in once.values():
        original = {resource.urn: set(resource.inputs) for resource in fault.stack.resources}
        for resource in fault.resources:
            new = set(resource.inputs) - original.get(resource.urn, set())
            if resource.type.startswith("aws:") and new:
                assert new <= properties(resource.type), (
                    f"{fault.operator.id}: {new - properties(resource.type)}"
                )


def test_a_container_and_a_configuration_are_read_and_written_back_as_they_were(all_stacks: list[Stack]):
    boxes = configs = 0
    for resource in (candidate for stack in all_stacks for candidate in stack.resources if candidate.made):
        boxes += len(list(BOXES.find(resource.inputs)))
        for at in CONFIGS.find(resource.inputs):
            inputs, part = json.loads(json.dumps(resource.inputs)), CONFIGS.open(resource.inputs, at)
            CONFIGS.close(inputs, at, part)
            assert CONFIGS.open(inputs, at) == part == yaml_files.loads(yaml_files.dumps(part)).data
            configs += 1
    assert boxes > 40
    assert configs > 20


def test_what_is_left_out_is_needed_by_nobody_any_more(all_stacks: list[Stack]):
    stack = next(candidate for candidate in all_stacks if candidate.name == "bank-dev")
    key = next(resource for resource in stack.resources if resource.name == "bank-frankfurt-key")
    assert any(key.urn in resource.dependencies for resource in stack.resources)
    left = without(stack.resources, {key.urn})
    assert len(left) == len(stack.resources) - 1
    assert not [resource.name for resource in left if key.urn in resource.dependencies]


def test_checkov_is_shown_what_was_touched_and_what_stands_around_it(
    once: dict[str, Faulted], all_stacks: list[Stack]
):
    stack = next(candidate for candidate in all_stacks if candidate.name == "bank-dev")
    removed = stacks.fault(registry.find_operator("namespace-without-default-deny"), stack)
    assert removed is not None
    kinds = {
        urn.split("::")[2].rpartition("$")[2] for urn in outside.touched(stack.resources, removed.resources)
    }
    assert "kubernetes:networking.k8s.io/v1:NetworkPolicy" in kinds
    assert "kubernetes:apps/v1:Deployment" in kinds
    assert outside.touched(stack.resources, stack.resources) == frozenset()


def rows(operators: list[Operator]) -> Iterator[tuple[Operator, list[str]]]:
    """The cells of an operator's line in the docs."""
    where_applied = {
        line.split("`")[1]: line for line in DOC.read_text().partition(BEGIN)[2].splitlines() if "| `" in line
    }
    for operator in operators:
        yield operator, [cell.strip() for cell in where_applied[operator.id].strip("|").split(" | ")]


def test_the_docs_table_has_every_operator_and_says_where_it_applies(all_stacks: list[Stack]):
    for operator, cells in rows(EVERY):
        assert cells[1] == operator.says
        marks = cells[2 : 2 + len(all_stacks)]
        expected = [bool(operator.sites(stack.resources)) for stack in all_stacks]
        assert [mark_found != table.NOWHERE for mark_found in marks] == expected, operator.id
    matrix = Matrix(all_stacks, EVERY)
    assert table.head(matrix).splitlines()[0] in DOC.read_text()
