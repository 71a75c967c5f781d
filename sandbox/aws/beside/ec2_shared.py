"""What is served of EC2's network beside moto works on moto's own objects, so that moto's answers show it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from sandbox.aws.service_frame import Asked, Operation, Refused

Answer = Callable[[Asked], dict[str, Any]]


def backend(asked: Asked) -> Any:
    """moto's EC2 of the request's account and region."""
    from moto.ec2.models import ec2_backends

    return ec2_backends[asked.account][asked.region]


def operation(name: str, answer: Answer) -> Operation:
    """An operation of EC2; what moto refuses within it is refused in moto's words."""

    @functools.wraps(answer)
    def answered(asked: Asked) -> dict[str, Any]:
        from moto.core.exceptions import ServiceException

        try:
            return answer(asked)
        except ServiceException as error:
            raise Refused(error.code, 400, error.message) from None

    return Operation("ec2", name, answered)


def named(asked: Asked, kind: str) -> dict[str, str]:
    """The tags that a creating request carries for `kind`."""
    found = asked.params.get("TagSpecifications") or []
    return {
        tag["Key"]: tag.get("Value", "")
        for entry in found
        if entry.get("ResourceType") == kind
        for tag in entry.get("Tags", [])
    }


def tags(thing: Any) -> list[dict[str, str]]:
    """A thing's tags as the API shows them."""
    return [{"Key": tag["key"], "Value": tag["value"]} for tag in thing.get_tags()]


def in_use(what: str) -> Refused:
    return Refused("DependencyViolation", 400, f"{what} has dependencies and cannot be deleted.")
