"""Creates, reads, updates, deletes and previews a resource by its type's entry in the table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.aws.aws_errors import duplicate_creation_message, foreign_resource_message
from sandbox.aws.calls import Api, CallRefused
from sandbox.aws.diff import find_difference
from sandbox.aws.model import Call, Facet, Hook, Type
from sandbox.aws.schema import UNKNOWN, differences, filled_in_by_aws, has_unknown
from sandbox.aws.validation import DEFAULTS, from_prefix

PARTITIONS = {
    "cn-": ("aws-cn", "amazonaws.com.cn"),
    "us-gov-": ("aws-us-gov", "amazonaws.com"),
    "eusc-": ("aws-eusc", "amazonaws.eu"),
}
"""Partition and DNS suffix by prefix of a region's name. All other regions are in `aws`."""


def partition(region: str) -> tuple[str, str]:
    for prefix, partition_and_suffix in PARTITIONS.items():
        if region.startswith(prefix):
            return partition_and_suffix
    return "aws", "amazonaws.com"


class CreationIncomplete(Exception):
    """The resource exists, but setting it up failed. The engine must keep it, with the reason."""

    def __init__(self, id: str, state: dict[str, Any], reason: str) -> None:
        self.id, self.state, self.reason = id, state, reason
        super().__init__(reason)


