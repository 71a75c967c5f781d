"""ARNs and creation times of stored resources."""

from __future__ import annotations

import datetime

from sandbox.aws.resources import partition
from sandbox.aws.service_frame import ServiceRequest


def arn(request: ServiceRequest, service: str, path: str) -> str:
    """Return the ARN of a resource in the request's account and region."""
    return f"arn:{partition(request.region)[0]}:{service}:{request.region}:{request.account}:{path}"


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
