"""The shape of the provider's table: one `Type` for each resource type, made of `Call`s."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jmespath

from sandbox.aws.schema import Prop, has_unknown

Scope = Mapping[str, Any]
"""Inputs, state and the provider's own values: `id`, `region`, `account`, `partition`, `tagsAll`."""


@dataclass(frozen=True)
class Call:
    """One operation of the API.

    In `params`, `$name` is a property in the API's shape, a function gets the scope, anything else is
    itself; None is left away. `pick` (JMESPath, `{name}` filled in from the scope) chooses a part of
    the answer, and finding none means that the thing is gone. `result` maps a property to JMESPath over
    that part, or to a function of it. `absent` are error codes that mean "there is none".
    """

    operation: str
    params: Mapping[str, Any]
    result: Mapping[str, str | Callable[[Any], Any]] = field(default_factory=dict)
    pick: str | None = None
    absent: tuple[str, ...] = ()
    service: str | None = None
    """Who answers, where it is not the type's own service."""


Hook = Callable[[Callable[..., Any], Scope], Mapping[str, Any] | None]
"""Called with `call(operation, **params)` and the scope: what one call cannot say.

What it returns joins the scope of the calls that follow.
"""


@dataclass(frozen=True)
class Facet:
    """Properties that are set together after the resource exists.

    When the property `on` (default: the first) is empty or false, `clear` is called in place of `put`.
    `at_create`: the creating call does not carry them, so they are set right after it, unless default.
    """

    props: tuple[str, ...]
    put: Call | Hook
    clear: Call | None = None
    on: str | None = None
    at_create: bool = False
    gate: bool = False
    """Switched on before all other changes and off after them: off, the resource takes none."""


@dataclass(frozen=True)
class Tagging:
    """How a type's tags are set (`$tagsSet`) and taken away (`$tagsGone`).

    `whole`: `put` replaces the whole set (`$tagsAll`) and the creating call carries none.
    """

    put: Call
    remove: Call
    whole: bool = False


@dataclass(frozen=True)
class AutoName:
    """The property that is made up when absent: the resource's name, `-` and 7 hexadecimal digits."""

    prop: str
    prefix_prop: str | None
    longest: int
    shape: Callable[[str], str] = str


def pairs(tags: Mapping[str, str] | None, key: str, value: str) -> list[dict[str, str]] | None:
    """Tags as a list with the names that an API of its own mind has for a tag's halves."""
    return [{key: name, value: text} for name, text in sorted((tags or {}).items())] or None


def all_tags(scope: Scope) -> dict[str, str] | None:
    """A creating call's tags as a map; it carries none where there are none."""
    return scope.get("tagsAll") or None


def fresh_token(scope: Scope) -> str:
    """The idempotency token of one call and its retries; botocore itself fills in those that its models mark."""
    return f"isthmus-{uuid.uuid4()}"


def only(
    operation: str, ids: str, filters: Mapping[str, str]
) -> Callable[[Callable[..., Any], Scope], str | None]:
    """A `Type.twin` by a listing: the one id (JMESPath `ids`) that passes `filters`, names to properties."""

    def found(call: Callable[..., Any], scope: Scope) -> str | None:
        if any(scope.get(name) is None for name in filters.values()):
            return None
        wanted = [{"Name": key, "Values": [scope[name]]} for key, name in filters.items()]
        listed = jmespath.search(ids, call(operation, Filters=wanted)) or []
        return str(listed[0]) if len(listed) == 1 else None

    return found


def every(operation: str, ids: str, **params: Any) -> Callable[[Callable[..., Any], Scope], list[str]]:
    """A `Type.several` by a listing, all of its pages: JMESPath `ids` over each."""

    def found(call: Callable[..., Any], scope: Scope) -> list[str]:
        made, more = [], {name: value(scope) if callable(value) else value for name, value in params.items()}
        while True:
            answer = call(operation, **more)
            made += [str(id) for id in jmespath.search(ids, answer) or []]
            next_ = [name for name in ("nextToken", "NextToken", "NextPageToken") if answer.get(name)]
            if not next_:
                return made
            more[next_[0]] = answer[next_[0]]

    return found


