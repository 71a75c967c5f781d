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


def find_interrupted_creations(state: dict[str, Any]) -> list[Creation]:
    """The creations that a state says were begun and not ended, in its order, and those that it has without an id.

    The engine keeps a failed creation so where it could not read what its provider said of it, and refuses
    its own state from then on ("marked as custom but has no ID").
    """
    begun = [
        operation["resource"]
        for operation in state.get("pending_operations") or []
        if operation.get("type") == "creating"
    ]
    without_id = [resource for resource in state.get("resources") or [] if _lacks_id(resource)]
    return [Creation(resource) for resource in [*begun, *without_id] if resource.get("custom")]


def state_entry(step: Any) -> dict[str, Any]:
    """The state's entry of a resource, from the engine's event about it; what was masked stays a secret."""
    entry: dict[str, Any] = {"urn": step.urn, "custom": True, "type": step.type}
    entry["inputs"] = _masks_to_secrets(dict(step.inputs or {}))
    if step.parent:
        entry["parent"] = step.parent
    if step.provider:
        entry["provider"] = step.provider
    for name, is_set in (("protect", step.protect), ("retainOnDelete", step.retain_on_delete)):
        if is_set:
            entry[name] = True
    return entry


def apply_verdicts(state: dict[str, Any], verdicts: list[tuple[Creation, Verdict]]) -> dict[str, Any]:
    """The state with every decided creation in it, in the form in which the engine would have written it.

    What is made is put in with its id and read anew by the next refresh; a resource that it replaces is
    marked for deletion, or leaves where it was deleted first. No pending operation stays: an update or a
    deletion that was cut off is decided by the refresh. Raises `ValueError` for an `Unknown`.
    """
    new_state = copy.deepcopy(state)
    new_state.pop("pending_operations", None)
    resources: list[dict[str, Any]] = new_state.setdefault("resources", [])
    resources[:] = [resource for resource in resources if not _lacks_id(resource)]
    for creation, verdict in verdicts:
        if isinstance(verdict, Unknown):
            raise ValueError(f"{creation.urn} is not decided")
        if isinstance(verdict, NotMade) or _is_present(resources, creation, verdict):
            continue
        resources[:] = [
            resource
            for resource in resources
            if not (resource["urn"] == creation.urn and resource.get("pendingReplacement"))
        ]
        for resource in resources:
            if resource["urn"] == creation.urn:
                resource["delete"] = True
        resources.append(_build_entry(resources, creation, verdict))
    urns = {resource["urn"] for resource in resources}
    for resource in resources:
        _drop_dangling_references(resource, urns)
    return new_state


def _lacks_id(entry: dict[str, Any]) -> bool:
    """A thing that nobody can find again; what is to be deleted is left to the engine."""
    is_provider_resource = entry.get("custom") and not entry["type"].startswith("pulumi:")
    return bool(is_provider_resource and not entry.get("id") and not entry.get("delete"))


def _is_present(resources: list[dict[str, Any]], creation: Creation, verdict: Made) -> bool:
    return any(resource["urn"] == creation.urn and resource.get("id") == verdict.id for resource in resources)


def _build_entry(resources: list[dict[str, Any]], creation: Creation, verdict: Made) -> dict[str, Any]:
    resources_by_urn = {resource["urn"]: resource for resource in resources}
    entry = copy.deepcopy(creation.resource)
    entry["id"] = verdict.id
    entry["outputs"] = entry.get("outputs") or {**creation.inputs, **verdict.outputs}
    provider = resources_by_urn.get(creation.provider)
    if provider is not None:
        entry["provider"] = f"{creation.provider}::{provider['id']}"
    return entry


def _drop_dangling_references(entry: dict[str, Any], urns: set[str]) -> None:
    """The engine refuses a state in which something refers to what is not there."""
    if entry.get("parent") not in urns:
        entry.pop("parent", None)
    if entry.get("dependencies"):
        entry["dependencies"] = [urn for urn in entry["dependencies"] if urn in urns]
    if entry.get("propertyDependencies"):
        entry["propertyDependencies"] = {
            name: [urn for urn in dependencies or [] if urn in urns]
            for name, dependencies in entry["propertyDependencies"].items()
        }
    if entry.get("deletedWith") not in urns:
        entry.pop("deletedWith", None)


def _masks_to_secrets(value: Any) -> Any:
    """Masks as secrets of the state, so that what a refresh reads in their place is encrypted too."""
    if value == MASK:
        return {SIGNATURE: SECRET, "plaintext": f'"{MASK}"'}
    if isinstance(value, dict):
        return {name: _masks_to_secrets(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_masks_to_secrets(member) for member in value]
    return value
