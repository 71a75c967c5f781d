"""The classes of the provider's table: one `Type` for each resource type, with its `Call`s."""

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
    """One call of an API operation.

    Attributes:
        params: the arguments. `$name` is replaced by a property in the API's shape, a function is called with the
            scope, other values are used as they are. None values are omitted.
        result: properties by name: JMESPath over the answer, or a function of it.
        pick: JMESPath that selects a part of the answer; `{name}` is replaced from the scope. If it finds nothing,
            the resource does not exist.
        absent: error codes that mean that the resource does not exist.
    """

    operation: str
    params: Mapping[str, Any]
    result: Mapping[str, str | Callable[[Any], Any]] = field(default_factory=dict)
    pick: str | None = None
    absent: tuple[str, ...] = ()
    service: str | None = None
    """The service, if it is not that of the type."""


Hook = Callable[[Callable[..., Any], Scope], Mapping[str, Any] | None]
"""A function of `call(operation, **params)` and the scope, for what one `Call` cannot express.

Its result is added to the scope of the next calls.
"""


@dataclass(frozen=True)
class Facet:
    """Properties that one call sets together on an existing resource.

    If the property `on` (default: the first) is empty or false, `clear` is called instead of `put`. `at_create`: the
    creating call cannot set them, so they are set right after it, unless they have their defaults.
    """

    props: tuple[str, ...]
    put: Call | Hook
    clear: Call | None = None
    on: str | None = None
    at_create: bool = False
    gate: bool = False
    """Turned on before all other changes and off after them: while it is off, AWS refuses changes."""


@dataclass(frozen=True)
class Tagging:
    """How a type's tags are set (`$tagsSet`) and removed (`$tagsGone`).

    `whole`: `put` replaces all tags (`$tagsAll`), and the creating call has none.
    """

    put: Call
    remove: Call
    whole: bool = False


@dataclass(frozen=True)
class AutoName:
    """The property that gets a name by default: the resource's name, `-` and 7 hexadecimal digits."""

    prop: str
    prefix_prop: str | None
    longest: int
    shape: Callable[[str], str] = str


def pairs(tags: Mapping[str, str] | None, key: str, value: str) -> list[dict[str, str]] | None:
    """Return tags as a list of `{key: …, value: …}`, with the API's names for key and value. None without tags."""
    return [{key: name, value: text} for name, text in sorted((tags or {}).items())] or None


def all_tags(scope: Scope) -> dict[str, str] | None:
    """Return the tags of a creating call as a map. None without tags."""
    return scope.get("tagsAll") or None


def fresh_token(scope: Scope) -> str:
    """Return an idempotency token for one call and its retries, where botocore's model does not add one."""
    return f"isthmus-{uuid.uuid4()}"


def find_only_id(
    operation: str, ids: str, filters: Mapping[str, str]
) -> Callable[[Callable[..., Any], Scope], str | None]:
    """Return a `Type.find_only` that lists with `filters` (property by filter) and returns the id if there is only one.

    `ids` is a JMESPath over the answer.
    """

    def find_id(call: Callable[..., Any], scope: Scope) -> str | None:
        if any(scope.get(name) is None for name in filters.values()):
            return None
        api_filters = [{"Name": key, "Values": [scope[name]]} for key, name in filters.items()]
        ids_found = jmespath.search(ids, call(operation, Filters=api_filters)) or []
        return str(ids_found[0]) if len(ids_found) == 1 else None

    return find_id


def list_all_ids(operation: str, ids: str, **params: Any) -> Callable[[Callable[..., Any], Scope], list[str]]:
    """Return a `Type.list_all` that lists all pages and returns the ids. `ids` is a JMESPath over each page."""

    def find_ids(call: Callable[..., Any], scope: Scope) -> list[str]:
        ids_found, next_params = (
            [],
            {name: value(scope) if callable(value) else value for name, value in params.items()},
        )
        while True:
            response = call(operation, **next_params)
            ids_found += [str(id) for id in jmespath.search(ids, response) or []]
            token_names = [name for name in ("nextToken", "NextToken", "NextPageToken") if response.get(name)]
            if not token_names:
                return ids_found
            next_params[token_names[0]] = response[token_names[0]]

    return find_ids


