"""Faults of AWS for tests: throttling, server errors, time-outs and lost connections.

`PUT /isthmus/faults` replaces the list of faults, `GET` returns the remaining ones, `DELETE` deletes all.

A fault is `{"service", "operation", "kind"}`. `service` is botocore's name and `operation` the API's; `"*"` means
any. Optional keys:

- `times`: number of calls that fail (1)
- `after`: number of calls that pass first (0)
- `also_done`: AWS executes the call, and only the answer is lost (false)
- `seconds`: how long a time-out hangs before the connection closes (1)

If several faults apply to a call, the first one is used.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.aws.loopback import is_loopback
from sandbox.aws.operation_lookup import SignedRequest, find_operation, parse_request
from sandbox.aws.request_body import read as read_body
from sandbox.aws.schema import suggest_nearest
from sandbox.aws.service_frame import service_model

ADDRESS = "/isthmus/faults"
ANY = "*"
KINDS = ("throttle", "server-error", "timeout", "drop")
_MAX_SECONDS = 60.0
"""Greatest `seconds` of a time-out: botocore's default read time-out."""

Answer = tuple[int, str, str]
"""HTTP status, code, message."""

_ERRORS: dict[tuple[str, str], Answer] = {
    ("throttle", "json"): (400, "ThrottlingException", "Rate exceeded"),
    ("throttle", "rest-json"): (429, "ThrottlingException", "Rate exceeded"),
    ("throttle", "query"): (400, "Throttling", "Rate exceeded"),
    ("throttle", "ec2"): (503, "RequestLimitExceeded", "Request limit exceeded."),
    ("throttle", "rest-xml"): (503, "SlowDown", "Please reduce your request rate."),
    ("server-error", "json"): (500, "InternalFailure", "An internal failure has occurred."),
    ("server-error", "rest-json"): (500, "InternalServerException", "An internal failure has occurred."),
    ("server-error", "query"): (500, "InternalFailure", "An internal failure has occurred."),
    ("server-error", "ec2"): (500, "InternalError", "An internal error has occurred."),
    ("server-error", "rest-xml"): (500, "InternalError", "We encountered an internal error."),
}
"""AWS's errors by fault and protocol: from its lists of common errors and of EC2's and S3's codes (not verified)."""


@dataclass
class Fault:
    """One fault. `times` and `after` count down."""

    service: str
    operation: str
    kind: str
    times: int = 1
    after: int = 0
    also_done: bool = False
    seconds: float = 1.0

    def applies_to(self, request: SignedRequest) -> bool:
        if self.service == ANY:
            return True
        operation_name = find_operation(request, self.service)
        return operation_name is not None and self.operation in (ANY, operation_name)


class FaultListError(ValueError):
    """The request's body is not a valid list of faults."""


class Faults:
    """A WSGI application: applies the faults and passes other requests to `next_app`."""

    def __init__(self, next_app: Any) -> None:
        self._behind = next_app
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == ADDRESS:
            return self._manage(environ, start_response)
        request = parse_request(environ) if self._faults else None
        fault = self._take_fault(request) if request else None
        if request is None or fault is None:
            return self._behind(environ, start_response)
        if fault.also_done:
            _run_call(self._behind, environ)
        if fault.kind in ("timeout", "drop"):
            if fault.kind == "timeout":
                time.sleep(fault.seconds)
            return _close_connection(environ)
        return _error_response(request, fault.kind, start_response)

    def _take_fault(self, request: SignedRequest) -> Fault | None:
        """Return the fault that applies to this call, and count it down."""
        with self._lock:
            for fault in self._faults:
                if not fault.applies_to(request):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                self._faults = [remaining for remaining in self._faults if remaining.times > 0]
                return fault
        return None

    def _manage(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        host = environ.get("HTTP_HOST", "localhost").rsplit(":", 1)[0]
        if not (is_loopback(environ.get("REMOTE_ADDR", "127.0.0.1")) and is_loopback(host)):
            return _json_response(
                start_response, 403, {"message": "Faults can be set from this machine only."}
            )
        try:
            if method == "PUT":
                new_faults = parse_faults(read_body(environ))
                with self._lock:
                    self._faults = new_faults
            elif method == "DELETE":
                with self._lock:
                    self._faults = []
            elif method != "GET":
                return _json_response(
                    start_response, 405, {"message": f"{ADDRESS} accepts PUT, GET and DELETE."}
                )
        except FaultListError as error:
            return _json_response(start_response, 400, {"message": str(error)})
        with self._lock:
            return _json_response(start_response, 200, [asdict(fault) for fault in self._faults])


def parse_faults(text: bytes) -> list[Fault]:
    """The faults in a JSON document. Raises `Wrong`, with the reason in one sentence."""
    try:
        entries = json.loads(text)
    except ValueError:
        raise FaultListError("The body is not JSON.") from None
    if not isinstance(entries, list):
        raise FaultListError("The body is not a list of faults.")
    return [_parse_fault(entry, f"fault {number}") for number, entry in enumerate(entries, 1)]


_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "service": ("a name", lambda value: isinstance(value, str)),
    "operation": ("a name", lambda value: isinstance(value, str)),
    "kind": (f"one of {', '.join(KINDS)}", lambda value: value in KINDS),
    "times": ("a whole number from 1", lambda value: type(value) is int and value >= 1),
    "after": ("a whole number from 0", lambda value: type(value) is int and value >= 0),
    "also_done": ("true or false", lambda value: isinstance(value, bool)),
    "seconds": (
        f"a number from 0 to {_MAX_SECONDS:g}",
        lambda value: type(value) in (int, float) and 0 <= value <= _MAX_SECONDS,
    ),
}