@dataclass(frozen=True)
class Type:
    """One resource type."""

    token: str
    service: str
    id: str
    """The id, from properties: `{bucket}`, `{role}:{name}`; an import's id is read by it backwards."""
    inputs: Mapping[str, Prop]
    outputs: Mapping[str, Prop]
    create: Call
    reads: tuple[Call, ...]
    """The first says whether the resource exists; the others add to it."""
    delete: Call
    facets: tuple[Facet, ...] = ()
    tagging: Tagging | None = None
    autoname: AutoName | None = None
    computed: Mapping[str, str] = field(default_factory=dict)
    """Outputs by template, `arn:{partition}:s3:::{bucket}`."""
    derived: Mapping[str, Callable[[Scope], Any]] = field(default_factory=dict)
    """Parts of the id that are no property: made from properties, read back from the id."""
    imports: str | None = None
    """Another form of the id, which an import may use as the real plugin's does."""
    gone: Callable[[Scope], bool] | None = None
    """From what was read: it is as good as deleted."""
    before_create: Hook | None = None
    after_create: Hook | None = None
    after_read: Hook | None = None
    """Adds to what the reads found, in Pulumi's names: what takes a call for each part."""
    before_update: Hook | None = None
    before_delete: Hook | None = None
    twin: Callable[[Callable[..., Any], Scope], str | None] | None = None
    """The id of the only one that there may be of such inputs, asked of AWS: where the inputs do not say it."""
    several: Callable[[Callable[..., Any], Scope], list[str]] | None = None
    """The ids of all that there are: of a type of which AWS makes a second one of the same."""
    born: Callable[[Callable[..., Any], Scope], datetime | None] | None = None
    """When it was made, of a type whose creating call carries no tags: they cannot say whose it is."""
    started: tuple[str, ...] = ()
    """Properties that `after_create` sets."""
    doubles: bool | None = None
    """Whether AWS makes a second one of the same; by default where neither name nor id forbids it."""
    unknowable: str = ""
    """What this type does in AWS and not in the sandbox; shown in the documentation."""

    @property
    def identity(self) -> tuple[str, ...]:
        """Input properties in the id: two resources that agree in them cannot exist at once.

        Empty where the id has other parts too: its inputs alone do not say which resource it is.
        """
        if self.derived:
            return ()
        return tuple(name for name in re.findall(r"\{(\w+)\}", self.id) if name in self.inputs)

    @property
    def regional(self) -> bool:
        return "region" in self.inputs

    def foretold_id(self, scope: Scope) -> str | None:
        """The id that a new resource will have, where its inputs tell."""
        parts = {**scope, **{name: make(scope) for name, make in self.derived.items()}}
        needed = re.findall(r"\{(\w+)\}", self.id)
        known = all(parts.get(name) is not None and not has_unknown(parts[name]) for name in needed)
        return self.id.format_map(parts) if known else None

    def parse_id(self, text: str) -> dict[str, str] | None:
        """The properties in an id, or None when it is not of this type's form."""
        return _parts(self.id, text)

    def own_id(self, text: str) -> str:
        """The type's own form of an id that an import gave in either form."""
        named = _parts(self.imports, text) if self.imports else None
        if named is None:
            return text
        made = {name: make(named) for name, make in self.derived.items() if name not in named}
        return self.id.format_map({**named, **made})

    def prop(self, name: str) -> Prop:
        """An input's or output's entry; for what the table does not name, plain text."""
        return self.inputs.get(name) or self.outputs.get(name) or Prop()


def _parts(template: str, text: str) -> dict[str, str] | None:
    """What stands in `text` for each `{name}` of the template, or None when it is of another form."""
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(template))
    found = re.fullmatch(pattern, text)
    return found.groupdict() if found else None
