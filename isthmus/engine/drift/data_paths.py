"""Data paths and policy findings of the live resources, compared with those of the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reports.preview import DataPath, DataPaths
from isthmus.engine.policy import evaluation as judged
from isthmus.graph.data_path import paths
from isthmus.graph.resources import state as graph_state
from isthmus.graph.resources.resources import Graph

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.policy_settings import Settings
    from isthmus.contracts.reports.findings import Finding
    from isthmus.engine.drift.kubernetes_objects import LiveObjects
    from isthmus.engine.project.project import Stack
    from isthmus.graph.resources.state import Stated


@dataclass
class Live:
    """The states of an estate, and the live resources that differ from them."""

    own: Mapping[str, Any]
    others: Sequence[Mapping[str, Any]]
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """URN → live inputs, for resources that differ from the state."""
    gone: set[str] = field(default_factory=set)
    foreign: list[Stated] = field(default_factory=list)
    looked: set[str] = field(default_factory=set)
    """URNs that were read from an API server."""

    @property
    def states(self) -> list[Mapping[str, Any]]:
        return [state for state in (self.own, *self.others) if state.get("resources")]

    def take(self, live_objects: LiveObjects) -> None:
        """Add the live objects of a cluster."""
        self.inputs |= live_objects.inputs
        self.gone |= live_objects.gone
        self.foreign += live_objects.foreign
        self.looked |= live_objects.looked

    def stood(self, stack: Stack, platform: Platform) -> DataPaths:
        """The data paths of the state, if nothing has drifted."""
        data_paths = _data_paths(self._before(), platform, judged.settings([stack]))
        return DataPaths(before=data_paths, after=data_paths)

    def judged(self, stack: Stack, platform: Platform) -> tuple[DataPaths, list[Finding]]:
        """Data paths before and after the drift, and the findings that the drift caused."""
        before, after, settings = self._before(), self._after(), judged.settings([stack])
        data_paths = DataPaths(
            before=_data_paths(before, platform, settings), after=_data_paths(after, platform, settings)
        )
        known_findings = {
            _finding_key(finding) for finding in judged.findings(stack, before, platform, settings)
        }
        findings = judged.findings(stack, after, platform, settings)
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


def _data_paths(resources: Sequence[Stated], platform: Platform, settings: Settings) -> list[DataPath]:
    resolving = judged.resolving(resources, platform, settings)
    return paths.data_paths(Graph(resources), platform, resolving=resolving)


def _finding_key(finding: Finding) -> tuple[str, str, str, str]:
    return finding.policy, finding.urn, finding.message, finding.verdict


def field_managers(states: Sequence[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """URN → field managers with which the engine applies the object."""
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
