"""The stored resources of Amazon Bedrock that moto lacks, by account and region, and their tags."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside import naming
from sandbox.aws.beside.memory import Memory
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

Entry = dict[str, Any]


@dataclass
class State:
    """The resources of one account and region."""

    guardrails: dict[str, Any] = field(default_factory=dict)
    profiles: dict[str, Entry] = field(default_factory=dict)
    """Application inference profiles by id."""
    provisioned: dict[str, Entry] = field(default_factory=dict)
    """Provisioned throughput by id."""
    models: dict[str, Entry] = field(default_factory=dict)
    """Foundation models that were added to those of the table, by id."""
    access: dict[str, Entry] = field(default_factory=dict)
    """Settings of the account's access to a model, by the model's id."""
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """By ARN."""


STATE = Memory(State)


def new_id() -> str:
    """Return an id of twelve lower-case letters and digits, like Bedrock's."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(12))


def arn(request: ServiceRequest, kind: str, id: str) -> str:
    return naming.arn(request, "bedrock", f"{kind}/{id}")


def start_tags(request: ServiceRequest, name: str) -> None:
    """Store the tags of a creating request for the new ARN `name`."""
    STATE.of(request).tags[name] = {tag["key"]: tag["value"] for tag in request.params.get("tags") or []}


def not_found(message: str) -> Refused:
    return Refused("ResourceNotFoundException", 404, message)


def paginate(request: ServiceRequest, member: str, entries: list[Any]) -> dict[str, Any]:
    """Return one page of `entries`, of `maxResults` entries. The token of the next page is its start index."""
    start = request.params.get("nextToken") or "0"
    if not start.isdigit():
        raise Refused("ValidationException", 400, "The pagination token is not one of ours.")
    end = int(start) + int(request.params.get("maxResults") or 1000)
    answer: dict[str, Any] = {member: entries[int(start) : end]}
    if end < len(entries):
        answer["nextToken"] = str(end)
    return answer


# -- tags: stored here for the resources above, in moto for moto's resources (custom models, jobs)


def _call_moto(request: ServiceRequest, operation: str, *arguments: Any) -> Any:
    from moto.bedrock.exceptions import ResourceNotFoundException, TooManyTagsException
    from moto.bedrock.models import bedrock_backends

    try:
        return getattr(bedrock_backends[request.account][request.region], operation)(*arguments)
    except ResourceNotFoundException:
        raise not_found("The specified resource was not found.") from None
    except TooManyTagsException as error:
        raise Refused("TooManyTagsException", 400, str(error.message)) from None


def tag_resource(request: ServiceRequest) -> Entry:
    name, new_tags = request.params["resourceARN"], request.params["tags"]
    tags = STATE.of(request).tags.get(name)
    if tags is None:
        _call_moto(request, "tag_resource", name, new_tags)
    else:
        tags.update({tag["key"]: tag["value"] for tag in new_tags})
    return {}


def untag_resource(request: ServiceRequest) -> Entry:
    name, keys = request.params["resourceARN"], request.params["tagKeys"]
    tags = STATE.of(request).tags.get(name)
    if tags is None:
        _call_moto(request, "untag_resource", name, keys)
    else:
        for key in keys:
            tags.pop(key, None)
    return {}


def list_tags_for_resource(request: ServiceRequest) -> Entry:
    name = request.params["resourceARN"]
    tags = STATE.of(request).tags.get(name)
    if tags is None:
        return {"tags": _call_moto(request, "list_tags_for_resource", name)}
    return {"tags": [{"key": key, "value": value} for key, value in sorted(tags.items())]}


OPERATIONS = (
    Operation("bedrock", "TagResource", tag_resource),
    Operation("bedrock", "UntagResource", untag_resource),
    Operation("bedrock", "ListTagsForResource", list_tags_for_resource),
)
