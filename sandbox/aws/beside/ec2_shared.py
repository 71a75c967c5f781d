"""Helpers for the EC2 operations beside moto. They change moto's objects, so moto's answers show the changes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

Answer = Callable[[ServiceRequest], dict[str, Any]]


def backend(request: ServiceRequest) -> Any:
    """Return moto's EC2 backend of the request's account and region."""
    from moto.ec2.models import ec2_backends

    return ec2_backends[request.account][request.region]


def operation(name: str, answer: Answer) -> Operation:
    """Return an EC2 operation that turns moto's exceptions into `Refused` with the same code and message."""

    @functools.wraps(answer)
    def translated_answer(request: ServiceRequest) -> dict[str, Any]:
        from moto.core.exceptions import ServiceException

        try:
            return answer(request)
        except ServiceException as error:
            raise Refused(error.code, 400, error.message) from None

    return Operation("ec2", name, translated_answer)


def requested_tags(request: ServiceRequest, kind: str) -> dict[str, str]:
    """Return the tags for resources of `kind` in a creating request."""
    specifications = request.params.get("TagSpecifications") or []
    return {
        tag["Key"]: tag.get("Value", "")
        for entry in specifications
        if entry.get("ResourceType") == kind
        for tag in entry.get("Tags", [])
    }


def tags(resource: Any) -> list[dict[str, str]]:
    """Return a resource's tags in the API's form."""
    return [{"Key": tag["key"], "Value": tag["value"]} for tag in resource.get_tags()]


def in_use(subject: str) -> Refused:
    return Refused("DependencyViolation", 400, f"{subject} has dependencies and cannot be deleted.")
