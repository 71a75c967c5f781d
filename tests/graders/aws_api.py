"""Checks rendered AWS inputs against botocore's models of the API calls that send them.

For types that CloudFormation does not have, or has with less: which call, and why, is in `data/aws_api.yaml`.
The models give shapes, enumerations, patterns and lengths; `jsonschema` compares.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import botocore.session
import jsonschema.validators
import regex

from tests.graders import aws_values
from tests.graders.cloudformation import Json, Names, translate
from tests.graders.examples import data
from tests.graders.terraform import Resource

CALLS = data("aws_api")
_KINDS = {
    "structure": "object",
    "map": "object",
    "list": "array",
    "boolean": "boolean",
    "integer": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
}


def findings(resource: Resource) -> list[str]:
    """What the model of the resource's call says against its inputs: a line each, with the path."""
    call = CALLS[resource["type"]]
    schema = _schema(call["service"], call["operation"])
    arranged = _ARRANGED.get(resource["type"], dict)(resource["inputs"])
    inputs = {key: value for key, value in arranged.items() if key not in call.get("dropped", {})}
    names = Names(resource["type"], "", call.get("properties", {}))
    sent = translate(inputs, schema, names)
    if "autonamed" in call:
        sent.setdefault(call["autonamed"], aws_values.physical_name(resource))
    errors = _VALIDATOR(schema).iter_errors(sent)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


@functools.cache
def _schema(service: str, operation: str) -> Json:
    """The input of an API call as a JSON schema."""
    model = botocore.session.get_session().get_service_model(service)
    # botocore's types hide what its properties give.
    shape: Any = model.operation_model(operation).input_shape
    shapes: dict[str, Json] = {}
    _add(shape, shapes)
    return {**shapes[shape.name], "definitions": shapes}


def _add(shape: Any, shapes: dict[str, Json]) -> None:
    """A botocore shape, and those below it, by name. A shape may contain itself."""
    if shape.name in shapes:
        return
    facts = shape.metadata
    node: Json = {"type": _KINDS.get(shape.type_name, "string")}
    shapes[shape.name] = node
    below: list[Any] = []
    if shape.type_name == "structure":
        below = list(shape.members.values())
        node["properties"] = {name: _reference(member) for name, member in shape.members.items()}
        node["required"] = shape.required_members
        node["additionalProperties"] = False
    elif shape.type_name == "list":
        below = [shape.member]
        node["items"] = _reference(shape.member)
        limits = {"min": "minItems", "max": "maxItems"}
        node |= {name: facts[key] for key, name in limits.items() if key in facts}
    elif shape.type_name == "map":
        below = [shape.key, shape.value]
        node["propertyNames"], node["additionalProperties"] = _reference(shape.key), _reference(shape.value)
    elif node["type"] in ("integer", "number"):
        limits = {"min": "minimum", "max": "maximum"}
        node |= {name: facts[key] for key, name in limits.items() if key in facts}
    elif node["type"] == "string":
        limits = {"min": "minLength", "max": "maxLength", "pattern": "pattern", "enum": "enum"}
        node |= {name: facts[key] for key, name in limits.items() if facts.get(key)}
    for member in below:
        _add(member, shapes)


def _reference(shape: Any) -> Json:
    return {"$ref": f"#/definitions/{shape.name}"}


def _pattern(_: Any, pattern: str, text: Json, __: Json) -> Iterable[jsonschema.ValidationError]:
    """AWS's patterns are about the whole text and know Unicode's classes (`\\p{L}`)."""
    if isinstance(text, str) and not regex.fullmatch(pattern, text):
        yield jsonschema.ValidationError(f"'{text}' does not match '{pattern}'")


_VALIDATOR = jsonschema.validators.extend(jsonschema.Draft7Validator, {"pattern": _pattern})


def _anomaly(kind: str) -> Any:
    def arrange(inputs: dict[str, Json]) -> dict[str, Json]:
        inputs = dict(inputs)
        tags = inputs.pop("tags")
        name = {f"{kind}Name": inputs.pop("name")}
        return {f"anomaly{kind}": {**inputs, **name}, "resourceTags": tags}

    return arrange


_ARRANGED = {
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": _anomaly("Monitor"),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": _anomaly("Subscription"),
    "aws:costexplorer/costAllocationTag:CostAllocationTag": lambda inputs: {
        "costAllocationTagsStatus": [inputs]
    },
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": lambda inputs: {
        **inputs,
        # Of the group that came with the network: tags are all that is sent where no rule stays.
        "resources": ["sg-0a1b2c3d4e5f67890"],
    },
}
"""Inputs in the call's arrangement, where names alone do not do."""
