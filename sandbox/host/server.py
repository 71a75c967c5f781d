"""The process: serve `LanguageRuntime` on a free loopback port, print the port, end quietly when told."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent import futures

from sandbox.host.children import Children
from sandbox.host.guard import Guard
from sandbox.host.service import LanguageHost

EXEC_VARIABLE = "ISTHMUS_LANGUAGE_EXEC"
WORKERS = 32
"""A running program and each policy pack and component hold one for as long as they live."""


def main(arguments: list[str]) -> None:
    """`arguments` are the engine's: options that only the official host knows, and last the engine's
    address."""
    import grpc
    from pulumi.runtime.proto import language_pb2_grpc

    executor = os.environ.pop(EXEC_VARIABLE, "")
    if not os.path.isfile(executor):  # noqa: PTH113 - pathlib costs start-up time here for nothing
        sys.exit("pulumi-language-python: its script pulumi-language-python-exec is missing; "
                 "run `isthmus sandbox install`")  # fmt: skip
    engine = next((word for word in reversed(arguments) if not word.startswith("-")), "")
    children = Children()
    over = threading.Event()
    guard = Guard(over.set)
    guard.engine = engine
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: over.set())

    service = LanguageHost(executor, engine, children, guard)
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(WORKERS), options=unlimited)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    guard.start()
    over.wait()
    children.end_all()
    server.stop(None)
    # Worker threads may still wait for a reader that is gone; nothing of ours is left to be saved.
    os._exit(0)
