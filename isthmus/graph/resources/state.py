"""Reads a stack's resources from its state, in the same form as a rendering, so that both can be compared.

A state has the values that AWS generated (`vpce-0abc…`); a rendering names them (`${bank-endpoints-sts.id}`). Values of
AWS, and the addresses that a cluster gives to Services, are replaced by these names, so that the same stack gives the
same resources.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from isthmus.core.errors import InputError
from isthmus.core.pulumi_values import MASK, OUTPUT, SECRET, SIGNATURE

_AWS_VALUE = re.compile(
    r"arn:aws[\w-]*:\S+"
    r"|[a-z]+-[0-9a-f]{8,}"
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|[\w.-]+\.amazonaws\.com"
)
"""Values that AWS generates: ARNs, ids with a prefix, UUIDs, names of load balancers."""
SERVICE = "kubernetes:core/v1:Service"
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7}")
_TOKEN = re.compile(r"[\w./:@+=*$-]{8,}")


class _Shown(Protocol):
    @property
    def urn(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def inputs(self) -> dict[str, Any]: ...


_T = TypeVar("_T", bound=_Shown)


@dataclass(frozen=True)
class Stated:
    """A resource of the state, with the fields of `isthmus.engine.render.recorder.Resource`."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    custom: bool = True
    parent: str | None = None
    provider: str | None = None
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    """Options in the state; `read` with the id for resources that others own."""
    id: str = ""
    """The id that the provider uses; empty for resources without a provider."""
    own: str = ""
    """Always empty: a state does not say which code made a resource."""

    @property
    def made(self) -> bool:
        """Whether the stack creates the resource: it is not a component, a provider or only read."""
        return self.custom and not self.type.startswith("pulumi:") and "read" not in self.options


def from_state(*exports: Mapping[str, Any]) -> list[Stated]:
    """Read a `pulumi stack export` (or a checkpoint): the resources that the program requested, sorted by URN.

    Several states are those of the stacks of one estate, which refer to each other's resources. Secrets are masked,
    provider defaults are removed, and values of AWS are named as in a rendering. Resources that are pending deletion
    are left out. Raises `InputError` if a file is not a state.
    """
    return with_names((resource, outputs) for resource, outputs in _read(exports))


def from_state_with_ids(*exports: Mapping[str, Any]) -> list[Stated]:
    """Like `from_state`, but with the values of AWS, to compare with live resources."""
    return sorted((resource for resource, _ in _read(exports)), key=lambda resource: resource.urn)


def _read(exports: Iterable[Mapping[str, Any]]) -> list[tuple[Stated, Mapping[str, Any]]]:
    """Each resource with its outputs."""
    entries = [entry for export in exports for entry in _resources(export) if not entry.get("delete")]
    return [
        (
            Stated(
                urn=str(entry["urn"]),
                type=str(entry["type"]),
                name=str(entry["urn"]).rsplit("::", 1)[-1],
                inputs=plain(entry.get("inputs") or {}),
                custom=bool(entry.get("custom")),
                parent=_parent(entry),
                # A reference to a provider is `URN::ID`.
                provider=str(entry["provider"]).rsplit("::", 1)[0] if entry.get("provider") else None,
                dependencies=sorted(entry.get("dependencies") or []),
                property_dependencies={
                    key: sorted(needs)
                    for key, needs in sorted((entry.get("propertyDependencies") or {}).items())
                    if needs
                },
                options=_options(entry),
                id=str(entry.get("id") or ""),
            ),
            plain(entry.get("outputs") or {}),
        )
        for entry in entries
    ]


def with_names(resources: Iterable[tuple[_T, Mapping[str, Any]]]) -> list[_T]:
    """Replace values of other resources' outputs by their names; sorted by URN.

    Each resource comes with its outputs: from a state, or from the engine's policy interface. The latter gives no ids,
    but most ids are in the ARN.
    """
    pairs = list(resources)
    names_by_value: dict[str, str] = {}
    generated = [_generated_values(resource, outputs) for resource, outputs in pairs]
    # An id names the resource that has it, in whatever order they come. Of other values, the first resource created
    # it; later ones only use it.
    for is_identity in (True, False):
        for values in generated:
            for value, text in values.items():
                if text.endswith((".id}", ".arn}")) or not is_identity:
                    names_by_value.setdefault(value, text)
    if not names_by_value:  # nothing is deployed, or nothing with generated values
        return sorted((resource for resource, _ in pairs), key=lambda resource: resource.urn)
    renamed = (
        dataclasses.replace(resource, inputs=_with_names_put_back(resource.inputs, names_by_value))  # type: ignore[type-var]
        for resource, _ in pairs
    )
    return sorted(renamed, key=lambda resource: resource.urn)


