"""Hosts the components in a plugin: whole numbers arrive whole, and errors are told in one paragraph."""

import json
from typing import Any

import pulumi
from pulumi.errors import InputPropertiesError
from pulumi.provider import ConstructResult, main
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

from isthmus.core.errors import IsthmusError


class Host(ComponentProvider):
    """The components of a package; its schema is what their annotations say."""

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Any,
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        schema = json.loads(self.schema)  # type: ignore[arg-type]
        wanted = {"type": "object", "properties": schema["resources"][resource_type]["inputProperties"]}
        try:
            return super().construct(name, resource_type, whole(inputs, wanted, schema["types"]), options)
        except ComponentInitError as wrong:
            if isinstance(wrong.inner, IsthmusError):
                # Anything else is shown as a fault of the component, with a traceback.
                # Without the list the SDK (3.272.0) trips over itself; the paragraph names the place.
                raise InputPropertiesError("", [{"property_path": "", "reason": str(wrong.inner)}]) from wrong
            raise


def whole(value: Any, of: dict[str, Any], types: dict[str, Any]) -> Any:
    """`value` with integers where its schema has them: on the wire every number is a float.

    A BGP number that is written into text would else end in `.0`. What is no whole number stays, for the
    component to refuse; what is not there yet is looked at once it is.
    """
    if isinstance(value, pulumi.Output):
        return value.apply(lambda found: whole(found, of, types))
    if "$ref" in of:
        of = types.get(of["$ref"].removeprefix("#/types/"), {})
    if isinstance(value, dict):
        known, any_other = of.get("properties", {}), of.get("additionalProperties", {})
        return {key: whole(each, known.get(key, any_other), types) for key, each in value.items()}
    if isinstance(value, list):
        return [whole(each, of.get("items", {}), types) for each in value]
    if of.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def serve(components: list[type[pulumi.ComponentResource]], name: str, version: str, args: list[str]) -> None:
    """Answer the engine until it goes; `args`: what it starts the plugin with."""
    main(Host(components, name, None, version), args)
