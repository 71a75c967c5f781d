"""Every AWS resource that can bear tags bears two that say whose it is: the stack, and its name in the stack.

By them a bill is split, and a resource whose creation was cut off is found again (`isthmus.engine`): AWS
made it, and no state knows its id.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pulumi

STACK_TAG, RESOURCE_TAG = "isthmus-stack", "isthmus-resource"


def tag_everything(project: str, stack: str) -> None:
    """Have every AWS resource of the running program tagged; call before the first is made."""
    import pulumi

    def tagged(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not args.type_.startswith("aws:") or not bears_tags(type(args.resource)):
            return None
        own = {STACK_TAG: f"{project}/{stack}", RESOURCE_TAG: args.name}
        given = args.props.get("tags")
        joined: Any = (
            own
            if given is None
            else {**given, **own}
            if isinstance(given, dict)
            else pulumi.Output.from_input(given).apply(lambda tags: {**tags, **own})
        )
        return pulumi.ResourceTransformationResult({**args.props, "tags": joined}, args.opts)

    pulumi.runtime.register_stack_transformation(tagged)


@functools.cache
def bears_tags(kind: type) -> bool:
    """Whether a resource class of pulumi-aws takes tags as a map."""
    init = getattr(kind, "_internal_init", kind.__init__)
    found = inspect.signature(init).parameters.get("tags")
    return found is not None and "Mapping" in str(found.annotation)
