"""Hosts the components in a plugin, whose errors are told as the command line tells them: one paragraph."""

from typing import Any

import pulumi
from pulumi.errors import InputPropertiesError
from pulumi.provider import ConstructResult, main
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

from isthmus.contracts.errors import IsthmusError


class Host(ComponentProvider):
    """The components of a package; its schema is what their annotations say."""

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Any,
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        try:
            return super().construct(name, resource_type, inputs, options)
        except ComponentInitError as wrong:
            if isinstance(wrong.inner, IsthmusError):
                # Anything else is shown as a fault of the component, with a traceback.
                # Without the list the SDK (3.272.0) trips over itself; the paragraph names the place.
                raise InputPropertiesError("", [{"property_path": "", "reason": str(wrong.inner)}]) from wrong
            raise


def serve(components: list[type[pulumi.ComponentResource]], name: str, version: str, args: list[str]) -> None:
    """Answer the engine until it goes; `args`: what it starts the plugin with."""
    main(Host(components, name, None, version), args)
