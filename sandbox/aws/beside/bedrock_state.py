"""What Amazon Bedrock keeps here that moto does not: one `Held` for each account and region, and its tags."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside import naming
from sandbox.aws.beside.memory import Memory
from sandbox.aws.service_frame import Asked, Operation, Refused

Entry = dict[str, Any]


@dataclass
class Held:
    """Of one account and region."""

    guardrails: dict[str, Any] = field(default_factory=dict)
    profiles: dict[str, Entry] = field(default_factory=dict)
    """Application inference profiles by id."""
    provisioned: dict[str, Entry] = field(default_factory=dict)
    """Provisioned throughput by id."""
    models: dict[str, Entry] = field(default_factory=dict)
    """Foundation models that someone added to those of the contract's table, by id."""
    access: dict[str, Entry] = field(default_factory=dict)
    """What was set of an account's access to a model, by its id."""
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """By ARN."""


HELD = Memory(Held)


def new_id() -> str:
    """Twelve small letters and digits, as Bedrock gives."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(12))


def arn(asked: Asked, kind: str, id: str) -> str:
    return naming.arn(asked, "bedrock", f"{kind}/{id}")


def tagged(asked: Asked, name: str) -> None:
    """Begin the tags of the ARN `name` with those of the request that makes it."""
    HELD.of(asked).tags[name] = {tag["key"]: tag["value"] for tag in asked.params.get("tags") or []}


def not_found(message: str) -> Refused:
    return Refused("ResourceNotFoundException", 404, message)


def page(asked: Asked, member: str, entries: list[Any]) -> dict[str, Any]:
    """`entries` in pages of `maxResults` (all by default); the token of the next page is where it starts."""
    start = asked.params.get("nextToken") or "0"
    if not start.isdigit():
        raise Refused("ValidationException", 400, "The pagination token is not one of ours.")
    end = int(start) + int(asked.params.get("maxResults") or 1000)
    answer: dict[str, Any] = {member: entries[int(start) : end]}
    if end < len(entries):
        answer["nextToken"] = str(end)
    return answer


# -- tags: of ours here, of moto's own (custom models, jobs) in moto


def _moto(asked: Asked, operation: str, *arguments: Any) -> Any:
    from moto.bedrock.exceptions import ResourceNotFoundException, TooManyTagsException
    from moto.bedrock.models import bedrock_backends

    try:
        return getattr(bedrock_backends[asked.account][asked.region], operation)(*arguments)
    except ResourceNotFoundException:
        raise not_found("The specified resource was not found.") from None
    except TooManyTagsException as error:
        raise Refused("TooManyTagsException", 400, str(error.message)) from None


def tag_resource(asked: Asked) -> Entry:
    name, given = asked.params["resourceARN"], asked.params["tags"]
    tags = HELD.of(asked).tags.get(name)
    if tags is None:
        _moto(asked, "tag_resource", name, given)
    else:
        tags.update({tag["key"]: tag["value"] for tag in given})
    return {}


def untag_resource(asked: Asked) -> Entry:
    name, keys = asked.params["resourceARN"], asked.params["tagKeys"]
    tags = HELD.of(asked).tags.get(name)
    if tags is None:
        _moto(asked, "untag_resource", name, keys)
    else:
        for key in keys:
            tags.pop(key, None)
    return {}


def list_tags_for_resource(asked: Asked) -> Entry:
    name = asked.params["resourceARN"]
    tags = HELD.of(asked).tags.get(name)
    if tags is None:
        return {"tags": _moto(asked, "list_tags_for_resource", name)}
    return {"tags": [{"key": key, "value": value} for key, value in sorted(tags.items())]}


OPERATIONS = (
    Operation("bedrock", "TagResource", tag_resource),
    Operation("bedrock", "UntagResource", untag_resource),
    Operation("bedrock", "ListTagsForResource", list_tags_for_resource),
)
