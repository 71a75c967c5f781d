"""Gives every AWS resource that supports tags two tags: the stack, and its name in the stack.

They split a bill, and find a resource whose creation was interrupted (`isthmus.engine`): AWS created it, but no state
has its id.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pulumi

STACK_TAG, RESOURCE_TAG = "isthmus-stack", "isthmus-resource"


def tag_everything(project: str, stack: str) -> None:
    """Tag every AWS resource of the running program. Call it before the first resource is created."""
    import pulumi

    def tagged(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not args.type_.startswith("aws:") or not bears_tags(type(args.resource)):
            return None
        stack_tags = {STACK_TAG: f"{project}/{stack}", RESOURCE_TAG: args.name}
        existing = args.props.get("tags")
        merged: Any = (
            stack_tags
            if existing is None
            else {**existing, **stack_tags}
            if isinstance(existing, dict)
            else pulumi.Output.from_input(existing).apply(lambda tags: {**tags, **stack_tags})
        )
        return pulumi.ResourceTransformationResult({**args.props, "tags": merged}, args.opts)

    pulumi.runtime.register_stack_transformation(tagged)


@functools.cache
def bears_tags(kind: type) -> bool:
    """Whether a resource class of pulumi-aws takes tags as a map."""
    init = getattr(kind, "_internal_init", kind.__init__)
    parameter = inspect.signature(init).parameters.get("tags")
    return parameter is not None and "Mapping" in str(parameter.annotation)
