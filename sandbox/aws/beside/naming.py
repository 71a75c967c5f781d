"""What all that is served here is told apart by: its ARN, and when it was made."""

from __future__ import annotations

import datetime

from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Asked


def arn(asked: Asked, service: str, rest: str) -> str:
    """Of something in the request's account and region."""
    return f"arn:{partition(asked.region)[0]}:{service}:{asked.region}:{asked.account}:{rest}"


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
