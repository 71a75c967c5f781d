"""Cases of rules: resources that pass a rule, and changes that violate it. Tests are generated from them.

A case starts from resources that pass its rule and changes one property of the first resource at a time. `fails`:
values that violate the rule; `missing`: properties that must exist; `unknown`: properties that may be unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.render.recorder import Resource


@dataclass(frozen=True)
class Case:
    """One rule, and resources that keep it."""

    rule: str
    holds: Sequence[Resource]
    fails: Sequence[dict[str, Any]] = ()
    """Each: what is written where, in the first resource."""
    missing: Sequence[str] = ()
    unknown: Sequence[str] = ()
    broken: Sequence[Sequence[Resource]] = ()
    """Whole graphs that break it, where one property of one resource says too little."""
    also: Sequence[Sequence[Resource]] = field(default_factory=tuple)
    """Further graphs that keep it."""
    platform: Platform | None = None
    """What the rule holds the resources to, where it is the platform's word."""
    one_keeps_it: bool = False
    """Copies cannot stand beside it: one is enough for the whole stack, or the platform's word names the one."""
