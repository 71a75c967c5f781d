"""The catalogue: find blueprints, render one over requirements and a plan, validate what comes out.

blueprints()                          every blueprint, by name
show(name)                            one blueprint: its header and its README
render(name, requirements, plan)      the platform as a mapping, overrides not yet laid over it
platform(stacks_dir, stack, overrides) the validated platform of a stack
"""

from isthmus.catalogue.assembling import StackFiles, assemble, platform, read
from isthmus.catalogue.rendering import render
from isthmus.catalogue.shelf import Blueprint, Header, blueprints, show

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
