"""Where data may go in what stands, and what the policies find of it, held beside what the state says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reports.preview import DataPaths
from isthmus.engine.policy import evaluation as judged
from isthmus.graph.data_path import paths
from isthmus.graph.resources import state as graph_state
from isthmus.graph.resources.resources import Graph

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.reports.findings import Finding
    from isthmus.engine.drift.kubernetes_objects import Stands
    from isthmus.engine.project.project import Stack
    from isthmus.graph.resources.state import Stated


@dataclass
class Live:
    """The states of an estate, and what stands in place of what one of them says."""

    own: Mapping[str, Any]
    others: Sequence[Mapping[str, Any]]
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """URN → inputs as they stand, where they are not as they were said."""
    gone: set[str] = field(default_factory=set)
    foreign: list[Stated] = field(default_factory=list)
    looked: set[str] = field(default_factory=set)
    """URNs that an API server was asked for."""

    @property
    def states(self) -> list[Mapping[str, Any]]:
        return [each for each in (self.own, *self.others) if each.get("resources")]

    def take(self, stands: Stands) -> None:
        """What a cluster says."""
        self.inputs |= stands.inputs
        self.gone |= stands.gone
        self.foreign += stands.foreign
        self.looked |= stands.looked

    def stood(self, platform: Platform) -> DataPaths:
        """Where nothing has changed, data may go where it might before."""
        ways = paths.data_paths(Graph(self._before()), platform)
        return DataPaths(before=ways, after=ways)

    def judged(self, stack: Stack, platform: Platform) -> tuple[DataPaths, list[Finding]]:
        """The ways of data before and after, and the findings that were none before."""
        before, after = self._before(), self._after()
        ways = DataPaths(
            before=paths.data_paths(Graph(before), platform), after=paths.data_paths(Graph(after), platform)
        )
        known = {_key(each) for each in judged.findings(stack, before, platform)}
        found = judged.findings(stack, after, platform)
        return ways, [each for each in found if _key(each) not in known]

    def _before(self) -> list[Stated]:
        return graph_state.from_state(*({"deployment": each} for each in self.states))

    def _after(self) -> list[Stated]:
        changed = [
            {
                "resources": [
                    {**each, "inputs": self.inputs.get(each["urn"], each.get("inputs"))}
                    for each in one["resources"]
                    if each["urn"] not in self.gone
                ]
            }
            for one in self.states
        ]
        found = graph_state.from_state(*({"deployment": each} for each in changed))
        return sorted([*found, *self.foreign], key=lambda each: each.urn)


def _key(finding: Finding) -> tuple[str, str, str, str]:
    return finding.policy, finding.urn, finding.message, finding.verdict


def managers(states: Sequence[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """URN → the field managers by which the engine sets the object."""
    found = {}
    for each in (one for state in states for one in state.get("resources") or []):
        notes = ((each.get("inputs") or {}).get("metadata") or {}).get("annotations")
        chosen = notes.get("pulumi.com/patchFieldManager") if isinstance(notes, Mapping) else None
        said = [(each.get("outputs") or {}).get("__fieldManager"), chosen]
        found[str(each["urn"])] = frozenset(one for one in said if isinstance(one, str))
    return found