class Resources:
    """Manages resources through one `Api`."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def scope(self, kind: Type, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `values` with the provider's: region, account, partition, all tags, and outputs by template."""
        scope = {name: value for name, value in values.items() if not name.startswith("__")}
        scope["region"] = scope.get("region") or self.api.settings.region
        scope["partition"], scope["dnsSuffix"] = partition(scope["region"])
        if "tags" in kind.inputs:
            tags = scope.get("tags")
            is_known = isinstance(tags, dict) or tags is None
            scope["tagsAll"] = {**self.api.settings.default_tags, **(tags or {})} if is_known else tags
        for name, template in kind.computed.items():
            if "{account}" in template:
                scope["account"] = self.api.account()
            needed = re.findall(r"\{(\w+)\}", template)
            is_known = all(scope.get(part) is not None and not has_unknown(scope[part]) for part in needed)
            # On an import, the id may contain the output even though its parts are unknown.
            scope[name] = template.format_map(scope) if is_known else scope.get(name, UNKNOWN)
        return scope

    def create(self, kind: Type, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Create a resource and return its id and state.

        Raises `CallRefused`, or `CreationIncomplete` if the resource exists but is not set up completely.
        """
        values = dict(inputs)
        auto = kind.autoname
        if auto and auto.prefix_prop and auto.prop not in values:
            values[auto.prop] = from_prefix(auto, values[auto.prefix_prop])
        scope = self.scope(kind, values)
        if kind.before_create:
            self._run_hook(kind, kind.before_create, scope)
        started = datetime.now(UTC).replace(microsecond=0)
        try:
            created = self.api.call(kind, kind.create, scope)
        except CallRefused as error:
            created = self._recover_lost_creation(kind, scope, values, error, started)
            may_be_duplicated = False
        else:
            may_be_duplicated = self._may_be_duplicated(kind, scope)
        if created is None:
            raise CallRefused(f"{kind.token}: {kind.create.operation} found nothing to take over")
        scope |= created
        scope |= {name: make(scope) for name, make in kind.derived.items()}
        id = kind.id.format_map(scope)
        scope["id"] = id
        pending_facets = [facet for facet in self._ordered_facets(kind, scope) if facet.at_create]
        pending_facets = [
            facet for facet in pending_facets if any(self._is_set(kind, scope, name) for name in facet.props)
        ]
        try:
            if kind.after_create:
                self._run_hook(kind, kind.after_create, scope)
            while pending_facets:
                self._apply_facet(kind, pending_facets[0], scope)
                pending_facets.pop(0)
            if kind.tagging and kind.tagging.whole and scope["tagsAll"]:
                self.api.call(kind, kind.tagging.put, scope)
            state_and_inputs = self.read(kind, id, values, None)
        except CallRefused as error:
            missing = {name for facet in pending_facets for name in facet.props}
            missing |= {"tags", "tagsAll"} if kind.tagging and kind.tagging.whole else set()
            # With an unknown value in the state, the engine would forget the id and then refuse its own state.
            state = self._read_state(kind, id, values) or {
                name: value
                for name, value in self._own_properties(kind, scope).items()
                if name not in missing and not has_unknown(value)
            }
            raise CreationIncomplete(id, state, str(error)) from None
        if state_and_inputs is None:
            raise CallRefused(f"{kind.token}: {id} was created but cannot be read")
        duplicate_ids = self._find_duplicates(kind, scope, id, values) if may_be_duplicated else []
        if duplicate_ids is None or duplicate_ids:
            raise CreationIncomplete(
                id,
                state_and_inputs[0],
                duplicate_creation_message(kind.token, kind.create.operation, id, duplicate_ids or []),
            )
        return id, state_and_inputs[0]

    def _read_state(self, kind: Type, id: str, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the resource's state as it is in AWS. None: it does not exist, or AWS refused the call."""
        try:
            state_and_inputs = self.read(kind, id, inputs, None)
        except CallRefused:
            return None
        return state_and_inputs[0] if state_and_inputs else None

    def _may_be_duplicated(self, kind: Type, scope: Mapping[str, Any]) -> bool:
        """Return True if AWS may have created two: a try had no answer, and nothing prevents duplicates."""
        if not self.api.tries.unanswered or self.api.has_idempotency_token(kind):
            return False
        if kind.allows_duplicates is not None:
            return kind.allows_duplicates
        return not kind.autoname and kind.find_only is None and kind.predicted_id(scope) is None

    def _find_duplicates(
        self, kind: Type, scope: Mapping[str, Any], id: str, inputs: Mapping[str, Any]
    ) -> list[str] | None:
        """Return the ids of other resources with the same settings. None: they cannot be listed."""
        if kind.list_all is None:
            return None
        try:
            ids = kind.list_all(self.api.raw_call(kind, scope["region"]), scope)
            states = {other_id: self.read(kind, other_id, inputs, None) for other_id in ids if other_id != id}
        except CallRefused:
            return None
        return [
            other_id
            for other_id, state_and_inputs in states.items()
            if state_and_inputs and not self._differing_properties(kind, inputs, state_and_inputs[0])
        ]

    def _differing_properties(
        self, kind: Type, inputs: Mapping[str, Any], state: Mapping[str, Any]
    ) -> set[str]:
        """Return the properties of the creating call that differ between the inputs and the state."""
        set_later = {name for facet in kind.facets if facet.at_create for name in facet.props}
        set_later |= (
            {"tags", *kind.set_after_create}
            if kind.tagging and kind.tagging.whole
            else {*kind.set_after_create}
        )
        return set(find_difference(kind, inputs, state, self.api.settings.default_tags, []).props) - set_later

    def _recover_lost_creation(
        self,
        kind: Type,
        scope: Mapping[str, Any],
        inputs: Mapping[str, Any],
        error: CallRefused,
        started: datetime,
    ) -> dict[str, Any]:
        """Return the outputs of a resource that AWS created although its answer was lost. Otherwise raise `error`.

        The resource is adopted only if its inputs identify it, and if all properties of the creating call, with the
        tags, are as requested. Without tags it must be newer than the start of the call.
        """
        id = self._find_unique_id(kind, scope) if error.unsure else None
        state = self._read_state(kind, id, inputs) if id else None
        if id is None or state is None:
            raise error
        differing = self._differing_properties(kind, inputs, state)
        if kind.creation_time:
            born = kind.creation_time(self.api.raw_call(kind, scope["region"]), scope)
            is_foreign = born is None or born < started
        else:
            is_foreign = "tags" in kind.inputs and not state.get("tagsAll")
        if differing or is_foreign:
            raise CallRefused(
                f"{error} {foreign_resource_message(kind.token, id, sorted(differing))}", error.code, True
            )
        outputs = {name: value for name, value in state.items() if name in kind.outputs and name != "tagsAll"}
        return {**outputs, **(kind.parse_id(id) or {})}

    def _find_unique_id(self, kind: Type, scope: Mapping[str, Any]) -> str | None:
        """Return the id of a resource that can exist only once. None: unknown, or AWS allows several."""
        id = kind.predicted_id(scope)
        if id is not None or kind.find_only is None:
            return id
        try:
            return kind.find_only(self.api.raw_call(kind, scope["region"]), scope)
        except CallRefused:
            return None

    def read(
        self, kind: Type, id: str, inputs: Mapping[str, Any] | None, state: Mapping[str, Any] | None
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return state and inputs as they are in AWS, or None if the resource does not exist.

        `inputs` and `state` are the recorded ones. They are None for an import, which has only the id.
        """
        id_values = kind.parse_id(id)
        if id_values is None:
            raise CallRefused(
                f"{kind.token}: `{id}` is not an id of this type; an id has the form `{kind.id}`"
            )
        old = {name: value for name, value in (inputs or {}).items() if not name.startswith("__")}
        region = (state or {}).get("region") or old.get("region")
        scope = self.scope(kind, {**id_values, "region": region})
        scope["id"] = id
        live: dict[str, Any] = {}
        for index, call in enumerate(kind.reads):
            properties = self.api.call(kind, call, {**scope, **live})
            if properties is None and index == 0:
                return None
            live |= properties or {}
        if kind.after_read:
            live |= kind.after_read(self.api.raw_call(kind, scope["region"]), {**scope, **live}) or {}
        if kind.is_gone and kind.is_gone(live):
            return None
        fresh = {**id_values, **{name: scope[name] for name in kind.computed}, **live}
        if kind.regional:
            fresh["region"] = scope["region"]
        return self._merge_read(kind, fresh, old, inputs or {})

    def _merge_read(
        self, kind: Type, fresh: dict[str, Any], old: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return state and inputs for what was read. The user's notation stays if it means the same."""
        state: dict[str, Any] = {}
        kept_inputs: dict[str, Any] = {DEFAULTS: list(inputs.get(DEFAULTS, ()))}
        if "tags" in kind.inputs:
            all_tags = fresh["tagsAll"] = fresh.get("tagsAll") or {}
            default = self.api.settings.default_tags
            own_tags = old.get("tags") or {}
            fresh["tags"] = {
                key: value for key, value in all_tags.items() if key in own_tags or default.get(key) != value
            } or old.get("tags")
        for name, prop in kind.inputs.items():
            value = read = old.get(name) if prop.local else fresh.get(name)
            if name in old and not differences(prop, old[name], value, name):
                value = old[name]
            value = prop.default if value is None else value
            if value is None:
                continue
            # The input may be less complete than the read value, or contain a secret that AWS does not return.
            use_read_value = read is not None and (prop.secret or filled_in_by_aws(prop))
            state[name] = read if use_read_value else value
            is_set = value not in ("", [], {}) and value != prop.default
            if name in old or (is_set and not prop.computed):
                kept_inputs[name] = value
        outputs = {name: fresh[name] for name in kind.outputs if fresh.get(name) is not None}
        return {**state, **outputs}, kept_inputs

    def update(
        self, kind: Type, id: str, state: Mapping[str, Any], news: Mapping[str, Any], ignore: list[str]
    ) -> dict[str, Any]:
        """Change the resource from the recorded `state` to the inputs `news`, and return the new state."""
        changed = set(find_difference(kind, news, state, self.api.settings.default_tags, ignore).props)
        outputs = {name: value for name, value in state.items() if name in kind.outputs and name != "tagsAll"}
        id_values = {**(kind.parse_id(id) or {}), "id": id}
        scope = self.scope(kind, {**outputs, **self._generated_name(kind, state), **news, **id_values})
        changed_facets = [facet for facet in self._ordered_facets(kind, scope) if changed & set(facet.props)]
        if changed_facets and kind.before_update:
            self._run_hook(kind, kind.before_update, scope)
        for facet in changed_facets:
            self._apply_facet(kind, facet, scope)
        if kind.tagging and "tags" in changed:
            self._update_tags(kind, scope, state.get("tagsAll") or {})
        state_and_inputs = self.read(kind, id, {**self._generated_name(kind, state), **news}, state)
        if state_and_inputs is None:
            raise CallRefused(
                f"{kind.token}: {id} no longer exists. Run `pulumi refresh`, then the same command again to recreate it"
            )
        return state_and_inputs[0]

    def delete(self, kind: Type, id: str, state: Mapping[str, Any]) -> None:
        """Delete the resource if it exists. Raises `CallRefused` with AWS's reason."""
        if state.get("skipDestroy"):
            return
        scope = self.scope(kind, {**state, **(kind.parse_id(id) or {})})
        scope["id"] = id
        try:
            if kind.before_delete:
                self._run_hook(kind, kind.before_delete, scope)
            self.api.call(kind, kind.delete, scope)
        except CallRefused as error:
            if error.code not in kind.delete.absent:
                raise

    def preview(
        self, kind: Type, inputs: Mapping[str, Any], state: Mapping[str, Any] | None, id: str | None = None
    ) -> dict[str, Any]:
        """Return the state after `create` (`state` is None) or `update`. Values that AWS decides are unknown."""
        scope = self.scope(kind, {**inputs, "id": id})
        properties = {name: prop.default for name, prop in kind.inputs.items() if prop.default is not None}
        properties |= {name: value for name, value in inputs.items() if not name.startswith("__")}
        auto = kind.autoname
        for name in kind.outputs:
            if name in kind.computed or name == "tagsAll":
                properties[name] = scope[name]
            elif state is None or name not in state or kind.outputs[name].computed:
                properties[name] = UNKNOWN
            else:
                properties[name] = state[name]
        for name, prop in kind.inputs.items():
            if name not in properties and (prop.computed or (auto and name == auto.prop)):
                properties[name] = (state or {}).get(name, UNKNOWN)
            elif name in inputs and filled_in_by_aws(prop):
                same = state is not None and not differences(prop, inputs[name], state.get(name), name)
                properties[name] = state[name] if state and same else UNKNOWN
        return properties

    def _generated_name(self, kind: Type, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the name that was generated from a prefix: it is in the state, but not in the inputs."""
        auto = kind.autoname
        return {auto.prop: state[auto.prop]} if auto and auto.prop in state else {}

    def _own_properties(self, kind: Type, scope: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in scope.items() if name in kind.inputs or name in kind.outputs}

    def _is_set(self, kind: Type, scope: Mapping[str, Any], name: str) -> bool:
        value = scope.get(name)
        return value is not None and value != kind.inputs[name].default

    def _is_on(self, kind: Type, facet: Facet, scope: Mapping[str, Any]) -> bool:
        name = facet.on or facet.props[0]
        value = scope.get(name)
        return bool(kind.inputs[name].default if value is None else value)

    def _ordered_facets(self, kind: Type, scope: Mapping[str, Any]) -> list[Facet]:
        """Return the facets in order: gates that are turned on come first, gates that are turned off last."""

        def rank(facet: Facet) -> int:
            return 0 if not facet.gate else -1 if self._is_on(kind, facet, scope) else 1

        return sorted(kind.facets, key=rank)

    def _apply_facet(self, kind: Type, facet: Facet, scope: dict[str, Any]) -> None:
        call = facet.put if self._is_on(kind, facet, scope) or not facet.clear else facet.clear
        if isinstance(call, Call):
            self.api.call(kind, call, scope)
        else:
            self._run_hook(kind, call, scope)

    def _run_hook(self, kind: Type, hook: Hook, scope: dict[str, Any]) -> None:
        scope |= hook(self.api.raw_call(kind, scope["region"]), scope) or {}

    def _update_tags(self, kind: Type, scope: dict[str, Any], old: Mapping[str, str]) -> None:
        assert kind.tagging is not None
        all_tags = scope["tagsAll"]
        if kind.tagging.whole:
            self.api.call(kind, kind.tagging.put if all_tags else kind.tagging.remove, scope)
            return
        removed = sorted(set(old) - set(all_tags))
        added = {key: value for key, value in all_tags.items() if old.get(key) != value}
        if removed:
            self.api.call(kind, kind.tagging.remove, {**scope, "tagsGone": removed})
        if added:
            self.api.call(kind, kind.tagging.put, {**scope, "tagsSet": added})
