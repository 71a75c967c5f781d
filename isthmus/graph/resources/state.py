"""A stack's resources as its state has them, in the same words as a rendering: what stands, to hold beside what will.

A state holds the values that AWS gave (`vpce-0abc…`), a rendering names them (`${bank-endpoints-sts.id}`). Here each
value that only AWS can give is put back to that name, so that the same stack says the same, before and after.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from isthmus.core.errors import InputError
from isthmus.core.pulumi_values import MASK, OUTPUT, SECRET, SIGNATURE

_GIVEN = re.compile(
    r"arn:aws[\w-]*:\S+"
    r"|[a-z]+-[0-9a-f]{8,}"
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|[\w.-]+\.amazonaws\.com"
)
"""What AWS alone makes up: ARNs, ids with a prefix, UUIDs, names of balancers."""
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
    """One resource, as `isthmus.engine.render.recorder.Resource` has it."""

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
    """`read` with its id for what others own, and what else the state says of how it is kept."""
    id: str = ""
    """As its provider knows it; empty where it is none's."""

    @property
    def made(self) -> bool:
        """Whether the stack makes it: no component, no provider, not only read."""
        return self.custom and not self.type.startswith("pulumi:") and "read" not in self.options


def from_state(*exports: Mapping[str, Any]) -> list[Stated]:
    """What a `pulumi stack export` (or a checkpoint) says that the program asked for, sorted by URN.

    Several are the stacks of one estate, which refer to each other's resources. Secrets are masked, provider
    defaults left out, and values that AWS gave named as a rendering names them. What waits to be deleted is left
    out. Raises `InputError` for what is no state.
    """
    return named((each, outputs) for each, outputs in _read(exports))


def as_it_is(*exports: Mapping[str, Any]) -> list[Stated]:
    """The same with the values that AWS gave as they are, to hold beside what stands."""
    return sorted((each for each, _ in _read(exports)), key=lambda each: each.urn)


def _read(exports: Iterable[Mapping[str, Any]]) -> list[tuple[Stated, Mapping[str, Any]]]:
    """Each resource, and its outputs."""
    found = [each for export in exports for each in _resources(export) if not each.get("delete")]
    return [
        (
            Stated(
                urn=str(each["urn"]),
                type=str(each["type"]),
                name=str(each["urn"]).rsplit("::", 1)[-1],
                inputs=plain(each.get("inputs") or {}),
                custom=bool(each.get("custom")),
                parent=_parent(each),
                # What refers to a provider says `URN::ID`.
                provider=str(each["provider"]).rsplit("::", 1)[0] if each.get("provider") else None,
                dependencies=sorted(each.get("dependencies") or []),
                property_dependencies={
                    key: sorted(needs)
                    for key, needs in sorted((each.get("propertyDependencies") or {}).items())
                    if needs
                },
                options=_options(each),
                id=str(each.get("id") or ""),
            ),
            plain(each.get("outputs") or {}),
        )
        for each in found
    ]


def named(resources: Iterable[tuple[_T, Mapping[str, Any]]]) -> list[_T]:
    """Resources whose inputs hold values that others' outputs gave, these put back to names; sorted by URN.

    Each with its outputs: of a state, or as the engine shows a stack that stands to a policy pack, which tells no
    ids; most stand in the resource's ARN.
    """
    made = list(resources)
    given: dict[str, str] = {}
    for each, outputs in made:
        if each.type.startswith("aws:"):
            for value, text in _given(each, outputs).items():
                given.setdefault(value, text)  # the first made it; who came later only bears it, too
    if not given:  # nothing stands yet, or nothing of AWS's: every word is looked up otherwise
        return sorted((each for each, _ in made), key=lambda each: each.urn)
    renamed = (
        dataclasses.replace(each, inputs=_put_back(each.inputs, given))  # type: ignore[type-var]
        for each, _ in made
    )
    return sorted(renamed, key=lambda each: each.urn)


def plain(value: Any) -> Any:
    """A state's value as plain data: secrets masked where they stand, defaults of the provider's left out."""
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
    for way in (("deployment",), ("checkpoint", "latest"), ()):
        at: Any = export
        for key in way:
            at = at.get(key) if isinstance(at, Mapping) else None
        if isinstance(at, Mapping) and (way or "resources" in at):
            found = [] if at.get("resources") is None else at["resources"]
            if isinstance(found, list) and all(isinstance(one, Mapping) and "urn" in one for one in found):
                return found
            break
    raise InputError(
        "this is no stack's state: it has no list of resources",
        fix="Give what `pulumi stack export` writes, whole",
    )


def _parent(entry: Mapping[str, Any]) -> str | None:
    above = str(entry.get("parent") or "")
    return above if above and "::pulumi:pulumi:Stack::" not in above else None


def _options(entry: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: entry[key] for key in ("protect", "retainOnDelete", "deletedWith") if entry.get(key)}
    return {**kept, **({"read": str(entry.get("id"))} if entry.get("external") else {})}


def _given(resource: Any, outputs: Mapping[str, Any]) -> dict[str, str]:
    """Values that AWS gave a resource, each with the name that stands for it in a rendering."""
    known = getattr(resource, "id", "") or _id(outputs)
    asked = {value for value in resource.inputs.values() if isinstance(value, str)}
    # The engine's own names end in seven digits.
    own = re.compile(rf"{re.escape(resource.name)}-[0-9a-f]{{7}}")
    # An ARN that is the id, too, is called the ARN; and an id is called the id wherever else it stands.
    arns = sorted(each for each in outputs if each == "arn" or each.endswith("Arn"))
    found: dict[str, str] = {}
    for prop in (*arns, "id", *sorted(outputs)):
        value = known if prop == "id" else outputs[prop]
        if (
            isinstance(value, str)
            and value not in asked
            and (_GIVEN.fullmatch(value) or own.fullmatch(value))
        ):
            found.setdefault(value, _name(resource, prop))
    for entry in outputs.get("dnsEntries") or []:
        host = str(entry.get("dnsName") or "") if isinstance(entry, Mapping) else ""
        if known and host.startswith(f"{known}-"):
            found[host] = f"vpce-${{{resource.name}.id}}.{host.partition('.')[2]}"
    return found


def _id(outputs: Mapping[str, Any]) -> str:
    """A resource's id as its ARN ends in it; empty where it has none that does."""
    last = re.split(r"[/:]", str(outputs.get("arn") or ""))[-1]
    return last if re.fullmatch(r"[a-z]+-[0-9a-f]{8,}", last) else ""


def _name(resource: Any, prop: str) -> str:
    """As `isthmus.engine.render.recorder.placeholder` has it."""
    text = f"${{{resource.name}.{prop}}}"
    if prop == "arn" or prop.endswith("Arn"):
        return f"arn:aws:{resource.type.split(':')[1].split('/')[0]}:::{text}"
    return text


def _put_back(value: Any, given: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _put_back(item, given) for key, item in value.items()}
    if isinstance(value, list):
        return [_put_back(item, given) for item in value]
    if isinstance(value, str):
        return _TOKEN.sub(lambda found: _word(found[0], given), value)
    return value


def _word(token: str, given: Mapping[str, str]) -> str:
    """A word, or its parts between `/`, `:` and `.`, the longest first, by the names that stand for them."""
    scheme, mark, rest = token.rpartition("://")
    word = rest if mark else token
    cut = len(word)
    while cut > 0:
        if word[:cut] in given:
            after = word[cut : cut + 1] + _word(word[cut + 1 :], given)
            return f"{scheme}{mark}{given[word[:cut]]}{after}"
        cut = max(word.rfind(each, 0, cut) for each in "/:.")
    return token
