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
Way = Callable[[Aws, Creation], Verdict]


def search(expression: str, answer: Any) -> Any:
    """JMESPath, as boto3 brings it."""
    import jmespath

    return jmespath.search(expression, answer)


def named(
    service: str,
    call: str,
    params: Mapping[str, Any],
    id: str,
    *,
    name: str = "name",
    found: str = "@",
    tags: str | tuple[str, Mapping[str, Any], str] | None = None,
    prefixed: Way | None = None,
) -> Way:
    """By the name among the inputs.

    `params` and `id` are templates over the inputs, `{account}`, `{region}` and `{partition}`, and `id`
    over the answer's part `found` (JMESPath, templated too) as `{found[Arn]}`. `tags` is JMESPath over that part, or a
    further call (operation, params as templates, JMESPath). A name that Pulumi made up is ours alone;
    another's thing is told by its tags. `prefixed` is the way where only a `namePrefix` is given.
    """

    def way(aws: Aws, creation: Creation) -> Verdict:
        scope = _scope(aws, creation)
        if not scope.get(name):
            # Made up by AWS's plugin from a prefix, and known to nobody else.
            found_by = prefixed if prefixed and scope.get("namePrefix") else unheard
            return found_by(aws, creation)
        asked = _filled(params, scope)
        part = search(_fill(found, scope), aws.ask(service, call, **asked) or {})
        if not part:
            return NotMade()
        scope = scope.of(part if isinstance(part, dict) else {})
        made = Made(_fill(id, scope))
        if (creation.type, made.id) in aws.known:
            return NotMade(f"{made.id} is in the state already")
        if creation.made_up(name):
            return made
        said: Any = None
        if isinstance(tags, str):
            said = search(tags, part)
        elif tags:
            said = search(tags[2], aws.ask(service, tags[0], **_filled(tags[1], scope)))
        bears = plain(said).get(STACK_TAG)
        if bears == aws.stack and plain(said).get(RESOURCE_TAG) in (creation.name, None):
            return made
        if bears:
            return NotMade(f"{made.id} exists and bears the tag of {bears}")
        if not tags:
            return made
        return Unknown(
            f"{creation.type} `{creation.name}`: {made.id} exists without our tags, so it may be this one, its"
            " tags not yet set, or somebody else's",
            aws.line(service, call, **asked),
        )

    return way


def tagged(
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
) -> Way:
    """By our tags, among all that the service lists.

    `items`, `created` and `gone` are JMESPath, `gone` true means as good as deleted; `id` is a template over
    the inputs and the item, as `{found[Arn]}`. `more` is a further call for each item (operation, params,
    JMESPath), whose part is merged into the item. `filtered`: the service filters by tag itself, as EC2 does.
    """

    def way(aws: Aws, creation: Creation) -> Verdict:
        base = _scope(aws, creation)
        asked = _filled(params or {}, base)
        if filtered:
            asked["Filters"] = [{"Name": f"tag:{RESOURCE_TAG}", "Values": [creation.name]}]
        found, closed = [], 0
        for item in search(items, aws.ask(service, call, **asked)) or []:
            item = item if isinstance(item, dict) else {"_": item}
            scope = base.of(item)
            said = search(tags, item) if isinstance(tags, str) else None
            if not isinstance(tags, str):
                try:
                    said = search(tags[2], aws.ask(service, tags[0], **_filled(tags[1], scope)))
                except Denied:
                    closed += 1
                    continue
            if not _ours(plain(said), aws, creation):
                continue
            if more:
                item = {
                    **item,
                    **(search(more[2], aws.ask(service, more[0], **_filled(more[1], scope))) or {}),
                }
            one = _fill(id, base.of(item))
            if (gone and search(gone, item)) or (creation.type, one) in aws.known:
                continue
            if created and _older(search(created, item), creation.since):
                continue
            found.append(one)
        if closed and not found:
            return Unknown(
                f"{creation.type} `{creation.name}`: none that we may read bears our tags, and the tags of"
                f" {closed} we may not read",
                aws.line(service, call, **asked),
            )
        return _one(found, creation, aws.line(service, call, **asked))

    return way


def child(
    service: str, call: str, params: Mapping[str, Any], found: str, id: str, *, created: str | None = None
) -> Way:
    """Through the parent: what `found` (JMESPath, templated) picks of the answer about it is this one."""

    def way(aws: Aws, creation: Creation) -> Verdict:
        scope = _scope(aws, creation)
        asked = _filled(params, scope)
        part = search(_fill(found, scope), aws.ask(service, call, **asked) or {})
        part = part if isinstance(part, list) else [part] if part else []
        if created:
            part = [each for each in part if not _older(search(created, each), creation.since)]
        ids = [_fill(id, scope.of(each)) for each in part]
        return _one(
            [each for each in ids if (creation.type, each) not in aws.known],
            creation,
            aws.line(service, call, **asked),
        )

    return way


def again(why: str) -> Way:
    """Making it once more makes no second one."""
    return lambda aws, creation: NotMade(why)


def put(name: str | None = None, by_name: Way | None = None) -> Way:
    """A setting of its parent: set again it is the same, if the input `name` says which one is meant.

    A name that was made up is another one in the next run, and what bears the first stays: it is looked for.
    """

    def way(aws: Aws, creation: Creation) -> Verdict:
        if name is None or (creation.inputs.get(name) and not creation.made_up(name)):
            return NotMade("it is a setting of its parent: set again, it is the same")
        return (by_name or unheard)(aws, creation)

    return way


def _one(found: list[str], creation: Creation, line: str) -> Verdict:
    if len(found) == 1:
        return Made(str(found[0]))
    if not found:
        return NotMade()
    return Unknown(
        f"{creation.type} `{creation.name}`: {len(found)} may be this one ({', '.join(map(str, found))})",
        line,
    )


def unheard(aws: Aws, creation: Creation) -> Verdict:
    """A type without a way: what bears our tags is named, and nothing is concluded."""
    filters = [
        {"Key": STACK_TAG, "Values": [aws.stack]},
        {"Key": RESOURCE_TAG, "Values": [creation.name]},
    ]
    return Unknown(
        f"{creation.type} `{creation.name}` in {aws.region}: nobody taught us how to look for this type",
        aws.line("resourcegroupstaggingapi", "get_resources", TagFilters=filters),
    )


def plain(tags: Any) -> dict[str, str]:
    """Tags in whichever of AWS's forms, as a mapping."""
    if isinstance(tags, Mapping):
        return {str(name): str(value) for name, value in tags.items()}
    out = {}
    for each in tags or []:
        low = {name.lower().removeprefix("tag"): value for name, value in each.items()}
        out[str(low.get("key"))] = str(low.get("value"))
    return out


def _ours(tags: dict[str, str], aws: Aws, creation: Creation) -> bool:
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

    def of(self, found: Any) -> _Scope:
        """The same, and what was found."""
        return _Scope(self._aws, {**self, "found": found})

    def __missing__(self, key: str) -> Any:
        if key in ("account", "partition", "region"):
            return getattr(self._aws, key)
        return ""


def _scope(aws: Aws, creation: Creation) -> _Scope:
    return _Scope(aws, {name: value for name, value in creation.inputs.items() if value is not None})


def _fill(template: str, scope: Mapping[str, Any]) -> str:
    return template.format_map(scope)


def _filled(params: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _deep(value, scope) for name, value in params.items()}


def _deep(value: Any, scope: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return _fill(value, scope)
    if isinstance(value, list):
        return [_deep(each, scope) for each in value]
    if isinstance(value, dict):
        return {name: _deep(each, scope) for name, each in value.items()}
    return value
