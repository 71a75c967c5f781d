"""Finds the service and operation of a request by botocore's models, for every protocol in use.

`query` and `ec2` have the operation in the form field `Action`, `json` in `X-Amz-Target`. For `rest-json` and
`rest-xml` it follows from the method, the path, and the required query parameters and headers.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from sandbox.aws import query_protocol
from sandbox.aws.request_body import read as read_body
from sandbox.aws.service_frame import path_pattern, service_model

_SIGNED_FOR = re.compile(r"Credential=[^/]*/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_REST_XML = ("s3", "s3express", "route53", "cloudfront")
"""Signing names of services that answer REST requests in XML. The others in use answer in JSON."""


@dataclass(frozen=True)
class SignedRequest:
    """One signed request. Its body can be read again from `environ`."""

    environ: dict[str, Any]
    signing_name: str
    region: str
    method: str
    path: str
    """URL-encoded, without the query."""
    query: Mapping[str, str]
    target: str
    action: str

    @property
    def protocol(self) -> str:
        """The protocol, derived from the request."""
        if self.target:
            return "json"
        if self.action:
            return "ec2" if self.signing_name == "ec2" else "query"
        return "rest-xml" if self.signing_name in _REST_XML else "rest-json"


def parse_request(environ: dict[str, Any]) -> SignedRequest | None:
    """Return the request, or None if it has no AWS signature and so is not a call of a service."""
    scope = _SIGNED_FOR.search(environ.get("HTTP_AUTHORIZATION", ""))
    if not scope:
        return None
    region, signing_name = scope.groups()
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ.get("PATH_INFO", "")
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    action = str(query.get("Action", ""))
    if not target and "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        action = query_protocol.fields(read_body(environ)).get("Action") or action
    path = raw.split("?", 1)[0]
    return SignedRequest(
        environ, signing_name, region, environ["REQUEST_METHOD"], path, query, target, action
    )


def find_operation(request: SignedRequest, service: str) -> str | None:
    """Return the requested operation of `service`, or None if the request is for another service."""
    model = service_model(service)
    if request.signing_name != model.signing_name:
        return None
    protocol = model.resolved_protocol
    if protocol == "json":
        prefix, _, name = request.target.rpartition(".")
        return name if prefix == model.metadata["targetPrefix"] else None
    if protocol in query_protocol.PROTOCOLS:
        return request.action if request.action in model.operation_names else None
    matching_routes = [route for route in _routes(service) if route.fits(request)]
    return max(matching_routes, key=lambda route: len(route.needs)).name if matching_routes else None


@dataclass(frozen=True)
class _Route:
    """Method, path and required parameters of a REST operation."""

    name: str
    method: str
    path: re.Pattern[str]
    needs: frozenset[tuple[str, str, str]]
    """(`query` or `header`, name, value or `""` for any value). The route with most of them is chosen."""

    def fits(self, request: SignedRequest) -> bool:
        return (
            request.method == self.method
            and self.path.fullmatch(request.path) is not None
            and all(_has(request, *need) for need in self.needs)
        )


def _has(request: SignedRequest, where: str, name: str, value: str) -> bool:
    if where == "header":
        return "HTTP_" + name.upper().replace("-", "_") in request.environ
    return name in request.query and value in ("", request.query[name])


@functools.cache
def _routes(service: str) -> tuple[_Route, ...]:
    """Return the routes without deprecated operations: S3's have the same address as their replacements."""
    model = service_model(service)
    models = (model.operation_model(name) for name in model.operation_names)
    return tuple(
        _build_route(operation_model) for operation_model in models if not operation_model.deprecated
    )


def _build_route(model: Any) -> _Route:
    uri = model.http["requestUri"]
    literal = parse_qsl(uri.partition("?")[2], keep_blank_values=True)
    needs = {("query", name, value) for name, value in literal}
    shape = model.input_shape
    for member in shape.required_members if shape else ():
        wire = shape.members[member].serialization
        where = {"querystring": "query", "header": "header"}.get(wire.get("location", ""))
        if where:
            needs.add((where, wire["name"], ""))
    return _Route(model.name, model.http["method"], path_pattern(uri), frozenset(needs))
