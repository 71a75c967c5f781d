"""Faults of AWS, put in by a test: throttling, errors of the server, time-outs and lost connections.

`PUT /isthmus/faults` takes a list of faults and forgets all others, `GET` shows what is left, `DELETE`
clears. A fault is `{"service", "operation", "kind"}` and, if wanted, `times` (how many calls it meets, 1),
`after` (how many it lets pass first, 0), `also_done` (the call acts and only its answer is lost) and
`seconds` (how long a time-out hangs before the connection closes, 1). `service` is botocore's name and
`operation` the API's; `"*"` is any. A call that meets several is met by the first that is not used up.
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
from sandbox.aws.operation_lookup import Sent, operation, sent
from sandbox.aws.request_body import read as read_body
from sandbox.aws.schema import nearest
from sandbox.aws.service_frame import service_model

ADDRESS = "/isthmus/faults"
ANY = "*"
KINDS = ("throttle", "server-error", "timeout", "drop")
_LONGEST = 60.0
"""Seconds that a time-out may hang; botocore's own default read time-out."""

Answer = tuple[int, str, str]
"""HTTP status, code, message."""

_WORDS: dict[tuple[str, str], Answer] = {
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
"""As AWS words them by protocol: its lists of common errors, EC2's and S3's error codes (of knowledge)."""


@dataclass
class Fault:
    """One fault; `times` and `after` count down."""

    service: str
    operation: str
    kind: str
    times: int = 1
    after: int = 0
    also_done: bool = False
    seconds: float = 1.0

    def meets(self, request: Sent) -> bool:
        if self.service == ANY:
            return True
        called = operation(request, self.service)
        return called is not None and self.operation in (ANY, called)


class Wrong(ValueError):
    """What is put is no list of faults."""


class Faults:
    """A WSGI application: the faults, and `behind` for everything else."""

    def __init__(self, behind: Any) -> None:
        self._behind = behind
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == ADDRESS:
            return self._manage(environ, start_response)
        request = sent(environ) if self._faults else None
        fault = self._met(request) if request else None
        if request is None or fault is None:
            return self._behind(environ, start_response)
        if fault.also_done:
            _act(self._behind, environ)
        if fault.kind in ("timeout", "drop"):
            if fault.kind == "timeout":
                time.sleep(fault.seconds)
            return _drop(environ)
        return _worded(request, fault.kind, start_response)

    def _met(self, request: Sent) -> Fault | None:
        """The fault that this call meets, counted down."""
        with self._lock:
            for fault in self._faults:
                if not fault.meets(request):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                self._faults = [each for each in self._faults if each.times > 0]
                return fault
        return None

    def _manage(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        host = environ.get("HTTP_HOST", "localhost").rsplit(":", 1)[0]
        if not (is_loopback(environ.get("REMOTE_ADDR", "127.0.0.1")) and is_loopback(host)):
            return _json(start_response, 403, {"message": "Faults are put in from this machine only."})
        try:
            if method == "PUT":
                put = faults_of(read_body(environ))
                with self._lock:
                    self._faults = put
            elif method == "DELETE":
                with self._lock:
                    self._faults = []
            elif method != "GET":
                return _json(start_response, 405, {"message": f"{ADDRESS} takes PUT, GET and DELETE."})
        except Wrong as error:
            return _json(start_response, 400, {"message": str(error)})
        with self._lock:
            return _json(start_response, 200, [asdict(fault) for fault in self._faults])


def faults_of(text: bytes) -> list[Fault]:
    """The faults in a JSON document. Raises `Wrong`, with the reason in one sentence."""
    try:
        entries = json.loads(text)
    except ValueError:
        raise Wrong("The body is not JSON.") from None
    if not isinstance(entries, list):
        raise Wrong("The body is not a list of faults.")
    return [_fault(entry, f"fault {number}") for number, entry in enumerate(entries, 1)]


_TAKES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "service": ("a name", lambda value: isinstance(value, str)),
    "operation": ("a name", lambda value: isinstance(value, str)),
    "kind": (f"one of {', '.join(KINDS)}", lambda value: value in KINDS),
    "times": ("a whole number from 1", lambda value: type(value) is int and value >= 1),
    "after": ("a whole number from 0", lambda value: type(value) is int and value >= 0),
    "also_done": ("true or false", lambda value: isinstance(value, bool)),
    "seconds": (
        f"a number from 0 to {_LONGEST:g}",
        lambda value: type(value) in (int, float) and 0 <= value <= _LONGEST,
    ),
}


def _fault(entry: Any, which: str) -> Fault:
    if not isinstance(entry, dict):
        raise Wrong(f"{which} is not a JSON object.")
    for name, value in entry.items():
        if name not in _TAKES:
            raise Wrong(f"{which}: `{name}` is no part of a fault.{nearest(name, _TAKES)}")
        wanted, fits = _TAKES[name]
        if not fits(value):
            raise Wrong(f"{which}: `{name}` wants {wanted}.")
    missing = [name for name in ("service", "operation", "kind") if name not in entry]
    if missing:
        raise Wrong(f"{which}: `{missing[0]}` is missing.")
    fault = Fault(**entry)
    if fault.service == ANY and fault.operation != ANY:
        raise Wrong(f"{which}: an operation without its service cannot be told; name the service.")
    if fault.service != ANY:
        _check_names(fault, which)
    return fault


def _check_names(fault: Fault, which: str) -> None:
    import botocore.exceptions

    try:
        names = service_model(fault.service).operation_names
    except botocore.exceptions.UnknownServiceError as error:
        known = error.kwargs.get("known_service_names", ())
        hint = nearest(fault.service, known if isinstance(known, list | tuple) else str(known).split(", "))
        raise Wrong(f"{which}: `{fault.service}` is no service of botocore's.{hint}") from None
    if fault.operation not in (ANY, *names):
        hint = nearest(fault.operation, names)
        raise Wrong(f"{which}: `{fault.operation}` is no operation of {fault.service}.{hint}")


def _act(behind: Any, environ: dict[str, Any]) -> None:
    """Let the call be done; nobody hears of its answer."""
    answer = behind(environ, lambda *_: None)
    try:
        for _ in answer:
            pass
    finally:
        if hasattr(answer, "close"):
            answer.close()


def _drop(environ: dict[str, Any]) -> Iterable[bytes]:
    """Close the connection without a word; the server takes the error as a client that left."""
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("a fault put in by a test")


def _worded(request: Sent, kind: str, start_response: Any) -> Iterable[bytes]:
    status, code, message = _WORDS[kind, request.protocol]
    if "json" in request.protocol:
        text = json.dumps({"__type": code, "message": message}).encode()
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code}
    else:
        text = _xml(request.protocol, code, message)
        headers = {"Content-Type": "text/xml"}
    text = b"" if request.method == "HEAD" else text
    headers |= {"Content-Length": str(len(text)), "x-amzn-RequestId": "put-in-by-a-test"}
    start_response(f"{status} Fault", list(headers.items()))
    return [text]


def _xml(protocol: str, code: str, message: str) -> bytes:
    inner = f"<Code>{code}</Code><Message>{message}</Message>"
    if protocol == "rest-xml":
        return f"<Error>{inner}<RequestId>put-in-by-a-test</RequestId></Error>".encode()
    if protocol == "ec2":
        wrapped = f"<Response><Errors><Error>{inner}</Error></Errors>"
        return f"{wrapped}<RequestID>put-in-by-a-test</RequestID></Response>".encode()
    return f"<ErrorResponse><Error>{inner}</Error><RequestId>put-in-by-a-test</RequestId></ErrorResponse>".encode()


def _json(start_response: Any, status: int, value: Any) -> list[bytes]:
    text = json.dumps(value).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
    start_response(f"{status} {'OK' if status < 300 else 'Refused'}", headers)
    return [text]
