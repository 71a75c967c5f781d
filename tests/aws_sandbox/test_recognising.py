"""Every request that botocore makes of an operation is recognised as that operation."""

from __future__ import annotations

import contextlib
import io
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox.aws.operation_lookup import SignedRequest, find_operation, parse_request
from sandbox.aws.request_body import read as read_body
from sandbox.aws.table import TYPES

_WHOLE = ("s3", "bedrock", "bedrock-runtime", "rolesanywhere", "kms", "sts", "route53")
"""Services of which every operation is asked, for their protocols: REST in XML and JSON, JSON, query."""
_SIGNED_FOR_ANOTHER = ("ListDirectoryBuckets", "WriteGetObjectResponse")
"""Operations of S3 that are signed for `s3express` and `s3-object-lambda`."""
SERVICES = sorted({kind.service for kind in TYPES.values()} | set(_WHOLE))


def _least(shape: Any, depth: int = 0) -> Any:
    """The smallest value that botocore takes for a shape."""
    if shape.type_name == "structure":
        return {name: _least(shape.members[name], depth + 1) for name in shape.required_members}
    if shape.type_name == "list":
        return [_least(shape.member, depth + 1)] if depth < 6 else []
    if shape.type_name == "map":
        return {}
    if shape.type_name == "boolean":
        return True
    if shape.type_name in ("integer", "long", "float", "double"):
        return shape.metadata.get("min", 1)
    if shape.type_name == "blob":
        return b"x"
    if shape.type_name == "timestamp":
        return 0
    return (getattr(shape, "enum", None) or ["x" * max(1, shape.metadata.get("min", 1))])[0]


def _environ(request: Any) -> dict[str, Any]:
    """As werkzeug would have it."""
    parts = urlsplit(request.url)
    body: Any = request.body or b""
    raw = body.encode() if isinstance(body, str) else body.read() if hasattr(body, "read") else body
    created = {
        "REQUEST_METHOD": request.method,
        "RAW_URI": f"{parts.path}?{parts.query}",
        "QUERY_STRING": parts.query,
        "CONTENT_LENGTH": str(len(raw)),
        "wsgi.input": io.BytesIO(raw),
    }
    for name, value in request.headers.items():
        value = value.decode() if isinstance(value, bytes) else value
        key = name.upper().replace("-", "_")
        created["CONTENT_TYPE" if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return created


def requests(service: str) -> list[tuple[str, dict[str, Any]]]:
    """Every operation of the service with a request of it."""
    import boto3
    from botocore.awsrequest import AWSResponse
    from botocore.config import Config

    client = boto3.client(
        service,
        endpoint_url="http://127.0.0.1:9",
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    observed: list[Any] = []

    def catch(request: Any, **_: Any) -> Any:
        observed.append(request)
        return AWSResponse(request.url, 404, {}, io.BytesIO(b""))

    client.meta.events.register("before-send", catch)
    created: list[tuple[str, dict[str, Any]]] = []
    for method, name in client.meta.method_to_api_mapping.items():
        model = client.meta.service_model.operation_model(name)
        if model.has_event_stream_input or model.auth_type == "none" or model.deprecated:
            continue
        if name in _SIGNED_FOR_ANOTHER:
            continue
        observed.clear()
        with contextlib.suppress(Exception):  # what the answer was read as does not matter
            getattr(client, method)(**(_least(model.input_shape) if model.input_shape else {}))
        if observed and "Authorization" in observed[-1].headers:
            created.append((name, _environ(observed[-1])))
    return created


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_of_a_service_in_use_is_recognised(service: str) -> None:
    wrong: list[tuple[str, str | None]] = []
    asked = requests(service)
    for name, environ in asked:
        request = parse_request(environ)
        assert request is not None
        actual = find_operation(request, service)
        if actual != name:
            wrong.append((name, actual))
    assert len(asked) >= 5
    assert wrong == []


def test_a_request_without_a_signature_is_no_call() -> None:
    assert parse_request({"REQUEST_METHOD": "GET", "PATH_INFO": "/isthmus/health"}) is None


def _sent(**environ: Any) -> SignedRequest:
    scope = "AWS4-HMAC-SHA256 Credential=x/20260101/eu-central-1/kms/aws4_request"
    request = parse_request(
        {"REQUEST_METHOD": "POST", "HTTP_AUTHORIZATION": scope, "PATH_INFO": "/", **environ}
    )
    assert request is not None
    return request


def test_another_service_s_request_is_not_taken_for_an_operation() -> None:
    request = _sent(HTTP_X_AMZ_TARGET="TrentService.CreateKey")
    assert find_operation(request, "kms") == "CreateKey"
    assert find_operation(request, "logs") is None
    assert find_operation(_sent(HTTP_X_AMZ_TARGET="Logs_20140328.CreateKey"), "kms") is None


def test_the_body_stays_readable_for_whoever_comes_next() -> None:
    environ = {
        "REQUEST_METHOD": "POST",
        "HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=x/20260101/eu-central-1/ec2/aws4_request",
        "CONTENT_TYPE": "application/x-www-form-urlencoded; charset=utf-8",
        "CONTENT_LENGTH": "17",
        "wsgi.input": io.BytesIO(b"Action=CreateVpc&"),
    }
    request = parse_request(environ)
    assert request is not None
    assert (request.action, request.protocol) == ("CreateVpc", "ec2")
    assert read_body(environ) == b"Action=CreateVpc&"
    assert environ["wsgi.input"].read() == b"Action=CreateVpc&"
