"""Methods to look up an AWS resource after an interrupted creation.

`by_name`: its name is among the inputs. `ByTags`: AWS generates its id, and it has Isthmus's two tags. `by_parent`: it
has no tags and belongs to a parent. `repeatable` and `setting`: creating it again creates no duplicate. `types` assigns
a method to each type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from isthmus.engine.project.aws_account import Aws, Denied
from isthmus.engine.state.interrupted_creations import Creation, Made, NotMade, Unknown, Verdict

STACK_TAG = "isthmus-stack"
"""Tag with `PROJECT/STACK`, on every resource that can have tags."""
RESOURCE_TAG = "isthmus-resource"
"""Tag with the logical name."""
SKEW = timedelta(seconds=60)
"""Largest assumed difference between AWS's clock and the local one."""
Lookup = Callable[[Aws, Creation], Verdict]
FurtherCall = tuple[str, Mapping[str, Any], str]
"""A further call of the service: operation, parameters as templates, and the JMESPath of its result."""


def search_json(expression: str, answer: Any) -> Any:
    """Evaluate a JMESPath expression."""
    import jmespath

    return jmespath.search(expression, answer)


def by_name(
    service: str,
    call: str,
    params: Mapping[str, Any],
    id: str,
    *,
    name: str = "name",
    item_path: str = "@",
    tags: str | FurtherCall | None = None,
    prefixed: Lookup | None = None,
) -> Lookup:
    """A lookup by the name in the inputs.

    `params`, `id` and `item_path` are templates over the inputs, `{account}`, `{region}` and `{partition}`. `item_path`
    is the JMESPath of the resource in the answer; `id` may use it as `{item[Arn]}`. `tags` is a JMESPath in the item,
    or a further call. A generated name belongs to this stack; otherwise the
    tags decide. `prefixed` is the lookup for inputs with only a `namePrefix`.
    """

    def find(aws: Aws, creation: Creation) -> Verdict:
        scope = _scope(aws, creation)
        if not scope.get(name):
            # pulumi-aws generated the name from a prefix, and nobody stored it.
            fallback = prefixed if prefixed and scope.get("namePrefix") else undecidable
            return fallback(aws, creation)
        call_params = _fill_params(params, scope)
        part = search_json(_fill(item_path, scope), aws.ask(service, call, **call_params) or {})
        if not part:
            return NotMade()
        scope = scope.of(part if isinstance(part, dict) else {})
        existing = Made(_fill(id, scope))
        if (creation.type, existing.id) in aws.known:
            return NotMade(f"{existing.id} is in the state already")
        if creation.made_up(name):
            return existing
        raw_tags: Any = None
        if isinstance(tags, str):
            raw_tags = search_json(tags, part)
        elif tags:
            raw_tags = search_json(tags[2], aws.ask(service, tags[0], **_fill_params(tags[1], scope)))
        owner = tags_as_mapping(raw_tags).get(STACK_TAG)
        if owner == aws.stack and tags_as_mapping(raw_tags).get(RESOURCE_TAG) in (creation.name, None):
            return existing
        if owner:
            return NotMade(f"{existing.id} exists and is tagged by {owner}")
        if not tags:
            return existing
        return Unknown(
            f"{creation.type} `{creation.name}`: {existing.id} exists without Isthmus's tags, so it may be this one"
            " before its tags were set, or one of others",
            aws.line(service, call, **call_params),
        )

    return find


