"""Finds blueprints, renders one with requirements and a plan, and validates the platform.

blueprints()                           every blueprint, by name
show(name)                             one blueprint: its header and its README
render(name, requirements, plan)       the platform as a mapping, before overrides
platform(stacks_dir, stack, overrides) the validated platform of a stack

Names are loaded at first use, so that a command that only finds a stack does not import the platform's models.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus.blueprints.assembly import StackFiles, assemble, platform, read
    from isthmus.blueprints.catalogue import Blueprint, Header, blueprints, show
    from isthmus.blueprints.rendering import render

_WHERE = {
    "Blueprint": "catalogue",
    "Header": "catalogue",
    "StackFiles": "assembly",
    "assemble": "assembly",
    "blueprints": "catalogue",
    "platform": "assembly",
    "read": "assembly",
    "render": "rendering",
    "show": "catalogue",
}

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


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'isthmus.blueprints' has no attribute '{name}'")
    return getattr(import_module(f"isthmus.blueprints.{_WHERE[name]}"), name)