@dataclass(frozen=True)
class Type:
    """One resource type."""

    token: str
    service: str
    id: str
    """Template of the id: `{bucket}`, `{role}:{name}`. An imported id is parsed by it."""
    inputs: Mapping[str, Prop]
    outputs: Mapping[str, Prop]
    create: Call
    reads: tuple[Call, ...]
    """The first call decides whether the resource exists. The others add properties."""
    delete: Call
    facets: tuple[Facet, ...] = ()
    tagging: Tagging | None = None
    autoname: AutoName | None = None
    computed: Mapping[str, str] = field(default_factory=dict)
    """Templates of outputs: `arn:{partition}:s3:::{bucket}`."""
    derived: Mapping[str, Callable[[Scope], Any]] = field(default_factory=dict)
    """Parts of the id that are not properties. They are computed from properties and parsed from the id."""
    imports: str | None = None
    """Another template of the id, which the real plugin accepts for imports."""
    is_gone: Callable[[Scope], bool] | None = None
    """Returns True if the resource that was read counts as deleted."""
    before_create: Hook | None = None
    after_create: Hook | None = None
    after_read: Hook | None = None
    """Adds properties, by Pulumi's names, that take one call for each item."""
    before_update: Hook | None = None
    before_delete: Hook | None = None
    find_only: Callable[[Callable[..., Any], Scope], str | None] | None = None
    """Asks AWS for the id of the only resource that can exist with these inputs, if the inputs do not give it."""
    list_all: Callable[[Callable[..., Any], Scope], list[str]] | None = None
    """Returns the ids of all resources of a type of which AWS can create duplicates."""
    creation_time: Callable[[Callable[..., Any], Scope], datetime | None] | None = None
    """Returns the creation time, for a type whose creating call has no tags that could show the owner."""
    set_after_create: tuple[str, ...] = ()
    """Properties that `after_create` sets."""
    allows_duplicates: bool | None = None
    """Whether AWS can create duplicates. None: yes, unless the name or the id prevents it."""
    limits: str = ""
    """What this type does in AWS but not in the sandbox. Shown in the documentation."""

    @property
    def identity(self) -> tuple[str, ...]:
        """Input properties in the id: two resources with the same values cannot exist at the same time.

        Empty if the id has other parts: then the inputs do not identify the resource.
        """
        if self.derived:
            return ()
        return tuple(name for name in re.findall(r"\{(\w+)\}", self.id) if name in self.inputs)

    @property
    def regional(self) -> bool:
        return "region" in self.inputs

    def predicted_id(self, scope: Scope) -> str | None:
        """Return the id that a new resource will have, or None if its inputs do not determine it."""
        values = {**scope, **{name: make(scope) for name, make in self.derived.items()}}
        placeholders = re.findall(r"\{(\w+)\}", self.id)
        is_known = all(
            values.get(name) is not None and not has_unknown(values[name]) for name in placeholders
        )
        return self.id.format_map(values) if is_known else None

    def parse_id(self, text: str) -> dict[str, str] | None:
        """Return the properties in an id, or None if it does not have this type's form."""
        return _match_template(self.id, text)

    def canonical_id(self, text: str) -> str:
        """Return an imported id in the type's own form. The import may use either form."""
        values = _match_template(self.imports, text) if self.imports else None
        if values is None:
            return text
        derived = {name: make(values) for name, make in self.derived.items() if name not in values}
        return self.id.format_map({**values, **derived})

    def prop(self, name: str) -> Prop:
        """Return the `Prop` of an input or output. An unknown one is plain text."""
        return self.inputs.get(name) or self.outputs.get(name) or Prop()


def _match_template(template: str, text: str) -> dict[str, str] | None:
    """Return the text for each `{name}` of the template, or None if `text` has another form."""
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(template))
    match = re.fullmatch(pattern, text)
    return match.groupdict() if match else None
