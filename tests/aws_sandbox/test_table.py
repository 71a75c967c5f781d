"""The table against pulumi-aws's own classes: it names no type and no property that they do not know."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from sandbox.aws.invokes import INVOKES
from sandbox.aws.model import Call, Type
from sandbox.aws.schema import Prop
from sandbox.aws.table import TYPES
from tests.sampling import sampled

every_type = pytest.mark.parametrize("token", sorted(TYPES))


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _pulumi_aws(service: str, module: str) -> Any:
    """A module of pulumi-aws.

    Its services load when first looked into. One that is entered through a module of it stays half-loaded
    for the rest of the process, so it is looked into first.
    """
    package = importlib.import_module(f"pulumi_aws.{service}" if service else "pulumi_aws")
    hasattr(package, "anything that is not there")
    return importlib.import_module(f"{package.__name__}.{module}")


def _module(kind: Type) -> Any:
    service, lower = kind.token.split(":")[1].split("/")
    return _pulumi_aws(service, _snake(lower))


def _names(cls: type) -> dict[str, str]:
    """Pulumi's name of each property: Python's."""
    from pulumi._types import input_type_py_to_pulumi_names

    return {pulumi: python for python, pulumi in input_type_py_to_pulumi_names(cls).items()}


def _inputs(kind: Type) -> type:
    module, name = _module(kind), kind.token.rsplit(":", 1)[-1]
    return (
        module.__dict__[module.__all__[0]]
        if f"{name}InitArgs" in module.__all__
        else module.__dict__[f"{name}Args"]
    )


@every_type
def test_pulumi_aws_has_the_type(token: str) -> None:
    module, name = _module(TYPES[token]), token.rsplit(":", 1)[-1]
    assert getattr(module, name).pulumi_type == token


@every_type
def test_pulumi_aws_has_every_input(token: str) -> None:
    assert set(TYPES[token].inputs) <= set(_names(_inputs(TYPES[token])))


@every_type
def test_pulumi_aws_has_every_output(token: str) -> None:
    module, name = _module(TYPES[token]), token.rsplit(":", 1)[-1]
    state = _names(module.__dict__[f"_{name}State"])
    assert set(TYPES[token].outputs) <= set(state)
    assert not set(TYPES[token].outputs) & set(_names(_inputs(TYPES[token])))


def _nested(prop: Prop) -> Prop | None:
    return prop.item if prop.kind == "list" else prop if prop.kind == "object" else None


def _check_nested(prop: Prop, module: Any, name: str) -> int:
    """How many parts below `prop` were compared with the class of inputs named `name`."""
    part = _nested(prop)
    if part is None or part.kind != "object":
        return 0
    cls = getattr(module, f"{name}Args", None) or getattr(module, f"{_singular(name)}Args")
    known = set(_names(cls))
    assert set(part.fields) <= known, f"{name}: {set(part.fields) - known}"
    return 1 + sum(
        _check_nested(
            field, module, cls.__name__.removesuffix("Args") + field_name[:1].upper() + field_name[1:]
        )
        for field_name, field in part.fields.items()
    )


def _singular(name: str) -> str:
    return name.removesuffix("es") if name.endswith(("sses", "liases")) else name.removesuffix("s")


@every_type
def test_pulumi_aws_has_every_nested_property(token: str) -> None:
    kind = TYPES[token]
    service, name = token.split(":")[1].split("/")[0], token.rsplit(":", 1)[-1]
    module = _pulumi_aws(service, "_inputs")
    nested = {key: prop for key, prop in kind.inputs.items() if _nested(prop)}
    compared = sum(
        _check_nested(prop, module, name + key[:1].upper() + key[1:]) for key, prop in nested.items()
    )
    assert compared >= len(nested)


@every_type
def test_the_required_properties_are_pulumi_aws_s(token: str) -> None:
    import inspect

    kind = TYPES[token]
    cls = _inputs(kind)
    parameters = inspect.signature(cls.__init__).parameters
    by_python = {python: pulumi for pulumi, python in _names(cls).items()}
    required = {
        by_python[name]
        for name, parameter in parameters.items()
        if name in by_python and parameter.default is inspect.Parameter.empty
    }
    served = {name for name, prop in kind.inputs.items() if prop.required}
    assert required <= set(kind.inputs)
    assert required <= served
    # Of a zone's name it would make one up from the resource's; ours is always said.
    arguments = {"name"} if token == "aws:route53/zone:Zone" else set()
    # pulumi-aws lists a few as optional that AWS's plugin demands all the same.
    assert served - required - arguments <= {
        "rules",
        "rule",
        "policy",
        "assumeRolePolicy",
        "versioningConfiguration",
    }


def _calls(kind: Type) -> list[Call]:
    calls = [kind.create, *kind.reads, kind.delete]
    for facet in kind.facets:
        calls += [call for call in (facet.put, facet.clear) if isinstance(call, Call)]
    return [*calls, *((kind.tagging.put, kind.tagging.remove) if kind.tagging else ())]


@pytest.mark.parametrize("token", sampled(sorted(TYPES)))
def test_botocore_has_every_call_and_every_argument(token: str) -> None:
    import botocore.session

    session = botocore.session.Session()
    keys: Any = {"region_name": "eu-central-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    services = {call.service or TYPES[token].service for call in _calls(TYPES[token])}
    clients = {service: session.create_client(service, **keys) for service in services}
    for call in _calls(TYPES[token]):
        client = clients[call.service or TYPES[token].service]
        operation = client.meta.method_to_api_mapping[call.operation]
        shape = client.meta.service_model.operation_model(operation).input_shape
        assert set(call.params) <= set(shape.members), call.operation


@every_type
def test_every_name_in_a_call_is_a_property(token: str) -> None:
    kind = TYPES[token]
    own = {"id", "region", "tagsAll", "tagsSet", "tagsGone", *kind.derived}
    scratch = {name for call in kind.reads for name in call.result if name.startswith("_")}

    def names(template: Any) -> set[str]:
        if isinstance(template, str) and template.startswith("$"):
            return {template[1:]}
        if isinstance(template, dict):
            return {name for value in template.values() for name in names(value)}
        return {name for value in template for name in names(value)} if isinstance(template, list) else set()

    known = {*kind.inputs, *kind.outputs, *own, *scratch}
    for call in _calls(kind):
        assert names(dict(call.params)) <= known, call.operation
        assert set(call.result) <= known, call.operation


@pytest.mark.parametrize("token", sorted(INVOKES))
def test_pulumi_aws_has_the_function(token: str) -> None:
    module, name = token.split(":")[1].split("/")
    source = _pulumi_aws("" if module == "index" else module, _snake(name))
    assert hasattr(source, _snake(name))


def test_the_plugin_says_the_version_whose_names_it_uses() -> None:
    from importlib.metadata import version

    from sandbox.aws.provider import VERSION

    assert version("pulumi_aws") == VERSION, "look through the table for what the new version renamed"
