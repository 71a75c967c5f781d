"""Creations whose end nobody wrote down, what is known of each, and the state once all are decided."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from isthmus.core.pulumi_values import MASK, SECRET, SIGNATURE


@dataclass(frozen=True)
class Creation:
    """A resource that a run began to make. `resource` is its entry as the state would hold it, less
    what only the end of its creation would have told (`id`, `outputs`).
    """

    resource: dict[str, Any]
    since: str | None = None
    """Not begun before this time (RFC 3339), as far as known."""

    @property
    def urn(self) -> str:
        return self.resource["urn"]

    @property
    def type(self) -> str:
        return self.resource["type"]

    @property
    def name(self) -> str:
        """The logical name, last in the URN."""
        return self.urn.rpartition("::")[2]

    @property
    def inputs(self) -> dict[str, Any]:
        """Inputs without the providers' own notes."""
        return {
            name: value
            for name, value in (self.resource.get("inputs") or {}).items()
            if not name.startswith("__")
        }

    @property
    def provider(self) -> str:
        """URN of the provider, without its id."""
        return self.resource.get("provider", "").rpartition("::")[0]

    @property
    def site(self) -> str:
        """The provider's logical name, which is the site's."""
        return self.provider.rpartition("::")[2]

    def made_up(self, prop: str) -> bool:
        """Whether Pulumi made the value up: then nobody else's thing bears that name."""
        return prop in ((self.resource.get("inputs") or {}).get("__defaults") or [])


@dataclass(frozen=True)
class Made:
    """It exists: its id, and what its next reading must know beyond its inputs."""

    id: str
    outputs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NotMade:
    """It does not exist, or making it again makes no second one."""

    why: str = "it is not there"


@dataclass(frozen=True)
class Unknown:
    """It cannot be decided: what may exist, and the exact command that shows it."""

    may: str
    look: str


Verdict = Made | NotMade | Unknown


def creations(state: dict[str, Any]) -> list[Creation]:
    """The creations that a state says were begun and not ended, in its order, and those that it has without an id.

    The engine keeps a failed creation so where it could not read what its provider said of it, and refuses
    its own state from then on ("marked as custom but has no ID").
    """
    begun = [
        each["resource"] for each in state.get("pending_operations") or [] if each.get("type") == "creating"
    ]
    nameless = [each for each in state.get("resources") or [] if _nameless(each)]
    return [Creation(each) for each in [*begun, *nameless] if each.get("custom")]


def as_entry(step: Any) -> dict[str, Any]:
    """The state's entry of a resource, from the engine's event about it; what was masked stays a secret."""
    entry: dict[str, Any] = {"urn": step.urn, "custom": True, "type": step.type}
    entry["inputs"] = _unmasked(dict(step.inputs or {}))
    if step.parent:
        entry["parent"] = step.parent
    if step.provider:
        entry["provider"] = step.provider
    for name, said in (("protect", step.protect), ("retainOnDelete", step.retain_on_delete)):
        if said:
            entry[name] = True
    return entry


def settled(state: dict[str, Any], verdicts: list[tuple[Creation, Verdict]]) -> dict[str, Any]:
    """The state with every decided creation in it, in the form in which the engine would have written it.

    What is made is put in with its id and read anew by the next refresh; a resource that it replaces is
    marked for deletion, or leaves where it was deleted first. No pending operation stays: an update or a
    deletion that was cut off is decided by the refresh. Raises `ValueError` for an `Unknown`.
    """
    new = copy.deepcopy(state)
    new.pop("pending_operations", None)
    resources: list[dict[str, Any]] = new.setdefault("resources", [])
    resources[:] = [each for each in resources if not _nameless(each)]
    for creation, verdict in verdicts:
        if isinstance(verdict, Unknown):
            raise ValueError(f"{creation.urn} is not decided")
        if isinstance(verdict, NotMade) or _there(resources, creation, verdict):
            continue
        resources[:] = [
            each for each in resources if not (each["urn"] == creation.urn and each.get("pendingReplacement"))
        ]
        for each in resources:
            if each["urn"] == creation.urn:
                each["delete"] = True
        resources.append(_entry(resources, creation, verdict))
    known = {each["urn"] for each in resources}
    for each in resources:
        _forget_strangers(each, known)
    return new


def _nameless(entry: dict[str, Any]) -> bool:
    """A thing that nobody can find again; what is to be deleted is left to the engine."""
    a_thing = entry.get("custom") and not entry["type"].startswith("pulumi:")
    return bool(a_thing and not entry.get("id") and not entry.get("delete"))


def _there(resources: list[dict[str, Any]], creation: Creation, made: Made) -> bool:
    return any(each["urn"] == creation.urn and each.get("id") == made.id for each in resources)


def _entry(resources: list[dict[str, Any]], creation: Creation, made: Made) -> dict[str, Any]:
    known = {each["urn"]: each for each in resources}
    entry = copy.deepcopy(creation.resource)
    entry["id"] = made.id
    entry["outputs"] = entry.get("outputs") or {**creation.inputs, **made.outputs}
    provider = known.get(creation.provider)
    if provider is not None:
        entry["provider"] = f"{creation.provider}::{provider['id']}"
    return entry


def _forget_strangers(entry: dict[str, Any], known: set[str]) -> None:
    """The engine refuses a state in which something refers to what is not there."""
    if entry.get("parent") not in known:
        entry.pop("parent", None)
    if entry.get("dependencies"):
        entry["dependencies"] = [each for each in entry["dependencies"] if each in known]
    if entry.get("propertyDependencies"):
        entry["propertyDependencies"] = {
            name: [each for each in urns or [] if each in known]
            for name, urns in entry["propertyDependencies"].items()
        }
    if entry.get("deletedWith") not in known:
        entry.pop("deletedWith", None)


def _unmasked(value: Any) -> Any:
    """Masks as secrets of the state, so that what a refresh reads in their place is encrypted too."""
    if value == MASK:
        return {SIGNATURE: SECRET, "plaintext": f'"{MASK}"'}
    if isinstance(value, dict):
        return {name: _unmasked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_unmasked(each) for each in value]
    return value
