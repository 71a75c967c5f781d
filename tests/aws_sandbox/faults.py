"""Put faults into the endpoint (`sandbox.aws.faults`), and a client of boto3's that gives up when it is told to."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import status_pb2

from tests.aws_sandbox.driver import REGION, Refusal, World

UNHEARD = ("server-error", "timeout", "drop")
"""Faults after which the call may have been done; what is throttled was not."""


def ask(world: World, method: str, value: Any = None, **headers: str) -> tuple[int, Any]:
    data = json.dumps(value).encode() if method == "PUT" else None
    request = urllib.request.Request(f"{world.url}/isthmus/faults", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def put(world: World, service: str, operation: str, kind: str, **more: Any) -> None:
    more = {"seconds": 0.05, **more}
    fault = {"service": service, "operation": operation, "kind": kind, **more}
    status, answer = ask(world, "PUT", [fault])
    assert status == 200, answer


def asking(service: str, world: World, tries: int) -> Any:
    """boto3's client with that many tries; its own default differs by version."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"total_max_attempts": tries, "mode": "standard"})
    names = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": REGION}
    return boto3.client(service, endpoint_url=world.url, config=config, **names)


def unfinished(refusal: Refusal) -> pb.ErrorResourceInitFailed:
    """What the engine keeps in the state of a creation that failed half-way."""
    details = dict(refusal.__cause__.trailing_metadata())  # pyright: ignore
    assert "grpc-status-details-bin" in details, f"nothing is kept in the state: {refusal}"
    status = status_pb2.Status.FromString(details["grpc-status-details-bin"])
    failed = pb.ErrorResourceInitFailed()
    assert status.details[0].Unpack(failed)
    return failed
