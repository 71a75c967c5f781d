"""Converts between protobuf's Struct and plain Python values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import struct_pb2

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key by which the engine marks a map as a special value: a secret, an output, an asset."""
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a type's mark, not a secret
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def plain(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return a Struct as a dict, with secrets and outputs unwrapped and whole numbers as int."""
    return {key: _value(value) for key, value in struct.fields.items()}


def _value(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return unwrapped(plain(value.struct_value))
    if kind == "list_value":
        return [_value(part) for part in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "string_value":
        return value.string_value
    return value.bool_value if kind == "bool_value" else None


def unwrapped(value: Any) -> Any:
    """Return the content of a map that is marked as a secret, an output or a resource. Other values stay."""
    if not isinstance(value, dict) or _SIGNATURE not in value:
        return value
    mark = value[_SIGNATURE]
    if mark == _SECRET:
        return value.get("value")
    if mark == _OUTPUT:
        return value.get("value", _UNKNOWN)
    if mark == _RESOURCE:
        return value.get("id", _UNKNOWN)
    return value


def sealed(value: Any) -> Any:
    """Return the value marked as a secret. Unknown values and None stay as they are."""
    if value is None or value == _UNKNOWN:
        return value
    return {_SIGNATURE: _SECRET, "value": value}


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return a dict as a Struct, without None values."""
    message = struct_pb2.Struct()
    message.update({key: _clean(value) for key, value in values.items() if value is not None})
    return message


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _clean(part) for key, part in value.items() if part is not None}
    return [_clean(part) for part in value] if isinstance(value, list | tuple) else value
