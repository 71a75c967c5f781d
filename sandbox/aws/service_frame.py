"""Serve AWS operations of our own, each request and answer checked against botocore's service model.

An operation of a `rest-json` service is found by the signing name in the request's credential scope,
the method and the path; one of a `json` service by its `X-Amz-Target`; one of a `query` or `ec2` service by
the `Action` of its form (`sandbox.aws.query_protocol`); whatever is not ours goes on to moto.
"""

from __future__ import annotations

import datetime
import functools
import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from sandbox.aws import accounts, query_protocol
from sandbox.aws.request_body import read as read_body

_SCOPE = re.compile(r"Credential=[^/]*/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")


@dataclass(frozen=True)
class Asked:
    """One request: its checked parameters, the region of its signature, the account that it is of."""

    params: Mapping[str, Any]
    region: str
    account: str
    access_key: str = field(default="", compare=False)
    """The id of the key that signed it."""


class Refused(Exception):
    """An error as AWS words it: its code, its HTTP status, its message."""

    def __init__(self, code: str, status: int, message: str) -> None:
        self.code, self.status, self.message = code, status, message
        super().__init__(message)


@dataclass(frozen=True)
class Operation:
    """One operation: botocore's names of service and operation, and what answers it."""

    service: str
    name: str
    answer: Callable[[Asked], dict[str, Any]]


class Frame:
    """A WSGI application: our operations, and `behind` for everything else."""

    def __init__(self, operations: Iterable[Operation], behind: Any, account: str) -> None:
        self._behind = behind
        self._account = account
        self._routes: dict[str, list[tuple[str, re.Pattern[str], Operation]]] = {}
        self._targets: dict[str, Operation] = {}
        self._actions: dict[tuple[str, str], Operation] = {}
        for operation in operations:
            model = service_model(operation.service)
            protocol = model.resolved_protocol
            if protocol == "json":
                self._targets[f"{model.metadata['targetPrefix']}.{operation.name}"] = operation
                continue
            if protocol in query_protocol.PROTOCOLS:
                self._actions[model.signing_name, operation.name] = operation
                continue
            if protocol != "rest-json":
                raise ValueError(f"{operation.service} speaks {protocol}: the frame cannot serve it")
            http = model.operation_model(operation.name).http
            route = (http["method"], path_pattern(http["requestUri"]), operation)
            self._routes.setdefault(model.signing_name, []).append(route)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if scope:
            region, signing_name = scope.groups()
            target = self._targets.get(environ.get("HTTP_X_AMZ_TARGET", ""))
            if target:
                return self._serve(target, {}, region, environ, start_response)
            if any(service == signing_name for service, _ in self._actions):
                form = _form(environ)
                action = self._actions.get((signing_name, form.get("Action", "")))
                if action:
                    return self._serve_form(action, form, region, environ, start_response)
            # Werkzeug decodes PATH_INFO; the raw one keeps an encoded slash apart from a real one.
            path = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ.get("PATH_INFO", "")
            path = path.split("?", 1)[0]
            for method, pattern, operation in self._routes.get(signing_name, ()):
                found = pattern.fullmatch(path)
                if found and method == environ["REQUEST_METHOD"]:
                    return self._serve(operation, found.groupdict(), region, environ, start_response)
        return self._behind(environ, start_response)

    def _serve(
        self,
        operation: Operation,
        uri: dict[str, str],
        region: str,
        environ: dict[str, Any],
        start_response: Any,
    ) -> list[bytes]:
        model = service_model(operation.service).operation_model(operation.name)
        headers = {"Content-Type": "application/json", "x-amzn-RequestId": str(uuid.uuid4())}
        try:
            params = _parsed(model.input_shape, uri, environ)
            _check(model.input_shape, params, "ValidationException", 400)
            answer = operation.answer(self._asked(params, region, environ))
            _check(model.output_shape, answer, "InternalServerException", 500)
            status, body = int(model.http.get("responseCode", 200)), _json(model.output_shape, answer)
        except Refused as error:
            status, body = error.status, {"__type": error.code, "message": error.message}
            headers["x-amzn-ErrorType"] = error.code
        return _answered(status, headers, json.dumps(body).encode(), start_response)

    def _serve_form(
        self,
        operation: Operation,
        form: dict[str, str],
        region: str,
        environ: dict[str, Any],
        start_response: Any,
    ) -> list[bytes]:
        model = service_model(operation.service).operation_model(operation.name)
        try:
            params = _of_form(model, form)
            _check(model.input_shape, params, "InvalidParameterValue", 400)
            answer = operation.answer(self._asked(params, region, environ))
            _check(model.output_shape, answer, "InternalError", 500)
            status, text = 200, query_protocol.written(model, answer)
        except Refused as error:
            status, text = error.status, query_protocol.refused(model, error.code, error.message)
        return _answered(status, {"Content-Type": "text/xml"}, text, start_response)

    def _asked(self, params: dict[str, Any], region: str, environ: dict[str, Any]) -> Asked:
        return Asked(params, region, accounts.of(environ, self._account), accounts.access_key(environ))