def plain(value: Any) -> Any:
    """A value of the state as plain data: secrets masked, provider defaults removed."""
    if isinstance(value, Mapping):
        mark = value.get(SIGNATURE)
        if mark == SECRET or (mark == OUTPUT and value.get("secret")):
            return MASK
        if mark == OUTPUT:
            return plain(value.get("value"))
        if mark is not None:
            return {"asset": value.get("text", value.get("path", value.get("hash", "")))}
        defaults = value.get("__defaults") or []
        return {
            key: plain(item)
            for key, item in sorted(value.items())
            if not key.startswith("__") and key not in defaults
        }
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _resources(export: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    for path in (("deployment",), ("checkpoint", "latest"), ()):
        part: Any = export
        for key in path:
            part = part.get(key) if isinstance(part, Mapping) else None
        if isinstance(part, Mapping) and (path or "resources" in part):
            resources = [] if part.get("resources") is None else part["resources"]
            if isinstance(resources, list) and all(
                isinstance(entry, Mapping) and "urn" in entry for entry in resources
            ):
                return resources
            break
    raise InputError(
        "this is no stack's state: it has no list of resources",
        fix="Give what `pulumi stack export` writes, whole",
    )


def _parent(entry: Mapping[str, Any]) -> str | None:
    parent = str(entry.get("parent") or "")
    return parent if parent and "::pulumi:pulumi:Stack::" not in parent else None


def _options(entry: Mapping[str, Any]) -> dict[str, Any]:
    options = {key: entry[key] for key in ("protect", "retainOnDelete", "deletedWith") if entry.get(key)}
    return {**options, **({"read": str(entry.get("id"))} if entry.get("external") else {})}


def _generated_values(resource: Any, outputs: Mapping[str, Any]) -> dict[str, str]:
    """Values that AWS or the cluster generated for a resource, with the names that a rendering uses for them."""
    if resource.type.startswith("aws:"):
        return _values_from_aws(resource, outputs)
    if resource.type == SERVICE:
        stated, live = (
            at.get("clusterIP") if isinstance(at := values.get("spec"), Mapping) else None
            for values in (resource.inputs, outputs)
        )
        if isinstance(live, str) and live != stated and _ADDRESS.fullmatch(live):
            return {live: f"${{{resource.name}.clusterIP}}"}
    return {}


def _values_from_aws(resource: Any, outputs: Mapping[str, Any]) -> dict[str, str]:
    """Values that AWS generated for a resource, with the names that a rendering uses for them."""
    resource_id = getattr(resource, "id", "") or _id(outputs)
    input_values = {value for value in resource.inputs.values() if isinstance(value, str)}
    # Names that the engine generates end in seven digits.
    generated_name = re.compile(rf"{re.escape(resource.name)}-[0-9a-f]{{7}}")
    # If the id is the ARN, it is named `arn`. Any other occurrence of an id is named `id`.
    arns = sorted(output for output in outputs if output == "arn" or output.endswith("Arn"))
    names: dict[str, str] = {}
    for prop in (*arns, "id", *sorted(outputs)):
        value = resource_id if prop == "id" else outputs[prop]
        if (
            isinstance(value, str)
            and value not in input_values
            and (_AWS_VALUE.fullmatch(value) or generated_name.fullmatch(value))
        ):
            names.setdefault(value, _name(resource, prop))
    for entry in outputs.get("dnsEntries") or []:
        host = str(entry.get("dnsName") or "") if isinstance(entry, Mapping) else ""
        if resource_id and host.startswith(f"{resource_id}-"):
            names[host] = f"vpce-${{{resource.name}.id}}.{host.partition('.')[2]}"
    return names


def _id(outputs: Mapping[str, Any]) -> str:
    """The id of a resource, from the end of its ARN; empty if the ARN does not end in one."""
    last = re.split(r"[/:]", str(outputs.get("arn") or ""))[-1]
    return last if re.fullmatch(r"[a-z]+-[0-9a-f]{8,}", last) else ""


def _name(resource: Any, prop: str) -> str:
    """The placeholder that `isthmus.engine.render.recorder.placeholder` uses."""
    text = f"${{{resource.name}.{prop}}}"
    if prop == "arn" or prop.endswith("Arn"):
        return f"arn:aws:{resource.type.split(':')[1].split('/')[0]}:::{text}"
    return text


def _with_names_put_back(value: Any, names_by_value: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_names_put_back(item, names_by_value) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_names_put_back(item, names_by_value) for item in value]
    if isinstance(value, str):
        return _TOKEN.sub(lambda match: _named_word(match[0], names_by_value), value)
    return value


def _named_word(token: str, names_by_value: Mapping[str, str]) -> str:
    """Replace a word, or its parts between `/`, `:` and `.`, longest first, by their names."""
    scheme, mark, path = token.rpartition("://")
    text = path if mark else token
    cut = len(text)
    while cut > 0:
        if text[:cut] in names_by_value:
            after = text[cut : cut + 1] + _named_word(text[cut + 1 :], names_by_value)
            return f"{scheme}{mark}{names_by_value[text[:cut]]}{after}"
        cut = max(text.rfind(separator, 0, cut) for separator in "/:.")
    return token
