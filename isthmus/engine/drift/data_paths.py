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
    from isthmus.engine.drift.kubernetes_objects import LiveObjects
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
        return [state for state in (self.own, *self.others) if state.get("resources")]

    def take(self, live_objects: LiveObjects) -> None:
        """What a cluster says."""
        self.inputs |= live_objects.inputs
        self.gone |= live_objects.gone
        self.foreign += live_objects.foreign
        self.looked |= live_objects.looked

    def stood(self, platform: Platform) -> DataPaths:
        """Where nothing has changed, data may go where it might before."""
        data_paths = paths.data_paths(Graph(self._before()), platform)
        return DataPaths(before=data_paths, after=data_paths)

    def judged(self, stack: Stack, platform: Platform) -> tuple[DataPaths, list[Finding]]:
        """The ways of data before and after, and the findings that were none before."""
        before, after = self._before(), self._after()
        data_paths = DataPaths(
            before=paths.data_paths(Graph(before), platform), after=paths.data_paths(Graph(after), platform)
        )
        known_findings = {_finding_key(finding) for finding in judged.findings(stack, before, platform)}
        findings = judged.findings(stack, after, platform)
        return data_paths, [finding for finding in findings if _finding_key(finding) not in known_findings]

    def _before(self) -> list[Stated]:
        return graph_state.from_state(*({"deployment": state} for state in self.states))

    def _after(self) -> list[Stated]:
        changed = [
            {
                "resources": [
                    {**resource, "inputs": self.inputs.get(resource["urn"], resource.get("inputs"))}
                    for resource in state["resources"]
                    if resource["urn"] not in self.gone
                ]
            }
            for state in self.states
        ]
        stated = graph_state.from_state(*({"deployment": deployment} for deployment in changed))
        return sorted([*stated, *self.foreign], key=lambda resource: resource.urn)


def _finding_key(finding: Finding) -> tuple[str, str, str, str]:
    return finding.policy, finding.urn, finding.message, finding.verdict


def field_managers(states: Sequence[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """URN → the field managers by which the engine sets the object."""
    managers_by_urn = {}
    for resource in (resource for state in states for resource in state.get("resources") or []):
        annotations = ((resource.get("inputs") or {}).get("metadata") or {}).get("annotations")
        patch_manager = (
            annotations.get("pulumi.com/patchFieldManager") if isinstance(annotations, Mapping) else None
        )
        candidates = [(resource.get("outputs") or {}).get("__fieldManager"), patch_manager]
        managers_by_urn[str(resource["urn"])] = frozenset(
            manager for manager in candidates if isinstance(manager, str)
        )
    return managers_by_urn
