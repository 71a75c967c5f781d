"""Hosts the components in a Pulumi plugin: restores integers, and reports errors in one paragraph."""

import json
from typing import Any

import pulumi
from pulumi.errors import InputPropertiesError
from pulumi.provider import ConstructResult, main
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

from isthmus.core.errors import IsthmusError


class Host(ComponentProvider):
    """The components of a package. Their annotations define its schema."""

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Any,
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        schema = json.loads(self.schema)  # type: ignore[arg-type]
        inputs_schema = {
            "type": "object",
            "properties": schema["resources"][resource_type]["inputProperties"],
        }
        try:
            return super().construct(
                name, resource_type, restore_integers(inputs, inputs_schema, schema["types"]), options
            )
        except ComponentInitError as error:
            if isinstance(error.inner, IsthmusError):
                # Other errors are shown as faults of the component, with a traceback.
                # Without the list the SDK (3.272.0) fails itself. The error names the place.
                raise InputPropertiesError("", [{"property_path": "", "reason": str(error.inner)}]) from error
            raise


def restore_integers(value: Any, schema: dict[str, Any], types: dict[str, Any]) -> Any:
    """`value` with integers where its schema has them, because Pulumi sends every number as a float.

    Without this a BGP number in a text would end in `.0`. A fraction stays unchanged, and the component refuses it.
    Outputs are converted when they are known.
    """
    if isinstance(value, pulumi.Output):
        return value.apply(lambda resolved: restore_integers(resolved, schema, types))
    if "$ref" in schema:
        schema = types.get(schema["$ref"].removeprefix("#/types/"), {})
    if isinstance(value, dict):
        properties, any_other = schema.get("properties", {}), schema.get("additionalProperties", {})
        return {
            key: restore_integers(item, properties.get(key, any_other), types) for key, item in value.items()
        }
    if isinstance(value, list):
        return [restore_integers(item, schema.get("items", {}), types) for item in value]
    if schema.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def serve(components: list[type[pulumi.ComponentResource]], name: str, version: str, args: list[str]) -> None:
    """Serve the components until the engine disconnects. `args`: the plugin's command line."""
    main(Host(components, name, None, version), args)
