"""Every type of the table through its whole life, as the engine would take it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from sandbox.aws.schema import UNKNOWN, differences
from sandbox.aws.table import TYPES
from tests.aws_sandbox.cases import CASES
from tests.aws_sandbox.driver import Client, World
from tests.sampling import sampled

every_type = pytest.mark.parametrize("token", sorted(TYPES))
some, others, the_rest = (
    pytest.mark.parametrize("token", sampled(sorted(TYPES), 3, first)) for first in range(3)
)
few = pytest.mark.parametrize("token", sampled(sorted(TYPES), 6))
SOME, NONE = pb.DiffResponse.DIFF_SOME, pb.DiffResponse.DIFF_NONE


@pytest.fixture
def client(standing: Client) -> Client:
    return standing


def create_resource(client: Client, world: World, token: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """A live resource: its id, inputs and state."""
    inputs = client.checked(token, CASES[token].make(world))
    id, state = client.create(token, inputs)
    return id, inputs, state


def test_every_type_of_the_table_has_its_case() -> None:
    assert set(CASES) == set(TYPES)


@every_type
def test_what_was_made_is_found_unchanged(client: Client, world: World, token: str) -> None:
    id, inputs, state = create_resource(client, world, token)
    assert id
    assert CASES[token].left(world, {**state, **inputs})
    assert set(TYPES[token].outputs) <= set(state), "an output is missing"
    assert client.diff(token, id, state, inputs).changes == NONE
    read_id, fresh, retained = client.read(token, id, state, inputs)
    assert (read_id, fresh) == (id, state), "a refresh of what nobody touched shows a difference"
    assert retained == inputs
    assert (
        client.diff(
            token, id, fresh, client.checked(token, CASES[token].make(world) | inputs, retained)
        ).changes
        == NONE
    )


@some
def test_a_change_in_place_is_made_in_aws(client: Client, world: World, token: str) -> None:
    case = CASES[token]
    if case.change is None:
        changeable = [
            name for name, prop in TYPES[token].inputs.items() if not prop.replace and not prop.local
        ]
        assert not changeable, "the type can be changed in place: give it a `change`"
        return
    id, inputs, state = create_resource(client, world, token)
    news = client.checked(token, case.change(world, inputs), inputs)
    difference = client.diff(token, id, state, news)
    assert difference.changes == SOME
    assert not difference.replaces
    shown = client.update(token, id, state, news, preview=True)
    after = client.update(token, id, state, news)
    assert client.diff(token, id, after, news).changes == NONE
    read_id, fresh, _ = client.read(token, id, after, news)
    assert (read_id, fresh) == (id, after)
    known = {name: value for name, value in shown.items() if value != UNKNOWN}
    assert known == {name: after.get(name) for name in known}, "the preview promised something else"


@every_type
def test_every_property_that_can_change_in_place_is_set_by_some_call(token: str) -> None:
    kind = TYPES[token]
    set_by_facets = {name for facet in kind.facets for name in facet.props}
    changeable = {name for name, prop in kind.inputs.items() if not prop.replace and not prop.local}
    assert changeable - {"tags"} == set_by_facets
    assert ("tags" in changeable) == (kind.tagging is not None)


@others
def test_a_change_that_cannot_be_made_in_place_forces_a_replacement(
    client: Client, world: World, token: str
) -> None:
    case = CASES[token]
    if case.replace is None:
        replacing = [name for name, prop in TYPES[token].inputs.items() if prop.replace]
        assert not replacing, "the type can be forced anew: give it a `replace`"
        return
    id, inputs, state = create_resource(client, world, token)
    news = client.checked(token, case.replace(world, inputs), inputs)
    difference = client.diff(token, id, state, news)
    changed = {name for name in news if news.get(name) != inputs.get(name)}
    expected = {
        name for name in changed if TYPES[token].inputs.get(name) and TYPES[token].inputs[name].replace
    }
    assert expected
    assert set(difference.replaces) == expected
    tops = {path: re.split(r"[.\[]", path, maxsplit=1)[0] for path in difference.detailedDiff}
    assert set(tops.values()) >= expected
    kinds = {difference.detailedDiff[path].kind for path, top in tops.items() if top in expected}
    replacing = {pb.PropertyDiff.ADD_REPLACE, pb.PropertyDiff.UPDATE_REPLACE, pb.PropertyDiff.DELETE_REPLACE}
    assert kinds <= replacing
    identity = TYPES[token].identity or (("name",) if "name" in inputs else ())
    collides = bool(identity) and all(news[name] == inputs[name] for name in identity)
    assert difference.deleteBeforeReplace == collides
    if difference.deleteBeforeReplace:
        client.delete(token, id, state)
    second, again = client.create(token, news)
    assert client.diff(token, second, again, news).changes == NONE


@the_rest
def test_a_change_by_another_hand_is_found_and_mended(client: Client, world: World, token: str) -> None:
    id, inputs, state = create_resource(client, world, token)
    drifted = CASES[token].behind(world, {**state, **inputs})
    read_id, fresh, retained = client.read(token, id, state, inputs)
    if not drifted:
        assert read_id == "", "what another hand deleted is gone"
        return
    assert read_id == id
    assert fresh[drifted] != state[drifted]
    assert retained[drifted] == fresh[drifted]
    assert drifted in client.diff(token, id, fresh, inputs).diffs
    mended = client.update(token, id, fresh, inputs)
    # When it was last changed is another second.
    assert {**mended, "updatedAt": ""} == {**state, "updatedAt": ""}


@some
def test_a_resource_can_be_imported_by_its_id_alone(client: Client, world: World, token: str) -> None:
    id, inputs, state = create_resource(client, world, token)
    read_id, read, proposed = client.read(token, id)
    assert read_id == id
    local = {name for name, prop in TYPES[token].inputs.items() if prop.local}
    for name in set(state) - local:
        assert not differences(TYPES[token].prop(name), state[name], read.get(name), name)
    expected = {name: value for name, value in inputs.items() if name not in local}
    assert client.diff(token, id, read, expected).changes == NONE
    assert client.diff(token, id, read, client.checked(token, proposed)).changes == NONE


@others
def test_deleting_removes_it_and_deleting_again_is_no_error(client: Client, world: World, token: str) -> None:
    id, inputs, state = create_resource(client, world, token)
    client.delete(token, id, state)
    assert CASES[token].left(world, {**state, **inputs}) == CASES[token].stays
    client.delete(token, id, state)


@the_rest
def test_a_preview_with_unknown_values_makes_nothing(client: Client, world: World, token: str) -> None:
    kind = TYPES[token]
    inputs = CASES[token].make(world)
    unknown = {**inputs, **{name: UNKNOWN for name, prop in kind.inputs.items() if prop.required}}
    news = client.checked(token, unknown)
    id, shown = client.create(token, news, preview=True)
    assert id == ""
    for name, prop in kind.inputs.items():
        if prop.required:
            assert shown[name] == UNKNOWN
    assert set(kind.outputs) <= set(shown)
    if "bucket" not in inputs and "role" not in inputs and "keyId" not in shown:
        assert not CASES[token].left(world, {**inputs, "arn": "arn:aws:iam::123456789012:policy/none"})


@few
def test_an_unknown_property_is_named_with_the_nearest(client: Client, world: World, token: str) -> None:
    inputs = CASES[token].make(world)
    first = sorted(inputs)[0]
    inputs[first + "x"] = "1"
    _, failures = client.check(token, inputs)
    assert [name for name, _ in failures] == [first + "x"]
    assert f"Did you mean `{first}`?" in failures[0][1]
    assert token in failures[0][1]


@few
def test_a_value_of_the_wrong_type_is_refused_by_name(client: Client, world: World, token: str) -> None:
    for name, prop in TYPES[token].inputs.items():
        wrong: Any = ["not", "it"] if prop.kind != "list" else "not it"
        _, failures = client.check(token, {**CASES[token].make(world), name: wrong})
        assert name in [path for path, _ in failures], name
        assert "not it" not in failures[0][1], "an error shows no value"


@some
def test_what_the_sandbox_forgot_is_gone_and_can_still_be_deleted(
    client: Client, world: World, token: str
) -> None:
    id, inputs, state = create_resource(client, world, token)
    world.forget()
    assert client.read(token, id, state, inputs)[0] == ""
    client.delete(token, id, state)


def test_a_monitors_specification_is_read_back_whole_as_by_pulumi_aws(client: Client, world: World) -> None:
    token = "aws:costexplorer/anomalyMonitor:AnomalyMonitor"
    bare = '{"Tags": {"Key": "isthmus.dev/class", "Values": ["internal"]}}'
    news = client.checked(token, {**CASES[token].make(world), "monitorSpecification": bare})
    id, state = client.create(token, news)
    assert set(client.diff(token, id, state, news).replaces) == {"monitorSpecification"}, (
        "AWS's provider would make another monitor on every up: the members that are null are missing"
    )
