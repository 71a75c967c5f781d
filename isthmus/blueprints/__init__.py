"""Finds blueprints, renders one with requirements and a plan, and validates the platform.

blueprints()                           every blueprint, by name
show(name)                             one blueprint: its header and its README
render(name, requirements, plan)       the platform as a mapping, before overrides
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
