"""Create, read, update and delete a resource by its type's entry in the table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.aws.aws_errors import stranger, twice
from sandbox.aws.calls import Api, CallRefused
from sandbox.aws.diff import diff
from sandbox.aws.model import Call, Facet, Hook, Type
from sandbox.aws.schema import UNKNOWN, differences, filled_in_by_aws, has_unknown
from sandbox.aws.validation import DEFAULTS, from_prefix

PARTITIONS = {
    "cn-": ("aws-cn", "amazonaws.com.cn"),
    "us-gov-": ("aws-us-gov", "amazonaws.com"),
    "eusc-": ("aws-eusc", "amazonaws.eu"),
}
"""Prefix of a region's name: its partition and the suffix of its names; all others are `aws`."""


def partition(region: str) -> tuple[str, str]:
    for prefix, found in PARTITIONS.items():
        if region.startswith(prefix):
            return found
    return "aws", "amazonaws.com"


class MadeButUnfinished(Exception):
    """The resource exists, but a setting failed: the engine must keep it, with the reason."""

    def __init__(self, id: str, state: dict[str, Any], reason: str) -> None:
        self.id, self.state, self.reason = id, state, reason
        super().__init__(reason)


class Resources:
    """The life of resources through one `Api`."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def scope(self, kind: Type, values: Mapping[str, Any]) -> dict[str, Any]:
        """`values` with the provider's own: region, account, partition, all tags, outputs by template."""
        scope = {name: value for name, value in values.items() if not name.startswith("__")}
        scope["region"] = scope.get("region") or self.api.settings.region
        scope["partition"], scope["dnsSuffix"] = partition(scope["region"])
        if "tags" in kind.inputs:
            tags = scope.get("tags")
            known = isinstance(tags, dict) or tags is None
            scope["tagsAll"] = {**self.api.settings.default_tags, **(tags or {})} if known else tags
        for name, template in kind.computed.items():
            if "{account}" in template:
                scope["account"] = self.api.account()
            needed = re.findall(r"\{(\w+)\}", template)
            known = all(scope.get(part) is not None and not has_unknown(scope[part]) for part in needed)
            # An id that holds the output, an import's, says it where its parts are not known.
            scope[name] = template.format_map(scope) if known else scope.get(name, UNKNOWN)
        return scope

    def create(self, kind: Type, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The new resource's id and state. Raises `CallRefused`, or `MadeButUnfinished` with the id."""
        values = dict(inputs)
        auto = kind.autoname
        if auto and auto.prefix_prop and auto.prop not in values:
            values[auto.prop] = from_prefix(auto, values[auto.prefix_prop])
        scope = self.scope(kind, values)
        if kind.before_create:
            self._hook(kind, kind.before_create, scope)
        began = datetime.now(UTC).replace(microsecond=0)
        try:
            made = self.api.make(kind, kind.create, scope)
        except CallRefused as error:
            made = self._unheard(kind, scope, values, error, began)
            unsure = False
        else:
            unsure = self._unsure(kind, scope)
        if made is None:
            raise CallRefused(f"{kind.token}: {kind.create.operation} found nothing to take over")
        scope |= made
        scope |= {name: make(scope) for name, make in kind.derived.items()}
        id = kind.id.format_map(scope)
        scope["id"] = id
        late = [facet for facet in self._ordered(kind, scope) if facet.at_create]
        late = [facet for facet in late if any(self._set(kind, scope, name) for name in facet.props)]
        try:
            if kind.after_create:
                self._hook(kind, kind.after_create, scope)
            while late:
                self._apply(kind, late[0], scope)
                late.pop(0)
            if kind.tagging and kind.tagging.whole and scope["tagsAll"]:
                self.api.make(kind, kind.tagging.put, scope)
            found = self.read(kind, id, values, None)
        except CallRefused as error:
            missing = {name for facet in late for name in facet.props}
            missing |= {"tags", "tagsAll"} if kind.tagging and kind.tagging.whole else set()
            # An unknown value in a failed creation has the engine forget the id, and refuse its own state then.
            state = self._as_it_is(kind, id, values) or {
                name: value
                for name, value in self._plain(kind, scope).items()
                if name not in missing and not has_unknown(value)
            }
            raise MadeButUnfinished(id, state, str(error)) from None
        if found is None:
            raise CallRefused(f"{kind.token}: {id} was made but cannot be read")
        others = self._others(kind, scope, id, values) if unsure else []
        if others is None or others:
            raise MadeButUnfinished(id, found[0], twice(kind.token, kind.create.operation, id, others or []))
        return id, found[0]

    def _as_it_is(self, kind: Type, id: str, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        """The state of what may be there, as AWS has it now; None where nothing is, or nobody says."""
        try:
            found = self.read(kind, id, inputs, None)
        except CallRefused:
            return None
        return found[0] if found else None

    def _unsure(self, kind: Type, scope: Mapping[str, Any]) -> bool:
        """Whether AWS may have made two: a try had no answer, and nothing tells AWS that it is the same."""
        if not self.api.tries.unanswered or self.api.repeatable(kind):
            return False
        if kind.doubles is not None:
            return kind.doubles
        return not kind.autoname and kind.twin is None and kind.foretold_id(scope) is None

    def _others(
        self, kind: Type, scope: Mapping[str, Any], id: str, inputs: Mapping[str, Any]
    ) -> list[str] | None:
        """The ids of others that are all as was asked; None where nobody says."""
        if kind.several is None:
            return None
        try:
            there = kind.several(self.api.raw(kind, scope["region"]), scope)
            states = {each: self.read(kind, each, inputs, None) for each in there if each != id}
        except CallRefused:
            return None
        return [
            each for each, found in states.items() if found and not self._differing(kind, inputs, found[0])
        ]

    def _differing(self, kind: Type, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> set[str]:
        """What of all that the creating call carries is not as was asked."""
        later = {name for facet in kind.facets if facet.at_create for name in facet.props}
        later |= {"tags", *kind.started} if kind.tagging and kind.tagging.whole else {*kind.started}
        return set(diff(kind, inputs, state, self.api.settings.default_tags, []).props) - later

    def _unheard(
        self,
        kind: Type,
        scope: Mapping[str, Any],
        inputs: Mapping[str, Any],
        error: CallRefused,
        began: datetime,
    ) -> dict[str, Any]:
        """What AWS made although nobody heard of it. Raises `error` where it made nothing, or another's.

        Taken as this run's own only where its inputs say which it is, and everything that the creating
        call carries, tags included, is as was asked; without tags to bear, that it was made since then.
        """
        id = self._only_one(kind, scope) if error.unsure else None
        state = self._as_it_is(kind, id, inputs) if id else None
        if id is None or state is None:
            raise error
        differing = self._differing(kind, inputs, state)
        if kind.born:
            born = kind.born(self.api.raw(kind, scope["region"]), scope)
            unmarked = born is None or born < began
        else:
            unmarked = "tags" in kind.inputs and not state.get("tagsAll")
        if differing or unmarked:
            raise CallRefused(f"{error} {stranger(kind.token, id, sorted(differing))}", error.code, True)
        told = {name: value for name, value in state.items() if name in kind.outputs and name != "tagsAll"}
        return {**told, **(kind.parse_id(id) or {})}

    def _only_one(self, kind: Type, scope: Mapping[str, Any]) -> str | None:
        """The id of what there can be once only; None where nobody says, or AWS allows several."""
        id = kind.foretold_id(scope)
        if id is not None or kind.twin is None:
            return id
        try:
            return kind.twin(self.api.raw(kind, scope["region"]), scope)
        except CallRefused:
            return None

    def read(
        self, kind: Type, id: str, inputs: Mapping[str, Any] | None, state: Mapping[str, Any] | None
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """State and inputs as they are in AWS, or None when the resource is gone.

        `inputs` and `state` are what was recorded; without them (an import) the id alone says which.
        """
        named = kind.parse_id(id)
        if named is None:
            raise CallRefused(f"{kind.token}: `{id}` is not an id of this type; it has the form `{kind.id}`")
        old = {name: value for name, value in (inputs or {}).items() if not name.startswith("__")}
        region = (state or {}).get("region") or old.get("region")
        scope = self.scope(kind, {**named, "region": region})
        scope["id"] = id
        live: dict[str, Any] = {}
        for index, call in enumerate(kind.reads):
            found = self.api.make(kind, call, {**scope, **live})
            if found is None and index == 0:
                return None
            live |= found or {}
        if kind.after_read:
            live |= kind.after_read(self.api.raw(kind, scope["region"]), {**scope, **live}) or {}
        if kind.gone and kind.gone(live):
            return None
        fresh = {**named, **{name: scope[name] for name in kind.computed}, **live}
        if kind.regional:
            fresh["region"] = scope["region"]
        return self._settled(kind, fresh, old, inputs or {})

    def _settled(
        self, kind: Type, fresh: dict[str, Any], old: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """State and inputs from what was read, keeping the user's notation where it means the same."""
        now: dict[str, Any] = {}
        keep: dict[str, Any] = {DEFAULTS: list(inputs.get(DEFAULTS, ()))}
        if "tags" in kind.inputs:
            every = fresh["tagsAll"] = fresh.get("tagsAll") or {}
            default = self.api.settings.default_tags
            mine = old.get("tags") or {}
            fresh["tags"] = {
                key: value for key, value in every.items() if key in mine or default.get(key) != value
            } or old.get("tags")
        for name, prop in kind.inputs.items():
            value = read = old.get(name) if prop.local else fresh.get(name)
            if name in old and not differences(prop, old[name], value, name):
                value = old[name]
            value = prop.default if value is None else value
            if value is None:
                continue
            # As given it says less than as read, or more than AWS shows of a secret.
            as_read = read is not None and (prop.secret or filled_in_by_aws(prop))
            now[name] = read if as_read else value
            said = value not in ("", [], {}) and value != prop.default
            if name in old or (said and not prop.computed):
                keep[name] = value
        outputs = {name: fresh[name] for name in kind.outputs if fresh.get(name) is not None}
        return {**now, **outputs}, keep

    def update(
        self, kind: Type, id: str, state: Mapping[str, Any], news: Mapping[str, Any], ignore: list[str]
    ) -> dict[str, Any]:
        """The state after the changes that `news` asks for against the recorded `state`."""
        changed = set(diff(kind, news, state, self.api.settings.default_tags, ignore).props)
        fixed = {name: value for name, value in state.items() if name in kind.outputs and name != "tagsAll"}
        named = {**(kind.parse_id(id) or {}), "id": id}
        scope = self.scope(kind, {**fixed, **self._names(kind, state), **news, **named})
        due = [facet for facet in self._ordered(kind, scope) if changed & set(facet.props)]
        if due and kind.before_update:
            self._hook(kind, kind.before_update, scope)
        for facet in due:
            self._apply(kind, facet, scope)
        if kind.tagging and "tags" in changed:
            self._tag(kind, scope, state.get("tagsAll") or {})
        found = self.read(kind, id, {**self._names(kind, state), **news}, state)
        if found is None:
            raise CallRefused(f"{kind.token}: {id} is gone; refresh (`pulumi refresh`) to make it again")
        return found[0]

    def delete(self, kind: Type, id: str, state: Mapping[str, Any]) -> None:
        """Delete it; one that is gone already is no error. Raises `CallRefused` with AWS's reason."""
        if state.get("skipDestroy"):
            return
        scope = self.scope(kind, {**state, **(kind.parse_id(id) or {})})
        scope["id"] = id
        try:
            if kind.before_delete:
                self._hook(kind, kind.before_delete, scope)
            self.api.make(kind, kind.delete, scope)
        except CallRefused as error:
            if error.code not in kind.delete.absent:
                raise

    def preview(
        self, kind: Type, inputs: Mapping[str, Any], state: Mapping[str, Any] | None, id: str | None = None
    ) -> dict[str, Any]:
        """The state that `inputs` will give the new resource, or the one of this `state` and `id`.

        What only AWS can say is unknown.
        """
        scope = self.scope(kind, {**inputs, "id": id})
        made = {name: prop.default for name, prop in kind.inputs.items() if prop.default is not None}
        made |= {name: value for name, value in inputs.items() if not name.startswith("__")}
        auto = kind.autoname
        for name in kind.outputs:
            if name in kind.computed or name == "tagsAll":
                made[name] = scope[name]
            elif state is None or name not in state or kind.outputs[name].computed:
                made[name] = UNKNOWN
            else:
                made[name] = state[name]
        for name, prop in kind.inputs.items():
            if name not in made and (prop.computed or (auto and name == auto.prop)):
                made[name] = (state or {}).get(name, UNKNOWN)
            elif name in inputs and filled_in_by_aws(prop):
                same = state is not None and not differences(prop, inputs[name], state.get(name), name)
                made[name] = state[name] if state and same else UNKNOWN
        return made

    def _names(self, kind: Type, state: Mapping[str, Any]) -> dict[str, Any]:
        """The name that AWS or we made up from a prefix: in the state, not in the inputs."""
        auto = kind.autoname
        return {auto.prop: state[auto.prop]} if auto and auto.prop in state else {}

    def _plain(self, kind: Type, scope: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in scope.items() if name in kind.inputs or name in kind.outputs}

    def _set(self, kind: Type, scope: Mapping[str, Any], name: str) -> bool:
        value = scope.get(name)
        return value is not None and value != kind.inputs[name].default

    def _on(self, kind: Type, facet: Facet, scope: Mapping[str, Any]) -> bool:
        name = facet.on or facet.props[0]
        value = scope.get(name)
        return bool(kind.inputs[name].default if value is None else value)

    def _ordered(self, kind: Type, scope: Mapping[str, Any]) -> list[Facet]:
        """Gates that open come first, gates that close last."""

        def rank(facet: Facet) -> int:
            return 0 if not facet.gate else -1 if self._on(kind, facet, scope) else 1

        return sorted(kind.facets, key=rank)

    def _apply(self, kind: Type, facet: Facet, scope: dict[str, Any]) -> None:
        call = facet.put if self._on(kind, facet, scope) or not facet.clear else facet.clear
        if isinstance(call, Call):
            self.api.make(kind, call, scope)
        else:
            self._hook(kind, call, scope)

    def _hook(self, kind: Type, hook: Hook, scope: dict[str, Any]) -> None:
        scope |= hook(self.api.raw(kind, scope["region"]), scope) or {}

    def _tag(self, kind: Type, scope: dict[str, Any], old: Mapping[str, str]) -> None:
        assert kind.tagging is not None
        wanted = scope["tagsAll"]
        if kind.tagging.whole:
            self.api.make(kind, kind.tagging.put if wanted else kind.tagging.remove, scope)
            return
        gone = sorted(set(old) - set(wanted))
        new = {key: value for key, value in wanted.items() if old.get(key) != value}
        if gone:
            self.api.make(kind, kind.tagging.remove, {**scope, "tagsGone": gone})
        if new:
            self.api.make(kind, kind.tagging.put, {**scope, "tagsSet": new})
