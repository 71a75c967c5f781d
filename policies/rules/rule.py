"""A rule of the pack, what it looks at, and what it says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.findings import Control, Severity, Verdict
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.graph.resources.resources import Graph, Resource


@dataclass(frozen=True)
class Broken:
    """One thing that is not as a rule wants it."""

    message: str
    """What is so here, in a sentence without its full stop."""
    resource: Resource | None = None
    """None: the stack as a whole is meant."""
    verdict: Verdict = "violated"
    patch: str = ""
    """What to write in the source, where that is mechanical."""


@dataclass(frozen=True)
class Subject:
    """What is judged."""

    graph: Graph
    platform: Platform | None = None
    """None: a program of another team's, which uses components and has no platform."""
    settings: Settings = field(default_factory=Settings)
    held: Mapping[str, Sensitivity] = field(default_factory=dict)
    """Workloads that are judged by a stricter class than the one they are served in."""
    changed: Sequence[RuleChange] = ()
    """What a change does to what judges it."""


@dataclass(frozen=True)
class Rule:
    """One requirement, found in the graph and nowhere else."""

    id: str
    """`FAMILY/NAME`, which silences and settings name: it never changes its meaning."""
    title: str
    """What must be so, e.g. `Keys rotate every year`."""
    severity: Severity
    supports: tuple[Control, ...]
    why: str
    """What happens where it is not so, in a sentence."""
    fix: str
    """In a line."""
    check: Callable[[Subject], Iterable[Broken]]
    each: tuple[str, ...] = ()
    """Types of the resources that it looks at one by one; none: it looks at the stack as a whole."""

    @property
    def family(self) -> str:
        return self.id.split("/", 1)[0]