def _answered(status: int, headers: dict[str, str], text: bytes, start_response: Any) -> list[bytes]:
    headers["Content-Length"] = str(len(text))
    start_response(f"{status} {'OK' if status < 300 else 'Refused'}", list(headers.items()))
    return [text]


def _of_form(model: Any, form: Mapping[str, str]) -> dict[str, Any]:
    try:
        return query_protocol.parsed(model, form)
    except ValueError:
        raise Refused("InvalidParameterValue", 400, "A number was expected.") from None


def _form(environ: dict[str, Any]) -> dict[str, str]:
    """The body's form; the body can be read again by whoever comes next."""
    raw = read_body(environ)
    return query_protocol.fields(raw)


@functools.cache
def service_model(service: str) -> Any:
    """botocore's model of a service."""
    import botocore.session

    return botocore.session.Session().get_service_model(service)


def path_pattern(uri: str) -> re.Pattern[str]:
    """`/inference-profiles/{id}` as an expression; `{id+}` may hold slashes."""
    parts = re.split(r"(\{\w+\+?\})", uri.split("?", 1)[0])
    made = ""
    for part in parts:
        found = re.fullmatch(r"\{(\w+)(\+?)\}", part)
        made += f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})" if found else re.escape(part)
    return re.compile(made + "/?")


def _parsed(shape: Any, uri: dict[str, str], environ: dict[str, Any]) -> dict[str, Any]:
    """The operation's parameters from path, query, headers and body. Raises `Refused` for unreadable JSON."""
    if shape is None:
        return {}
    asked = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    query = dict(asked)
    raw = read_body(environ)
    try:
        body = json.loads(raw) if raw.strip() else {}
    except ValueError:
        raise Refused("SerializationException", 400, "The body is not JSON.") from None
    if not isinstance(body, dict):
        raise Refused("SerializationException", 400, "The body is not a JSON object.")
    params: dict[str, Any] = {}
    for name, member in shape.members.items():
        place = member.serialization.get("location")
        key = member.serialization.get("name", name)
        if place == "uri" and key in uri:
            params[name] = _typed(member, unquote(uri[key]))
        elif place == "querystring" and member.type_name == "list" and key in query:
            params[name] = [text for each, text in asked if each == key]
        elif place == "querystring" and key in query:
            params[name] = _typed(member, query[key])
        elif place == "header":
            value = environ.get("HTTP_" + key.upper().replace("-", "_"))
            if value is not None:
                params[name] = _typed(member, value)
        elif place is None and key in body:
            params[name] = body[key]
    return params


def _typed(shape: Any, text: str) -> Any:
    """A value from text, as its shape wants it."""
    try:
        if shape.type_name in ("integer", "long"):
            return int(text)
        if shape.type_name == "boolean":
            return {"true": True, "false": False}[text.lower()]
    except (ValueError, KeyError):
        raise Refused("ValidationException", 400, f"{shape.name} is not a {shape.type_name}.") from None
    return text


def _check(shape: Any, values: dict[str, Any], code: str, status: int) -> None:
    """Raises `Refused` when `values` do not fit botocore's model, enumerations included.

    Greatest lengths and the case of enumerations hold for requests only: AWS's own answers exceed them (a
    profile with six models), or write `available` where the model says `Available` (a VPC endpoint's state).
    """
    if shape is None:
        return
    from botocore.validate import ParamValidator

    report = ParamValidator().validate(values, shape)
    found = report.generate_report() if report.has_errors() else ""
    found = found or _beyond(shape, values, "", greatest=status == 400)
    if found:
        raise Refused(code, status, found)


def _beyond(shape: Any, value: Any, path: str, greatest: bool) -> str:
    """What botocore leaves to the service: enumerations, greatest lengths and unknown members."""
    most = shape.metadata.get("max") if greatest else None
    if most is not None and value is not None:
        size = value if isinstance(value, int) else len(value) if isinstance(value, str | list) else 0
        if size > most:
            return f"{path.rstrip('.')} must be at most {most}."
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, part in value.items():
            if name not in shape.members:
                return f"{path}{name} is not a member of {shape.name}."
            found = _beyond(shape.members[name], part, f"{path}{name}.", greatest)
            if found:
                return found
    if shape.type_name == "list" and isinstance(value, list | tuple):
        return next(filter(None, (_beyond(shape.member, part, path, greatest) for part in value)), "")
    allowed = getattr(shape, "enum", None)
    if allowed and isinstance(value, str) and value not in allowed:
        if not greatest and value.lower() in {each.lower() for each in allowed}:
            return ""
        return f"{path.rstrip('.')} must be one of {', '.join(allowed)}."
    return ""


def _json(shape: Any, value: Any) -> Any:
    """An answer with the names and forms of the wire."""
    if shape is None:
        return {}
    if shape.type_name == "structure" and isinstance(value, dict):
        return {
            shape.members[name].serialization.get("name", name): _json(shape.members[name], part)
            for name, part in value.items()
        }
    if shape.type_name == "list":
        return [_json(shape.member, part) for part in value]
    if isinstance(value, datetime.datetime):
        if shape.serialization.get("timestampFormat") == "iso8601":
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
        return value.timestamp()
    return value
