"""Serves the AWS operations of `sandbox.aws.beside`, and validates requests and answers by botocore's models.

An operation is found by the signing name, the method and the path (`rest-json`), by `X-Amz-Target` (`json`), or by
`Action` in the form (`query` and `ec2`, see `sandbox.aws.query_protocol`). Other requests go to moto.
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

from sandbox.aws import accounts, event_stream, query_protocol
from sandbox.aws.request_body import read as read_body

_SCOPE = re.compile(r"Credential=[^/]*/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")


@dataclass(frozen=True)
class ServiceRequest:
    """One request: its validated parameters, the region of its signature, and its account."""

    params: Mapping[str, Any]
    region: str
    account: str
    access_key: str = field(default="", compare=False)
    """Id of the key that signed the request."""


class Refused(Exception):
    """An error as AWS returns it: code, HTTP status and message."""

    def __init__(self, code: str, status: int, message: str) -> None:
        self.code, self.status, self.message = code, status, message
        super().__init__(message)


@dataclass(frozen=True)
class Operation:
    """One operation: botocore's names of the service and the operation, and the function that answers."""

    service: str
    name: str
    answer: Callable[[ServiceRequest], Any]
    """Returns the answer; for an event stream, the name and the payload of each event."""


class Frame:
    """A WSGI application: serves the given operations and passes other requests to `next_app`."""

    def __init__(self, operations: Iterable[Operation], next_app: Any, account: str) -> None:
        self._behind = next_app
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
            # Werkzeug decodes PATH_INFO. The raw path distinguishes an encoded slash from a real one.
            path = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ.get("PATH_INFO", "")
            path = path.split("?", 1)[0]
            for method, pattern, operation in self._routes.get(signing_name, ()):
                match = pattern.fullmatch(path)
                if match and method == environ["REQUEST_METHOD"]:
                    return self._serve(operation, match.groupdict(), region, environ, start_response)
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
            if model.has_event_stream_output:
                headers["Content-Type"] = event_stream.CONTENT_TYPE
                return _respond(200, headers, _events(model, answer), start_response)
            _check(model.output_shape, answer, "InternalServerException", 500)
            status, body = int(model.http.get("responseCode", 200)), _json(model.output_shape, answer)
        except Refused as error:
            status, body = error.status, {"__type": error.code, "message": error.message}
            headers["x-amzn-ErrorType"] = error.code
        return _respond(status, headers, json.dumps(body).encode(), start_response)

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
            status, text = 200, query_protocol.write_response(model, answer)
        except Refused as error:
            status, text = error.status, query_protocol.write_error(model, error.code, error.message)
        return _respond(status, {"Content-Type": "text/xml"}, text, start_response)

    def _asked(self, params: dict[str, Any], region: str, environ: dict[str, Any]) -> ServiceRequest:
        return ServiceRequest(
            params, region, accounts.account_of_request(environ, self._account), accounts.access_key(environ)
        )


def _events(model: Any, answer: Iterable[tuple[str, Any]]) -> bytes:
    members = model.get_event_stream_output().members
    events = []
    for name, payload in answer:
        _check(members[name], payload, "InternalServerException", 500)
        events.append(event_stream.event(name, _json(members[name], payload)))
    return b"".join(events)


def _respond(status: int, headers: dict[str, str], text: bytes, start_response: Any) -> list[bytes]:
    headers["Content-Length"] = str(len(text))
    start_response(f"{status} {'OK' if status < 300 else 'Refused'}", list(headers.items()))
    return [text]


def _of_form(model: Any, form: Mapping[str, str]) -> dict[str, Any]:
    try:
        return query_protocol.parse_params(model, form)
    except ValueError:
        raise Refused("InvalidParameterValue", 400, "A number was expected.") from None


def _form(environ: dict[str, Any]) -> dict[str, str]:
    """Return the form fields of the body, which can be read again."""
    raw = read_body(environ)
    return query_protocol.fields(raw)


@functools.cache
def service_model(service: str) -> Any:
    """Return botocore's model of a service."""
    import botocore.session

    return botocore.session.Session().get_service_model(service)


def path_pattern(uri: str) -> re.Pattern[str]:
    """Return a path such as `/inference-profiles/{id}` as a regular expression. `{id+}` may contain slashes."""
    pieces = re.split(r"(\{\w+\+?\})", uri.split("?", 1)[0])
    pattern = ""
    for part in pieces:
        placeholder = re.fullmatch(r"\{(\w+)(\+?)\}", part)
        pattern += (
            f"(?P<{placeholder[1]}>{'.+' if placeholder[2] else '[^/]+'})" if placeholder else re.escape(part)
        )
    return re.compile(pattern + "/?")


def _parsed(shape: Any, uri: dict[str, str], environ: dict[str, Any]) -> dict[str, Any]:
    """Return the operation's parameters from path, query, headers and body. Raises `Refused` for invalid JSON."""
    if shape is None:
        return {}
    query_pairs = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    query = dict(query_pairs)
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
            params[name] = [text for pair_name, text in query_pairs if pair_name == key]
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
    """Convert a text to the type of its shape. Raises `Refused` if that fails."""
    try:
        if shape.type_name in ("integer", "long"):
            return int(text)
        if shape.type_name == "boolean":
            return {"true": True, "false": False}[text.lower()]
    except (ValueError, KeyError):
        raise Refused("ValidationException", 400, f"{shape.name} is not a {shape.type_name}.") from None
    return text


def _check(shape: Any, values: dict[str, Any], code: str, status: int) -> None:
    """Raise `Refused` if `values` do not match botocore's model, including enumerations.

    Maximum lengths and the case of enumerations are checked in requests only. AWS's own answers exceed maxima (a
    profile with six models), or have `available` where the model has `Available` (the state of a VPC endpoint).
    """
    if shape is None:
        return
    from botocore.validate import ParamValidator

    report = ParamValidator().validate(values, shape)
    report_text = report.generate_report() if report.has_errors() else ""
    report_text = report_text or _find_out_of_range(shape, values, "", greatest=status == 400)
    if report_text:
        raise Refused(code, status, report_text)


def _find_out_of_range(shape: Any, value: Any, path: str, greatest: bool) -> str:
    """Check what botocore does not: enumerations, maximum lengths and unknown members. Returns "" or the problem."""
    most = shape.metadata.get("max") if greatest else None
    if most is not None and value is not None:
        size = value if isinstance(value, int) else len(value) if isinstance(value, str | list) else 0
        if size > most:
            return f"{path.rstrip('.')} must be at most {most}."
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, part in value.items():
            if name not in shape.members:
                return f"{path}{name} is not a member of {shape.name}."
            problem = _find_out_of_range(shape.members[name], part, f"{path}{name}.", greatest)
            if problem:
                return problem
    if shape.type_name == "list" and isinstance(value, list | tuple):
        return next(
            filter(None, (_find_out_of_range(shape.member, part, path, greatest) for part in value)), ""
        )
    allowed = getattr(shape, "enum", None)
    if allowed and isinstance(value, str) and value not in allowed:
        if not greatest and value.lower() in {allowed_value.lower() for allowed_value in allowed}:
            return ""
        return f"{path.rstrip('.')} must be one of {', '.join(allowed)}."
    return ""


def _json(shape: Any, value: Any) -> Any:
    """Return an answer with the names and formats of the protocol."""
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
