"""The host's process: serves `LanguageRuntime` on a free loopback port and prints the port for the engine."""

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
"""Threads of the gRPC server. Each running program, policy pack and component occupies one until it ends."""


def main(arguments: list[str]) -> None:
    """Serve until a signal comes or the engine ends.

    `arguments` come from the engine: options of the official host, which are ignored, then the engine's address.
    """
    import grpc
    from pulumi.runtime.proto import language_pb2_grpc

    executor = os.environ.pop(EXEC_VARIABLE, "")
    if not os.path.isfile(executor):  # noqa: PTH113 - pathlib costs start-up time here for nothing
        sys.exit("pulumi-language-python: the script pulumi-language-python-exec is missing. "
                 "Fix: Run `isthmus sandbox install`.")  # fmt: skip
    engine = next((argument for argument in reversed(arguments) if not argument.startswith("-")), "")
    children = Children()
    ending = threading.Event()
    guard = Guard(ending.set)
    guard.engine = engine
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: ending.set())

    service = LanguageHost(executor, engine, children, guard)
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(WORKERS), options=unlimited)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    guard.start()
    ending.wait()
    children.end_all()
    server.stop(None)
    # Worker threads may still wait for the engine, which has ended. There is nothing left to save.
    os._exit(0)
