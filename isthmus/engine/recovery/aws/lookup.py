"""Whether an AWS resource exists whose creation was cut off: four ways of finding out, and none of guessing.

By name, where the name is among the inputs; by our two tags, where AWS makes up the id; through the parent,
where a child bears no tags; and not at all, where making it again makes no second one. `aws_ways` says
which type is looked up how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from isthmus.engine.project.aws_account import Aws, Denied
from isthmus.engine.state.interrupted_creations import Creation, Made, NotMade, Unknown, Verdict

STACK_TAG = "isthmus-stack"
"""`PROJECT/STACK`, on everything that bears tags."""
RESOURCE_TAG = "isthmus-resource"
"""The logical name, last in the URN."""
SKEW = timedelta(seconds=60)
"""How far AWS's clock may be from ours."""
Lookup = Callable[[Aws, Creation], Verdict]


def search_json(expression: str, answer: Any) -> Any:
    """JMESPath, as boto3 brings it."""
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
    tags: str | tuple[str, Mapping[str, Any], str] | None = None,
    prefixed: Lookup | None = None,
) -> Lookup:
    """By the name among the inputs.

    `params` and `id` are templates over the inputs, `{account}`, `{region}` and `{partition}`, and `id`
    over the answer's part `found` (JMESPath, templated too) as `{item[Arn]}`. `tags` is JMESPath over that part, or a
    further call (operation, params as templates, JMESPath). A name that Pulumi made up is ours alone;
    another's thing is told by its tags. `prefixed` is the way where only a `namePrefix` is given.
    """

    def find(aws: Aws, creation: Creation) -> Verdict:
        scope = _scope(aws, creation)
        if not scope.get(name):
            # Made up by AWS's plugin from a prefix, and known to nobody else.
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
            return NotMade(f"{existing.id} exists and bears the tag of {owner}")
        if not tags:
            return existing
        return Unknown(
            f"{creation.type} `{creation.name}`: {existing.id} exists without our tags, so it may be this one, its"
            " tags not yet set, or somebody else's",
            aws.line(service, call, **call_params),
        )

    return find


def by_tags(
    service: str,
    call: str,
    items: str,
    id: str,
    *,
    tags: str | tuple[str, Mapping[str, Any], str] = "Tags",
    params: Mapping[str, Any] | None = None,
    created: str | None = None,
    gone: str | None = None,
    filtered: bool = False,
    more: tuple[str, Mapping[str, Any], str] | None = None,
) -> Lookup:
    """By our tags, among all that the service lists.

    `items`, `created` and `gone` are JMESPath, `gone` true means as good as deleted; `id` is a template over
    the inputs and the item, as `{item[Arn]}`. `more` is a further call for each item (operation, params,
    JMESPath), whose part is merged into the item. `filtered`: the service filters by tag itself, as EC2 does.
    """

    def find(aws: Aws, creation: Creation) -> Verdict:
        base = _scope(aws, creation)
        call_params = _fill_params(params or {}, base)
        if filtered:
            call_params["Filters"] = [{"Name": f"tag:{RESOURCE_TAG}", "Values": [creation.name]}]
        ids, unreadable = [], 0
        for item in search_json(items, aws.ask(service, call, **call_params)) or []:
            item = item if isinstance(item, dict) else {"_": item}
            scope = base.of(item)
            raw_tags = search_json(tags, item) if isinstance(tags, str) else None
            if not isinstance(tags, str):
                try:
                    raw_tags = search_json(tags[2], aws.ask(service, tags[0], **_fill_params(tags[1], scope)))
                except Denied:
                    unreadable += 1
                    continue
            if not _has_own_tags(tags_as_mapping(raw_tags), aws, creation):
                continue
            if more:
                item = {
                    **item,
                    **(search_json(more[2], aws.ask(service, more[0], **_fill_params(more[1], scope))) or {}),
                }
            resource_id = _fill(id, base.of(item))
            if (gone and search_json(gone, item)) or (creation.type, resource_id) in aws.known:
                continue
            if created and _older(search_json(created, item), creation.since):
                continue
            ids.append(resource_id)
        if unreadable and not ids:
            return Unknown(
                f"{creation.type} `{creation.name}`: none that we may read bears our tags, and the tags of"
                f" {unreadable} we may not read",
                aws.line(service, call, **call_params),
            )
        return _single(ids, creation, aws.line(service, call, **call_params))

    return find


def by_parent(
    service: str, call: str, params: Mapping[str, Any], item_path: str, id: str, *, created: str | None = None
) -> Lookup:
    """Through the parent: what `found` (JMESPath, templated) picks of the answer about it is this one."""

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
    """Making it once more makes no second one."""
    return lambda aws, creation: NotMade(why)


def setting(name: str | None = None, by_generated_name: Lookup | None = None) -> Lookup:
    """A setting of its parent: set again it is the same, if the input `name` says which one is meant.

    A name that was made up is another one in the next run, and what bears the first stays: it is looked for.
    """

    def find(aws: Aws, creation: Creation) -> Verdict:
        if name is None or (creation.inputs.get(name) and not creation.made_up(name)):
            return NotMade("it is a setting of its parent: set again, it is the same")
        return (by_generated_name or undecidable)(aws, creation)

    return find


def _single(ids: list[str], creation: Creation, line: str) -> Verdict:
    if len(ids) == 1:
        return Made(str(ids[0]))
    if not ids:
        return NotMade()
    return Unknown(
        f"{creation.type} `{creation.name}`: {len(ids)} may be this one ({', '.join(map(str, ids))})",
        line,
    )


def undecidable(aws: Aws, creation: Creation) -> Verdict:
    """A type without a way: what bears our tags is named, and nothing is concluded."""
    filters = [
        {"Key": STACK_TAG, "Values": [aws.stack]},
        {"Key": RESOURCE_TAG, "Values": [creation.name]},
    ]
    return Unknown(
        f"{creation.type} `{creation.name}` in {aws.region}: nobody taught us how to look for this type",
        aws.line("resourcegroupstaggingapi", "get_resources", TagFilters=filters),
    )


def tags_as_mapping(tags: Any) -> dict[str, str]:
    """Tags in whichever of AWS's forms, as a mapping."""
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
    """Whether a thing is from before the creation began: kept from an earlier life of the stack."""
    if created is None or since is None:
        return False
    if isinstance(created, int | float):
        # CloudWatch Logs counts milliseconds.
        created = datetime.fromtimestamp(created / 1000, UTC)
    if isinstance(created, str):
        created = datetime.fromisoformat(created)
    if created.tzinfo is None:
        created = created.replace(tzinfo=UTC)
    return created < datetime.fromisoformat(since) - SKEW


class _Scope(dict[str, Any]):
    """What templates are filled from; account and partition are asked for when first needed.

    An input that is not given is an empty string.
    """

    def __init__(self, aws: Aws, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._aws = aws

    def of(self, item: Any) -> _Scope:
        """The same, and what was found."""
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
