"""`isthmus drift`: finds changes made outside Isthmus, and resources that it does not manage.

The engine's providers read every resource of the state (a refresh that writes nothing). Isthmus also reads the
Kubernetes API, for changes that the provider does not see, and AWS, for tagged or attached resources that are in no
state. Every error is part of the result, so that an unreadable resource never looks like one without drift.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reports.drift import KINDS_OF_DRIFT, Drift, Drifted, Unseen
from isthmus.contracts.reports.findings import SEVERITIES
from isthmus.contracts.reports.preview import DataPaths, Diagnostic
from isthmus.core.errors import InputError, IsthmusError
from isthmus.engine.automation.events import Watcher
from isthmus.engine.automation.stack_engine import Engine, NotThere
from isthmus.engine.drift import aws_foreign, kubernetes_objects
from isthmus.engine.drift import data_paths as drift_data_paths
from isthmus.engine.drift import severity as drift_severity
from isthmus.engine.drift.refresh import Refreshed
from isthmus.engine.estate import layers as estate_layers
from isthmus.engine.kubernetes.discovery import Live
from isthmus.engine.preview import preview
from isthmus.engine.preview.masking import Masker
from isthmus.engine.preview.stateful_types import is_stateful
from isthmus.engine.project.aws_account import Aws
from isthmus.engine.project.prerequisites import clusters
from isthmus.engine.recovery import kubernetes_lookup
from isthmus.engine.state.locks import exclusive_stack_run
from isthmus.graph.resources import state as graph_state
from isthmus.graph.resources.state import Stated
from isthmus.reports.drift import wording as drift_wording

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.engine.project.project import Stack

Say = Callable[[str], None]
_KUBERNETES, _AWS = "kubernetes:", "aws:"
_ACCESS_UNTIL = "isthmus.dev/break-glass-until"


@dataclass(frozen=True)
class DriftResult:
    """The drift report, and the error that ended the search, if any."""

    drift: Drift
    error: IsthmusError | None = None


@dataclass
class _DriftDraft:
    """A drift report while it is being collected."""

    stack: str
    drifts: list[Drifted] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    paths: DataPaths = field(default_factory=DataPaths)
    policy: list[Any] = field(default_factory=list)
    resources: int = 0
    failed: bool = False
    masker: Masker = field(default_factory=Masker)

    def drift(self) -> Drift:
        ranked = sorted(
            self.drifts,
            key=lambda drift: (
                bool(drift.expected),
                SEVERITIES.index(drift.severity),
                KINDS_OF_DRIFT.index(drift.what),
                drift.urn,
                drift.name,
            ),
        )
        counts = Counter(drift.what for drift in ranked if not drift.expected)
        unseen = sorted(
            {item.model_dump_json(): item for item in self.unseen}.values(),
            key=lambda item: (item.where, item.what, item.why),
        )
        has_undecided = any(finding.verdict == "undecided" for finding in self.policy) or any(
            path.verdict == "undecided" for path in drift_wording.newly_open_paths(self.paths)
        )
        errors = any(diagnostic.severity == "error" for diagnostic in self.diagnostics)
        partial = bool(unseen) or has_undecided or errors
        return Drift(
            stack=self.stack,
            status="failed" if self.failed else "partial" if partial else "complete",
            summary={category: counts[category] for category in KINDS_OF_DRIFT if counts[category]},
            expected=sum(bool(drift.expected) for drift in ranked),
            resources=self.resources,
            drifts=ranked,
            data_paths=self.paths,
            policy=[
                finding.model_copy(update={"message": self.masker.text(finding.message)})
                for finding in self.policy
            ],
            unseen=unseen,
            diagnostics=sorted(
                self.diagnostics,
                key=lambda diagnostic: (diagnostic.severity, diagnostic.urn, diagnostic.message),
            ),
        )


def find_drift(stack: Stack, *, say: Say, watcher: Watcher | None = None) -> DriftResult:
    """Find what has changed since the last `isthmus up`. Changes nothing, not even the state."""
    draft = _DriftDraft(stack.name)
    try:
        platform = stack.platform()
        with exclusive_stack_run(stack):
            _collect(stack, platform, draft, say, watcher)
    except IsthmusError as error:
        mask = draft.masker.text
        draft.failed = True
        message = " ".join(str(error).split()).replace(f"{stack.project.root}{os.sep}", "")
        draft.diagnostics.insert(0, Diagnostic(severity="error", message=mask(message)))
        return DriftResult(
            draft.drift(), type(error)(mask(error.what), where=mask(error.where), fix=mask(error.fix))
        )
    return DriftResult(draft.drift())


def _collect(stack: Stack, platform: Platform, draft: _DriftDraft, say: Say, watcher: Watcher | None) -> None:
    for site, cluster in clusters(stack.reached(platform), stack).items():
        say(f"site {site}: the cluster answers at {cluster.server}")
    try:
        engine = Engine(stack, say, look=True)
    except NotThere:
        raise _never_deployed(stack) from None
    draft.masker = Masker([*engine.secrets(), *preview.environment_secrets()])
    state = engine.state()
    other_states = [estate_layers.read_state(stack, name) for name in preview.sibling_names(stack)]
    stack_resources, estate_resources = _state_resources(state), _state_resources(state, *other_states)
    if not any(resource.made for resource in stack_resources):
        raise _never_deployed(stack)
    draft.resources = sum(resource.made for resource in stack_resources)
    refreshed = Refreshed()
    try:
        engine.refreshed(refreshed.on_event, preview.ProgressOnlyWatcher(watcher) if watcher else None)
    finally:
        draft.diagnostics += refreshed.diagnostics(draft.masker)
    missing = refreshed.missing(resource.urn for resource in stack_resources if resource.made)
    if missing:
        draft.diagnostics.append(Diagnostic(severity="error", message=missing))
    say(f"{stack.name}: the engine has read {draft.resources} resources")
    live = drift_data_paths.Live(state, other_states)
    _add_kubernetes_drift(state, stack_resources, estate_resources, draft, live, say)
    _add_engine_drift(stack_resources, refreshed, draft, live)
    _add_aws_drift(stack, state, other_states, stack_resources, draft)
    if draft.drifts:
        draft.paths, draft.policy = live.judged(stack, platform)
    else:
        draft.paths = live.stood(stack, platform)


def _never_deployed(stack: Stack) -> InputError:
    return InputError(
        "the stack was never deployed, so it cannot have drifted",
        where=f"stack {stack.name}",
        fix=f"Run `isthmus up {stack.name}` first",
    )


def _state_resources(*states: Mapping[str, Any]) -> list[Stated]:
    """Custom resources of the states, with values that AWS assigned."""
    resources = graph_state.from_state_with_ids(
        *({"deployment": state} for state in states if state.get("resources"))
    )
    return [resource for resource in resources if resource.custom]


def _providers(state: Mapping[str, Any], package: str) -> dict[str, Mapping[str, Any]]:
    """URN → provider of a package in a state, without providers marked for deletion."""
    return {
        str(resource["urn"]): resource
        for resource in state.get("resources") or []
        if resource["type"] == f"pulumi:providers:{package}" and not resource.get("delete")
    }


def _add_kubernetes_drift(
    state: Mapping[str, Any],
    stack_resources: list[Stated],
    estate_resources: list[Stated],
    draft: _DriftDraft,
    live: drift_data_paths.Live,
    say: Say,
) -> None:
    managers = drift_data_paths.field_managers(live.states)
    by_server: dict[str, tuple[Any, set[str]]] = {}
    for urn, provider in _providers(state, "kubernetes").items():
        if any(resource.provider == urn for resource in stack_resources):
            cluster = kubernetes_lookup.cluster_of(dict(provider))
            by_server.setdefault(cluster.server, (cluster, set()))[1].add(urn)
    for server, (cluster, urns) in sorted(by_server.items()):
        names = {urn.rsplit("::", 1)[-1] for urn in urns}
        stack_objects = [
            resource
            for resource in stack_resources
            if resource.provider in urns and resource.type.startswith(_KUBERNETES)
        ]
        # All stacks of an estate use the same provider names.
        estate_objects = [
            resource
            for resource in estate_resources
            if (resource.provider or "").rsplit("::", 1)[-1] in names
        ]
        live_objects = kubernetes_objects.Cluster(
            Live(cluster), stack_objects, estate_objects, managers, draft.masker
        ).look()
        say(f"{len(stack_objects)} objects and the namespaces that hold them read at {server}")
        draft.drifts += [_mark_ended_access(drift, stack_objects) for drift in live_objects.drifts]
        draft.unseen += live_objects.unseen
        live.take(live_objects)


def _mark_ended_access(drift: Drifted, resources: list[Stated]) -> Drifted:
    """Mark a missing object as expected if it is an emergency access that has expired."""
    from datetime import UTC, datetime

    if drift.what != "gone":
        return drift
    metadata = next(
        (resource.inputs.get("metadata") or {} for resource in resources if resource.urn == drift.urn), {}
    )
    until = (metadata.get("annotations") or {}).get(_ACCESS_UNTIL)
    try:
        over = until is not None and datetime.fromisoformat(str(until)) <= datetime.now(UTC)
    except (ValueError, TypeError):
        over = False
    return drift.model_copy(update={"expected": f"the emergency access ended at {until}"}) if over else drift


def _add_engine_drift(
    stack_resources: list[Stated], refreshed: Refreshed, draft: _DriftDraft, live: drift_data_paths.Live
) -> None:
    """Add drift from the engine's refresh: AWS, Helm charts, and objects that were not read from the API."""
    resources_by_urn = {
        resource.urn: resource
        for resource in stack_resources
        if resource.made and (resource.urn not in live.looked or not resource.type.startswith(_KUBERNETES))
    }
    changed = refreshed.changed(
        {urn: resource.type for urn, resource in resources_by_urn.items()}, draft.masker
    )
    for urn, properties in changed.items():
        resource = resources_by_urn[urn]
        draft.drifts.append(
            Drifted(
                **_common_fields(resource, stack_resources),
                op="update",
                what="changed",
                properties=properties,
                severity=drift_severity.severity_of("changed", resource.type, properties),
                why="a value that Isthmus sets has changed",
            )
        )
        live.inputs[urn] = refreshed.new[urn]
    for urn in sorted(refreshed.gone() & set(resources_by_urn)):
        resource = resources_by_urn[urn]
        draft.drifts.append(
            Drifted(
                **_common_fields(resource, stack_resources),
                op="delete",
                what="gone",
                severity=drift_severity.severity_of("gone", resource.type),
                why="Isthmus created it, but it no longer exists",
            )
        )
        live.gone.add(urn)


