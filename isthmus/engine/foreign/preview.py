"""The preview of all that `isthmus up` does: the engine's changes, and the foreign entries that it sets back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reports.preview import Change, PropertyChange
from isthmus.core.pulumi_values import MASK
from isthmus.engine.drift.kubernetes_fields import FieldDifference
from isthmus.engine.foreign.entries import Found
from isthmus.engine.foreign.entry import Foreign
from isthmus.engine.foreign.search import search_of
from isthmus.engine.preview import preview as engine_preview
from isthmus.engine.preview.assembly import PreviewDraft
from isthmus.engine.preview.changes import is_covered, ordered
from isthmus.engine.preview.masking import Masker
from isthmus.engine.preview.noise import is_noise
from isthmus.engine.preview.stateful_types import is_stateful

if TYPE_CHECKING:
    from pathlib import Path

    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.core.kubernetes_client import KubeClient
    from isthmus.engine.automation.events import Watcher
    from isthmus.engine.preview.preview import Previewed
    from isthmus.engine.project.project import Stack

_INDEX = re.compile(r"\[\d+\]")


def preview(
    stack: Stack,
    *,
    say: Callable[[str], None],
    watcher: Watcher | None = None,
    alone: bool = False,
    plan: Path | None = None,
) -> Previewed:
    """Preview `isthmus up` of the stack. Arguments and result as for the engine's part (`engine.preview`)."""
    return engine_preview.preview(stack, say=say, watcher=watcher, alone=alone, plan=plan, look=look)


def look(
    stack: Stack,
    platform: Platform,
    state: Mapping[str, Any],
    clusters_by_site: Mapping[str, KubeClient],
    draft: PreviewDraft,
) -> None:
    """Look for foreign entries in the stack's clusters, and add them to the preview."""
    add(draft, search_of(stack, platform, state, clusters_by_site, draft.warn).find())


def add(draft: PreviewDraft, found: Found) -> None:
    """Add a change and a warning for each object with foreign entries."""
    for line in found.unread:
        draft.warn(f"what others added is unknown: {line}")
    changes = {change.urn: change for change in draft.changes}
    for foreign in found.objects:
        urn = foreign.resource.urn
        change = changes.get(urn)
        if change is None:
            changes[urn] = _change(foreign, draft.masker)
            draft.summary["update"] = draft.summary.get("update", 0) + 1
            if draft.summary.get("same"):
                draft.summary["same"] -= 1
        elif change.op in ("update", "replace"):
            changes[urn] = _with_entries(change, foreign, draft.masker)
        draft.warn(f"others changed {foreign.described}; `isthmus up` sets it back", urn)
    draft.changes = ordered(changes.values())


def _change(foreign: Foreign, masker: Masker) -> Change:
    resource = foreign.resource
    return Change(
        urn=resource.urn,
        op="update",
        type=resource.type,
        name=resource.name,
        component=(resource.parent or "").rsplit("::", 1)[-1],
        properties=[_property(resource.type, entry, masker) for entry in foreign.entries],
        stateful=is_stateful(resource.type),
    )


def _with_entries(change: Change, foreign: Foreign, masker: Masker) -> Change:
    """The engine's change of the object, with the entries that the engine does not see."""
    known = [property.path for property in change.properties]
    # The engine names elements of these lists by their index.
    lists = tuple(f"{_INDEX.split(path)[0]}[" for path in known if _INDEX.search(path))
    more = [
        _property(change.type, entry, masker)
        for entry in foreign.entries
        if not is_covered(masker.text(entry.path), known) and not entry.path.startswith(lists)
    ]
    properties = sorted([*change.properties, *more], key=lambda property: property.path)
    return change.model_copy(update={"properties": properties})


def _property(type_: str, entry: FieldDifference, masker: Masker) -> PropertyChange:
    """In a preview `old` is the live value and `new` the stack's."""
    old, new = masker.field(entry.path, entry.new), masker.field(entry.path, entry.old)
    is_hidden = MASK in json.dumps([old, new], default=str)
    if is_hidden and old is not None and new is not None:
        old = new = MASK
    return PropertyChange(
        path=masker.text(entry.path), old=old, new=new, secret=is_hidden, noise=is_noise(type_, entry.path)
    )
