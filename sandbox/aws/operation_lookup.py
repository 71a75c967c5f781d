"""Which operation of which service a request asks for, by botocore's models: for every protocol in use.

`query` and `ec2` name it in the form's `Action`, `json` in `X-Amz-Target`, `rest-json` and `rest-xml` by
method, path and what of the query and the headers the operation cannot do without.
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
"""Signing names whose services answer a REST request in XML; all others in use answer in JSON."""


@dataclass(frozen=True)
class Sent:
    """One request, read once; `environ` can be read again by whoever comes next."""

    environ: dict[str, Any]
    signing_name: str
    region: str
    method: str
    path: str
    """Still encoded, without its query."""
    query: Mapping[str, str]
    target: str
    action: str

    @property
    def protocol(self) -> str:
        """The protocol as the request itself shows it."""
        if self.target:
            return "json"
        if self.action:
            return "ec2" if self.signing_name == "ec2" else "query"
        return "rest-xml" if self.signing_name in _REST_XML else "rest-json"


def sent(environ: dict[str, Any]) -> Sent | None:
    """The request, or None when it carries no signature of AWS: it is no call of a service."""
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
    return Sent(environ, signing_name, region, environ["REQUEST_METHOD"], path, query, target, action)


def operation(request: Sent, service: str) -> str | None:
    """The name of the operation of `service` that is asked for, or None when it is not one of its."""
    model = service_model(service)
    if request.signing_name != model.signing_name:
        return None
    protocol = model.resolved_protocol
    if protocol == "json":
        prefix, _, name = request.target.rpartition(".")
        return name if prefix == model.metadata["targetPrefix"] else None
    if protocol in query_protocol.PROTOCOLS:
        return request.action if request.action in model.operation_names else None
    fits = [route for route in _routes(service) if route.fits(request)]
    return max(fits, key=lambda route: len(route.needs)).name if fits else None


@dataclass(frozen=True)
class _Route:
    """Where an operation of a REST protocol is found."""

    name: str
    method: str
    path: re.Pattern[str]
    needs: frozenset[tuple[str, str, str]]
    """Of `query` or `header`: the name, and the value or `""` for any. The more, the closer the fit."""

    def fits(self, request: Sent) -> bool:
        return (
            request.method == self.method
            and self.path.fullmatch(request.path) is not None
            and all(_has(request, *need) for need in self.needs)
        )


def _has(request: Sent, where: str, name: str, value: str) -> bool:
    if where == "header":
        return "HTTP_" + name.upper().replace("-", "_") in request.environ
    return name in request.query and value in ("", request.query[name])


@functools.cache
def _routes(service: str) -> tuple[_Route, ...]:
    """Without the deprecated operations: S3's have the same address as those that took their place."""
    model = service_model(service)
    models = (model.operation_model(name) for name in model.operation_names)
    return tuple(_route(each) for each in models if not each.deprecated)


def _route(model: Any) -> _Route:
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