def _common_fields(resource: Stated, resources: list[Stated]) -> dict[str, Any]:
    return {
        "urn": resource.urn,
        "type": resource.type,
        "name": resource.name,
        "component": (resource.parent or "").rsplit("::", 1)[-1],
        "stateful": is_stateful(resource.type),
        "where": (resource.provider or "").rsplit("::", 1)[-1],
    }


def _add_aws_drift(
    stack: Stack,
    state: Mapping[str, Any],
    other_states: list[dict[str, Any]],
    stack_resources: list[Stated],
    draft: _DriftDraft,
) -> None:
    label = f"{stack.project.name}/{stack.name}"
    entries = {
        str(entry["urn"]): {
            "type": entry["type"],
            "id": str(entry.get("id") or ""),
            "inputs": graph_state.plain(entry.get("inputs") or {}),
            "outputs": graph_state.plain(entry.get("outputs") or {}),
        }
        for state in (state, *other_states)
        for entry in state.get("resources") or []
        if str(entry["type"]).startswith(_AWS)
    }
    identifiers = aws_foreign.resource_identifiers(entries.values())
    by_account: dict[tuple[str, str], tuple[Aws, list[Stated]]] = {}
    for urn, provider in sorted(_providers(state, "aws").items()):
        provider_resources = [resource for resource in stack_resources if resource.provider == urn]
        if not provider_resources:
            continue
        aws = Aws(provider.get("inputs") or {}, label)
        account_resources = by_account.setdefault((aws.account, aws.region), (aws, []))
        account_resources[1].extend(provider_resources)
    for aws, provider_resources in by_account.values():
        account = aws_foreign.Account(aws, provider_resources, identifiers, entries, draft.masker)
        draft.drifts += account.look()
        draft.unseen += account.unseen
