"""Whether everything in AWS says whose it is."""

from __future__ import annotations

import functools

from isthmus.graph.resources import Fault, Graph


def everything_is_tagged(graph: Graph) -> list[Fault]:
    """Every AWS resource whose type bears tags says whose it is: the stack, and its name in the stack."""
    broken: list[Fault] = []
    for each in graph.resources:
        if not each.type.startswith("aws:") or not bears_tags(each.type):
            continue
        tags = each.inputs.get("tags") or {}
        if tags.get("isthmus-resource") != each.name or not tags.get("isthmus-stack"):
            broken.append(Fault(f"{each.type} {each.name} bears no tags of the stack's", each))
    return broken


@functools.cache
def bears_tags(token: str) -> bool:
    """Whether the type takes tags, as pulumi-aws declares it."""
    import importlib
    import inspect

    package, path, name = token.split(":")
    module = importlib.import_module(f"pulumi_{package}.{path.split('/')[0]}")
    found = inspect.signature(getattr(module, name)._internal_init).parameters.get("tags")
    return found is not None and "Mapping" in str(found.annotation)
