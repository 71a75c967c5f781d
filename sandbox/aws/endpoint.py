"""The sandbox's AWS endpoint, one HTTP address on this machine: `python -m sandbox.aws.endpoint --port N`.

moto serves AWS. `sandbox.aws.beside` serves what moto lacks. All data is in memory and lost when the process ends.
The process prints its address when it listens, and ends on SIGTERM and SIGINT.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import threading
from typing import Any

from isthmus.core.errors import EnvironmentFault, IsthmusError
from sandbox.aws.loopback import require_loopback_host

HEALTH = "/isthmus/health"
ACCOUNT = "123456789012"
"""Default account of requests that are signed with a made-up key. It is moto's default too."""
_PRELOADED = ("sts", "s3", "kms", "iam", "logs")
"""moto's backends that the first `pulumi up` uses. They are loaded in the background."""


class _Health:
    """A WSGI application: answers `GET /isthmus/health` and passes other requests to `behind`."""

    def __init__(self, behind: Any, account: str) -> None:
        self._behind = behind
        self._account = account

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("PATH_INFO") != HEALTH:
            return self._behind(environ, start_response)
        from sandbox.aws import simulated

        body = {"status": "ok", "pid": os.getpid(), "account": self._account, "simulated": simulated()}
        text = json.dumps(body).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
        start_response("200 OK", headers)
        return [text]


def application(account: str = ACCOUNT) -> Any:
    """Return the WSGI application. The signature of a request decides its account (`sandbox.aws.accounts`)."""
    os.environ.pop("MOTO_ACCOUNT_ID", None)  # it would make moto use one account for all requests
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    from sandbox.aws.accounts import Accounts
    from sandbox.aws.beside import OPERATIONS, PAGES
    from sandbox.aws.faults import Faults
    from sandbox.aws.idempotency import Tokens
    from sandbox.aws.pages import Pages
    from sandbox.aws.service_frame import Frame

    moto = DomainDispatcherApplication(create_backend_app)
    threading.Thread(target=_preload, args=(moto,), daemon=True).start()
    answers = Tokens(Pages(PAGES, Frame(OPERATIONS, moto, account), account))
    return _Health(Faults(Accounts(answers, account)), account)


def _preload(moto: Any) -> None:
    for service in _PRELOADED:
        with moto.lock:
            if service not in moto.app_instances:
                moto.app_instances[service] = moto.create_app(service)


def make_server(host: str, port: int, account: str = ACCOUNT) -> Any:
    """Return a listening, threaded server (`serve_forever()`, `shutdown()`, `port`).

    Raises `InputError` for an address of another machine, and `EnvironmentFault` if the port is in use.
    """
    require_loopback_host(host)
    import socket

    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug import serving

    class Quiet(MotoRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:
            """Log no request: paths and bodies may contain secrets."""

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise EnvironmentFault(
            f"the sandbox's AWS cannot listen on {host}:{port}: {error.strerror or error}",
            fix="Choose another port, or end the program that uses this one",
        ) from None
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    with listening:  # werkzeug works on its own copy of the descriptor
        return serving.make_server(
            host, port, application(account), threaded=True, request_handler=Quiet, fd=listening.fileno()
        )


def main(argv: list[str] | None = None) -> int:
    """Run the endpoint. Returns 0 after a signal, 2 or 3 after an error, which is printed in one paragraph."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.aws.endpoint", description="The sandbox's AWS.")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default: %(default)s)")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--account", default=ACCOUNT, help="the account's number (default: %(default)s)")
    options = parser.parse_args(argv)
    try:
        server = make_server(options.host, options.port, options.account)
    except IsthmusError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the loop that this thread runs, so another thread must call it.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    host = f"[{options.host}]" if ":" in options.host else options.host
    with contextlib.suppress(BrokenPipeError):
        print(f"http://{host}:{server.port}", flush=True)
    server.serve_forever()
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
