"""`isthmus drift`: changes made outside Isthmus, from the engine's look at what stands and our own.

The engine's providers read what the state has (a refresh that writes nothing). Of Kubernetes we ask the API server
besides, for what a provider does not see; of AWS, what bears our tags or hangs on what is ours. Whatever goes wrong on
the way gives an answer that says so: what could not be looked at must never be one without drift.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reports.drift import WHATS, Drift, Drifted, Unseen
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
from isthmus.engine.preview.stateful_types import stateful
from isthmus.engine.project.aws_account import Aws
from isthmus.engine.project.prerequisites import clusters
from isthmus.engine.recovery import kubernetes_lookup
from isthmus.engine.run.up_and_destroy import at_work
from isthmus.graph.resources import state as graph_state
from isthmus.graph.resources.state import Stated
from isthmus.reports.drift import wording as drift_wording

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.engine.project.project import Stack

Say = Callable[[str], None]
_KUBERNETES, _AWS = "kubernetes:", "aws:"
_UNTIL = "isthmus.dev/break-glass-until"


@dataclass(frozen=True)
class Looked:
    """What was found, and what went wrong while it was looked for."""

    drift: Drift
    error: IsthmusError | None = None


@dataclass
class _Parts:
    """What an answer is made of."""

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
            key=lambda each: (
                bool(each.expected),
                SEVERITIES.index(each.severity),
                WHATS.index(each.what),
                each.urn,
                each.name,
            ),
        )
        counts = Counter(each.what for each in ranked if not each.expected)
        unseen = sorted(
            {each.model_dump_json(): each for each in self.unseen}.values(),
            key=lambda each: (each.where, each.what, each.why),
        )
        open_ = any(each.verdict == "undecided" for each in self.policy) or any(
            each.verdict == "undecided" for each in drift_wording.newly_open_paths(self.paths)
        )
        errors = any(each.severity == "error" for each in self.diagnostics)
        partial = bool(unseen) or open_ or errors
        return Drift(
            stack=self.stack,
            status="failed" if self.failed else "partial" if partial else "complete",
            summary={what: counts[what] for what in WHATS if counts[what]},
            expected=sum(bool(each.expected) for each in ranked),
            resources=self.resources,
            drifts=ranked,
            data_paths=self.paths,
            policy=[
                each.model_copy(update={"message": self.masker.text(each.message)}) for each in self.policy
            ],
            unseen=unseen,
            diagnostics=sorted(self.diagnostics, key=lambda each: (each.severity, each.urn, each.message)),
        )


def look(stack: Stack, *, say: Say, watcher: Watcher | None = None) -> Looked:
    """What became of the stack since it was last brought up. Nothing is changed, its state neither."""
    parts = _Parts(stack.name)
    try:
        platform = stack.platform()
        with at_work(stack):
            _look(stack, platform, parts, say, watcher)
    except IsthmusError as error:
        hide = parts.masker.text
        parts.failed = True
        said = " ".join(str(error).split()).replace(f"{stack.project.root}{os.sep}", "")
        parts.diagnostics.insert(0, Diagnostic(severity="error", message=hide(said)))
        return Looked(
            parts.drift(), type(error)(hide(error.what), where=hide(error.where), fix=hide(error.fix))
        )
    return Looked(parts.drift())


def _look(stack: Stack, platform: Platform, parts: _Parts, say: Say, watcher: Watcher | None) -> None:
    for site, one in clusters(stack.reached(platform), stack).items():
        say(f"site {site}: the cluster answers at {one.server}")
    try:
        engine = Engine(stack, say, look=True)
    except NotThere:
        raise _never(stack) from None
    parts.masker = Masker([*engine.secrets(), *preview.of_environment()])
    state = engine.state()
    others = [estate_layers.state_of(stack, each) for each in preview.siblings(stack)]
    own, every = _stated(state), _stated(state, *others)
    if not any(each.made for each in own):
        raise _never(stack)
    parts.resources = sum(each.made for each in own)
    refreshed = Refreshed()
    try:
        engine.refreshed(refreshed.on_event, preview.Quiet(watcher) if watcher else None)
    finally:
        parts.diagnostics += refreshed.diagnostics(parts.masker)
    missing = refreshed.missing(each.urn for each in own if each.made)
    if missing:
        parts.diagnostics.append(Diagnostic(severity="error", message=missing))
    say(f"{stack.name}: the engine has read {parts.resources} resources")
    live = drift_data_paths.Live(state, others)
    _kubernetes(state, own, every, parts, live, say)
    _engines(own, refreshed, parts, live)
    _aws(stack, state, others, own, parts)
    if parts.drifts:
        parts.paths, parts.policy = live.judged(stack, platform)
    else:
        parts.paths = live.stood(platform)


def _never(stack: Stack) -> InputError:
    return InputError(
        "it has never been brought up, so there is nothing to have changed",
        where=f"stack {stack.name}",
        fix=f"Run `isthmus up {stack.name}` first",
    )


def _stated(*states: Mapping[str, Any]) -> list[Stated]:
    """As they are in the state, with the values that AWS gave."""
    found = graph_state.as_it_is(*({"deployment": each} for each in states if each.get("resources")))
    return [each for each in found if each.custom]


def _providers(state: Mapping[str, Any], package: str) -> dict[str, Mapping[str, Any]]:
    """The providers of a kind that a state has, by URN; what waits to be deleted is left out."""
    return {
        str(each["urn"]): each
        for each in state.get("resources") or []
        if each["type"] == f"pulumi:providers:{package}" and not each.get("delete")
    }


def _kubernetes(
    state: Mapping[str, Any],
    own: list[Stated],
    every: list[Stated],
    parts: _Parts,
    live: drift_data_paths.Live,
    say: Say,
) -> None:
    managers = drift_data_paths.managers(live.states)
    by_server: dict[str, tuple[Any, set[str]]] = {}
    for urn, provider in _providers(state, "kubernetes").items():
        if any(each.provider == urn for each in own):
            one = kubernetes_lookup.cluster_of(dict(provider))
            by_server.setdefault(one.server, (one, set()))[1].add(urn)
    for server, (one, urns) in sorted(by_server.items()):
        names = {each.rsplit("::", 1)[-1] for each in urns}
        mine = [each for each in own if each.provider in urns and each.type.startswith(_KUBERNETES)]
        # The stacks of an estate name their providers alike.
        there = [each for each in every if (each.provider or "").rsplit("::", 1)[-1] in names]
        stands = kubernetes_objects.Cluster(Live(one), mine, there, managers, parts.masker).look()
        say(f"{len(mine)} objects and the namespaces that hold them read at {server}")
        parts.drifts += [_ended(each, mine) for each in stands.drifts]
        parts.unseen += stands.unseen
        live.take(stands)


def _ended(one: Drifted, own: list[Stated]) -> Drifted:
    """An emergency access whose time was over goes by itself."""
    from datetime import UTC, datetime

    if one.what != "gone":
        return one
    meta = next((each.inputs.get("metadata") or {} for each in own if each.urn == one.urn), {})
    until = (meta.get("annotations") or {}).get(_UNTIL)
    try:
        over = until is not None and datetime.fromisoformat(str(until)) <= datetime.now(UTC)
    except (ValueError, TypeError):
        over = False
    return one.model_copy(update={"expected": f"the emergency access ended at {until}"}) if over else one


def _engines(own: list[Stated], refreshed: Refreshed, parts: _Parts, live: drift_data_paths.Live) -> None:
    """What providers say of what we did not ask for ourselves: AWS, charts, and objects that we may not read."""
    asked = {
        each.urn: each
        for each in own
        if each.made and (each.urn not in live.looked or not each.type.startswith(_KUBERNETES))
    }
    changed = refreshed.changed({urn: each.type for urn, each in asked.items()}, parts.masker)
    for urn, told in changed.items():
        one = asked[urn]
        parts.drifts.append(
            Drifted(
                **_named(one, own),
                op="update",
                what="changed",
                properties=told,
                severity=drift_severity.severity("changed", one.type, told),
                why="what we set is different",
            )
        )
        live.inputs[urn] = refreshed.new[urn]
    for urn in sorted(refreshed.gone() & set(asked)):
        one = asked[urn]
        parts.drifts.append(
            Drifted(
                **_named(one, own),
                op="delete",
                what="gone",
                severity=drift_severity.severity("gone", one.type),
                why="we made it, and it is not there",
            )
        )
        live.gone.add(urn)


def _named(one: Stated, own: list[Stated]) -> dict[str, Any]:
    return {
        "urn": one.urn,
        "type": one.type,
        "name": one.name,
        "component": (one.parent or "").rsplit("::", 1)[-1],
        "stateful": stateful(one.type),
        "where": (one.provider or "").rsplit("::", 1)[-1],
    }


def _aws(
    stack: Stack, state: Mapping[str, Any], others: list[dict[str, Any]], own: list[Stated], parts: _Parts
) -> None:
    label = f"{stack.project.name}/{stack.name}"
    entries = {
        str(each["urn"]): {
            "type": each["type"],
            "id": str(each.get("id") or ""),
            "inputs": graph_state.plain(each.get("inputs") or {}),
            "outputs": graph_state.plain(each.get("outputs") or {}),
        }
        for one in (state, *others)
        for each in one.get("resources") or []
        if str(each["type"]).startswith(_AWS)
    }
    known = aws_foreign.names(entries.values())
    by_place: dict[tuple[str, str], tuple[Aws, list[Stated]]] = {}
    for urn, provider in sorted(_providers(state, "aws").items()):
        mine = [each for each in own if each.provider == urn]
        if not mine:
            continue
        aws = Aws(provider.get("inputs") or {}, label)
        place = by_place.setdefault((aws.account, aws.region), (aws, []))
        place[1].extend(mine)
    for aws, mine in by_place.values():
        account = aws_foreign.Account(aws, mine, known, entries, parts.masker)
        parts.drifts += account.look()
        parts.unseen += account.unseen
