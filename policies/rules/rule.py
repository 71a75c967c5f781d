"""Types of the policy pack: a rule, its input (`Subject`) and its result (`Violation`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.findings import Control, Severity, Verdict
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.trust import Kind
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.graph.resources.resources import Graph, Resource

Applicable = Iterable[Resource | None]
"""Resources that a rule applies to. None: the stack as a whole."""


@dataclass(frozen=True)
class Violation:
    """One place where a rule is violated, or where it cannot be decided."""

    message: str
    """What is wrong, as a sentence without full stop."""
    resource: Resource | None = None
    """None: the stack as a whole."""
    verdict: Verdict = "violated"
    patch: str = ""
    """What to write in the source, if the change is mechanical."""
    entry: tuple[Kind, str] | None = None
    """Kind and value of the entry of `trust.yaml` that would allow it; None: no entry can."""
    fix: str = ""
    """The next step, where it is another one than the rule's."""
    other_entries: tuple[tuple[Kind, str], ...] = ()
    """Entries each of which would allow it in place of `entry`."""


def fix_with_entry(fix: str, entry: tuple[Kind, str]) -> str:
    """The next step with the entry of `trust.yaml` that would allow it."""
    return f"{fix} (trust.yaml: {entry[0]}: {entry[1]})"


@dataclass(frozen=True)
class Subject:
    """The input of every rule."""

    graph: Graph
    platform: Platform | None = None
    """None: a program of another team, which uses components but has no platform."""
    settings: Settings = field(default_factory=Settings)
    raised_sensitivities: Mapping[str, Sensitivity] = field(default_factory=dict)
    """Workloads that are evaluated with a stricter class than the one they are served in."""
    changed: Sequence[RuleChange] = ()
    """How a change loosens what evaluates it (`policies.release.change`)."""
    today: date = field(default_factory=lambda: datetime.now(UTC).date())
    """The day on which entries of `trust.yaml` must be valid."""

    def trusts(self, kind: Kind, value: str) -> bool:
        """Whether an entry of `trust.yaml` that is valid today covers a value."""
        return self.settings.trust.find(kind, value, self.today) is not None

    def trusts_exactly(self, kind: Kind, value: str) -> bool:
        """Whether an entry that is valid today names this value itself, not the beginning of it."""
        entries = self.settings.trust.entries(kind)
        return any(entry.value == value and entry.is_valid(self.today) for entry in entries)


@dataclass(frozen=True)
class Rule:
    """One requirement, checked on the resource graph only."""

    id: str
    """`FAMILY/NAME`. Silences and settings use it, so its meaning never changes."""
    title: str
    """The requirement, e.g. `Keys rotate every year`."""
    severity: Severity
    supports: tuple[Control, ...]
    why: str
    """What happens if the rule is violated, as one sentence."""
    fix: str
    """The next step, as an imperative on one line."""
    check: Callable[[Subject], Iterable[Violation]]
    resource_types: tuple[str, ...] = ()
    """Types of the resources that it checks one by one; empty: it checks the stack as a whole."""
    applies_to: Callable[[Subject], Applicable] | None = None
    """The resources that the rule applies to, where these are not all resources of `resource_types`.

    Evidence shows each of them as passed unless it has a finding, so a selector leaves out what another rule covers and
    what cannot be decided. A rule that compares with a statement of the platform applies to nothing without the
    statement. A rule about a sum applies to the largest part, and to nothing while a part is unknown.
    """

    @property
    def family(self) -> str:
        return self.id.split("/", 1)[0]