@dataclass(frozen=True, eq=False)
class ByTags:
    """A lookup by tags, among all items that the service lists."""

    service: str
    call: str
    items: str
    """JMESPath of the list in the answer."""
    id: str
    """Template over the inputs and the item, such as `{item[Arn]}`."""
    _: KW_ONLY
    tags: str | FurtherCall = "Tags"
    """JMESPath in the item, or a further call."""
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Parameters of the call, as templates over the inputs."""
    created: str | None = None
    """JMESPath of the time of creation. Items that are older than the interrupted creation are not of this run."""
    gone: str | None = None
    """JMESPath. True: the item is being deleted."""
    filtered: bool = False
    """Whether the service filters by tag, like EC2."""
    more: FurtherCall | None = None
    """Further call for each item with the right tags. Its result is merged into the item."""

    def __call__(self, aws: Aws, creation: Creation) -> Verdict:
        """Look the creation up. Raises `Denied` if the service may not be queried."""
        inputs = _scope(aws, creation)
        call_params = self._call_params(inputs, creation)
        ids: list[str] = []
        unreadable = 0
        for member in search_json(self.items, aws.ask(self.service, self.call, **call_params)) or []:
            item = member if isinstance(member, dict) else {"_": member}
            try:
                tags = self._tags_of(item, aws, inputs)
            except Denied:
                unreadable += 1
                continue
            if not _has_own_tags(tags, aws, creation):
                continue
            item = self._completed(item, aws, inputs)
            resource_id = _fill(self.id, inputs.of(item))
            if (creation.type, resource_id) not in aws.known and self._may_be(item, creation):
                ids.append(resource_id)
        line = aws.line(self.service, self.call, **call_params)
        if unreadable and not ids:
            return Unknown(
                f"{creation.type} `{creation.name}`: no readable item has Isthmus's tags, and the tags of"
                f" {unreadable} items may not be read",
                line,
            )
        return _single(ids, creation, line)

    def _call_params(self, inputs: _Scope, creation: Creation) -> dict[str, Any]:
        call_params = _fill_params(self.params, inputs)
        if self.filtered:
            call_params["Filters"] = [{"Name": f"tag:{RESOURCE_TAG}", "Values": [creation.name]}]
        return call_params

    def _tags_of(self, item: dict[str, Any], aws: Aws, inputs: _Scope) -> dict[str, str]:
        if isinstance(self.tags, str):
            return tags_as_mapping(search_json(self.tags, item))
        return tags_as_mapping(self._ask_further(self.tags, item, aws, inputs))

    def _completed(self, item: dict[str, Any], aws: Aws, inputs: _Scope) -> dict[str, Any]:
        if self.more is None:
            return item
        return {**item, **(self._ask_further(self.more, item, aws, inputs) or {})}

    def _ask_further(self, further: FurtherCall, item: dict[str, Any], aws: Aws, inputs: _Scope) -> Any:
        operation, params, path = further
        return search_json(path, aws.ask(self.service, operation, **_fill_params(params, inputs.of(item))))

    def _may_be(self, item: dict[str, Any], creation: Creation) -> bool:
        """Whether the item still exists, and is not older than the interrupted creation."""
        if self.gone and search_json(self.gone, item):
            return False
        return not (self.created and _older(search_json(self.created, item), creation.since))


def by_parent(
    service: str, call: str, params: Mapping[str, Any], item_path: str, id: str, *, created: str | None = None
) -> Lookup:
    """A lookup through the parent: the items that `item_path` (JMESPath template) selects in the answer."""

    def find(aws: Aws, creation: Creation) -> Verdict:
        scope = _scope(aws, creation)
        call_params = _fill_params(params, scope)
        items = search_json(_fill(item_path, scope), aws.ask(service, call, **call_params) or {})
        items = items if isinstance(items, list) else [items] if items else []
        if created:
            items = [item for item in items if not _older(search_json(created, item), creation.since)]
        ids = [_fill(id, scope.of(item)) for item in items]
        return _single(
            [resource_id for resource_id in ids if (creation.type, resource_id) not in aws.known],
            creation,
            aws.line(service, call, **call_params),
        )

    return find


def repeatable(why: str) -> Lookup:
    """Nothing to look up: creating it again creates no duplicate. `why` says so in messages."""
    return lambda aws, creation: NotMade(why)


def setting(name: str | None = None, by_generated_name: Lookup | None = None) -> Lookup:
    """A setting of its parent: setting it again has no effect, if the input `name` identifies it.

    A generated name differs in the next run, so the first setting would stay. Then `by_generated_name` looks it up.
    """

    def find(aws: Aws, creation: Creation) -> Verdict:
        if name is None or (creation.inputs.get(name) and not creation.made_up(name)):
            return NotMade("it is a setting of its parent; setting it again has no effect")
        return (by_generated_name or undecidable)(aws, creation)

    return find


def _single(ids: list[str], creation: Creation, line: str) -> Verdict:
    if len(ids) == 1:
        return Made(str(ids[0]))
    if not ids:
        return NotMade()
    return Unknown(
        f"{creation.type} `{creation.name}`: {len(ids)} resources may be this one ({', '.join(map(str, ids))})",
        line,
    )


def undecidable(aws: Aws, creation: Creation) -> Verdict:
    """Verdict for a type without a lookup: undecided, with a command that lists resources with its tags."""
    filters = [
        {"Key": STACK_TAG, "Values": [aws.stack]},
        {"Key": RESOURCE_TAG, "Values": [creation.name]},
    ]
    return Unknown(
        f"{creation.type} `{creation.name}` in {aws.region}: Isthmus has no lookup for this type",
        aws.line("resourcegroupstaggingapi", "get_resources", TagFilters=filters),
    )


def tags_as_mapping(tags: Any) -> dict[str, str]:
    """Tags in any of AWS's formats, as a mapping."""
    if isinstance(tags, Mapping):
        return {str(name): str(value) for name, value in tags.items()}
    mapping = {}
    for tag in tags or []:
        lowered = {name.lower().removeprefix("tag"): value for name, value in tag.items()}
        mapping[str(lowered.get("key"))] = str(lowered.get("value"))
    return mapping


def _has_own_tags(tags: dict[str, str], aws: Aws, creation: Creation) -> bool:
    return tags.get(STACK_TAG) == aws.stack and tags.get(RESOURCE_TAG) == creation.name


def _older(created: Any, since: str | None) -> bool:
    """Whether a resource is older than the creation: retained from an earlier deployment of the stack."""
    if created is None or since is None:
        return False
    if isinstance(created, int | float):
        # CloudWatch Logs uses milliseconds.
        created = datetime.fromtimestamp(created / 1000, UTC)
    if isinstance(created, str):
        created = datetime.fromisoformat(created)
    if created.tzinfo is None:
        created = created.replace(tzinfo=UTC)
    return created < datetime.fromisoformat(since) - SKEW


class _Scope(dict[str, Any]):
    """Values for templates. Account and partition are queried when first needed; missing inputs are empty."""

    def __init__(self, aws: Aws, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._aws = aws

    def of(self, item: Any) -> _Scope:
        """The same values, and the found item."""
        return _Scope(self._aws, {**self, "item": item})

    def __missing__(self, key: str) -> Any:
        if key in ("account", "partition", "region"):
            return getattr(self._aws, key)
        return ""


def _scope(aws: Aws, creation: Creation) -> _Scope:
    return _Scope(aws, {name: value for name, value in creation.inputs.items() if value is not None})


def _fill(template: str, scope: Mapping[str, Any]) -> str:
    return template.format_map(scope)


def _fill_params(params: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _fill_value(value, scope) for name, value in params.items()}


def _fill_value(value: Any, scope: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return _fill(value, scope)
    if isinstance(value, list):
        return [_fill_value(member, scope) for member in value]
    if isinstance(value, dict):
        return {name: _fill_value(member, scope) for name, member in value.items()}
    return value
