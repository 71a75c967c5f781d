"""The catalogue: find blueprints, render one over requirements and a plan, validate what comes out.

blueprints()                          every blueprint, by name
show(name)                            one blueprint: its header and its README
render(name, requirements, plan)      the platform as a mapping, overrides not yet laid over it
platform(stacks_dir, stack, overrides) the validated platform of a stack
"""

from isthmus.blueprints.assembly import StackFiles, assemble, platform, read
from isthmus.blueprints.catalogue import Blueprint, Header, blueprints, show
from isthmus.blueprints.rendering import render

__all__ = [
    "Blueprint",
    "Header",
    "StackFiles",
    "assemble",
    "blueprints",
    "platform",
    "read",
    "render",
    "show",
]
