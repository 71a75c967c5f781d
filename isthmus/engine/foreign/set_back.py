"""Sets foreign entries of a stack's live objects back, in place, and checks that they stay away.

Changed values are applied again as the engine applies them: by server-side apply with the field manager of the state.
Server-side apply never removes a field of another manager, so what was added is removed by an update of the object. No
object is deleted or created.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.trust import FILE as TRUST_FILE
from isthmus.core.errors import Refused
from isthmus.core.kubernetes_client import ApiRefusal
from isthmus.core.pulumi_values import MASK
from isthmus.engine.foreign.entries import BOUNDARY_KINDS, ForeignEntries, ForeignObject
from isthmus.engine.foreign.entry import Foreign
from isthmus.engine.foreign.role_policies import ForeignRole
from isthmus.engine.foreign.security_groups import ForeignGroup
from isthmus.engine.project.aws_account import Denied
from isthmus.reports.format.lists import first_few

Say = Callable[[str], None]
_ATTEMPTS = 3
_CONFLICT = 409


@dataclass
class SetBack:
    """Result of setting back."""

    objects: list[Foreign] = field(default_factory=list)
    """Objects as they were before."""
    refused: dict[str, str] = field(default_factory=dict)
    """URN → the API server's reason for refusing to set the object back."""


def set_back(search: ForeignEntries, objects: Sequence[Foreign], say: Say) -> SetBack:
    """Set the entries of these objects back. Raises `EnvironmentFault` if an API server or AWS does not answer."""
    result = SetBack(list(objects))
    for foreign in objects:
        try:
            if isinstance(foreign, ForeignRole | ForeignGroup):
                foreign.set_back()
            elif isinstance(foreign, ForeignObject):
                _set_back(search, foreign)
        except ApiRefusal as refusal:
            result.refused[foreign.resource.urn] = refusal.reason
        except Denied as denied:
            result.refused[foreign.resource.urn] = denied.what
        else:
            say(f"set back: {foreign.described}")
    return result


def check(search: ForeignEntries, done: SetBack, stack: str) -> None:
    """Look again. Raises `Refused` if an entry is there still or again, with its field manager."""
    remaining = search.find([foreign.resource.urn for foreign in done.objects]).objects
    if not remaining:
        return
    lines = [
        _describe_remaining(foreign, done.refused.get(foreign.resource.urn, "")) for foreign in remaining
    ]
    raise Refused(
        f"foreign entries do not stay away: {first_few(lines)}",
        where=f"stack {stack}",
        fix=_fix(remaining, done.refused),
    )


def _set_back(search: ForeignEntries, foreign: ForeignObject) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            _write(search, foreign)
        except ApiRefusal as refusal:
            if refusal.status != _CONFLICT or attempt == _ATTEMPTS - 1:
                raise
            # Somebody wrote the object since it was read.
            live = foreign.cluster.find(foreign.path)
            again = search.compare(foreign.resource, foreign.cluster, live) if live else []
            if not again:
                return
            foreign = again[0]
        else:
            return


def _write(search: ForeignEntries, foreign: ForeignObject) -> None:
    manager = search.field_manager(foreign.resource)
    entries = [foreign]
    is_boundary = foreign.kind in BOUNDARY_KINDS
    # Of other kinds only the foreign entries are written: others may rightly have changed the rest.
    if is_boundary and manager and MASK not in json.dumps(foreign.resource.inputs):
        live = foreign.cluster.apply(foreign.path, foreign.resource.inputs, manager=manager)
        entries = search.compare(foreign.resource, foreign.cluster, live)
    for remaining in entries:
        body: dict[str, Any] = remaining.restored()
        params = {"fieldManager": manager} if manager else {}
        foreign.cluster.call("PUT", foreign.path, body=body, params=params)


def _describe_remaining(foreign: Foreign, refused: str) -> str:
    if refused:
        return f"{foreign.label}: {foreign.paths} (setting it back was refused: {refused})"
    return f"{foreign.label}: {foreign.paths}, added again by {foreign.managers}"


def _fix(remaining: Collection[Foreign], refused: Mapping[str, str]) -> str:
    if all(foreign.resource.urn in refused for foreign in remaining):
        return "Allow who runs Isthmus to take them off, or take them off yourself, then run the same command again"
    fix = "Stop the person, controller or webhook that writes them, then run the same command again"
    is_metadata = all(
        entry.path.startswith(("metadata.labels", "metadata.annotations"))
        for foreign in remaining
        for entry in foreign.entries
    )
    if is_metadata:
        return f"{fix}. Who answers for {TRUST_FILE} may name the manager under `managers`"
    return fix