def _parse_fault(entry: Any, label: str) -> Fault:
    if not isinstance(entry, dict):
        raise FaultListError(f"{label} is not a JSON object.")
    for name, value in entry.items():
        if name not in _FIELDS:
            raise FaultListError(
                f"{label}: `{name}` is not a key of a fault.{suggest_nearest(name, _FIELDS)}"
            )
        expected, fits = _FIELDS[name]
        if not fits(value):
            raise FaultListError(f"{label}: `{name}` must be {expected}.")
    missing = [name for name in ("service", "operation", "kind") if name not in entry]
    if missing:
        raise FaultListError(f"{label}: `{missing[0]}` is missing.")
    fault = Fault(**entry)
    if fault.service == ANY and fault.operation != ANY:
        raise FaultListError(
            f"{label}: `operation` needs a service. Set `service` to the service of the operation."
        )
    if fault.service != ANY:
        _check_names(fault, label)
    return fault


def _check_names(fault: Fault, label: str) -> None:
    import botocore.exceptions

    try:
        names = service_model(fault.service).operation_names
    except botocore.exceptions.UnknownServiceError as error:
        service_names = error.kwargs.get("known_service_names", ())
        hint = suggest_nearest(
            fault.service,
            service_names if isinstance(service_names, list | tuple) else str(service_names).split(", "),
        )
        raise FaultListError(f"{label}: `{fault.service}` is no service of botocore's.{hint}") from None
    if fault.operation not in (ANY, *names):
        hint = suggest_nearest(fault.operation, names)
        raise FaultListError(f"{label}: `{fault.operation}` is no operation of {fault.service}.{hint}")


def _run_call(next_app: Any, environ: dict[str, Any]) -> None:
    """Execute the call and discard its answer."""
    response = next_app(environ, lambda *_: None)
    try:
        for _ in response:
            pass
    finally:
        if hasattr(response, "close"):
            response.close()


def _close_connection(environ: dict[str, Any]) -> Iterable[bytes]:
    """Close the connection. The server handles the raised error as a client that disconnected."""
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("a fault set by a test")


def _error_response(request: SignedRequest, kind: str, start_response: Any) -> Iterable[bytes]:
    status, code, message = _ERRORS[kind, request.protocol]
    if "json" in request.protocol:
        text = json.dumps({"__type": code, "message": message}).encode()
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code}
    else:
        text = _xml_error(request.protocol, code, message)
        headers = {"Content-Type": "text/xml"}
    text = b"" if request.method == "HEAD" else text
    headers |= {"Content-Length": str(len(text)), "x-amzn-RequestId": "put-in-by-a-test"}
    start_response(f"{status} Fault", list(headers.items()))
    return [text]


def _xml_error(protocol: str, code: str, message: str) -> bytes:
    inner = f"<Code>{code}</Code><Message>{message}</Message>"
    if protocol == "rest-xml":
        return f"<Error>{inner}<RequestId>put-in-by-a-test</RequestId></Error>".encode()
    if protocol == "ec2":
        wrapped = f"<Response><Errors><Error>{inner}</Error></Errors>"
        return f"{wrapped}<RequestID>put-in-by-a-test</RequestID></Response>".encode()
    return f"<ErrorResponse><Error>{inner}</Error><RequestId>put-in-by-a-test</RequestId></ErrorResponse>".encode()


def _json_response(start_response: Any, status: int, value: Any) -> list[bytes]:
    text = json.dumps(value).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
    start_response(f"{status} {'OK' if status < 300 else 'Refused'}", headers)
    return [text]
