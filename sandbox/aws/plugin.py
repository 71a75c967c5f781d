"""The executable `pulumi-resource-aws`: install it, run it.

Pulumi takes a plugin from PATH before one that is installed: put the directory on PATH only where no
real plugin is.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import threading
from pathlib import Path

NAME = "pulumi-resource-aws"
_MARK = "# Isthmus' sandbox provider, not the real AWS plugin."


def install(directory: Path) -> Path:
    """Write the executable into `directory` (made when missing); the path of the file.

    It runs with this interpreter and this checkout. The same content is not written twice.
    """
    directory.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).resolve().parents[2]
    interpreter = shlex.quote(sys.executable)
    text = (
        "#!/bin/sh\n"
        f"{_MARK}\n"
        f'PYTHONPATH={shlex.quote(str(root))} exec {interpreter} -m sandbox.aws.plugin "$@"\n'
    )
    path = directory / NAME
    if path.is_file() and path.read_text(encoding="utf-8") == text and os.access(path, os.X_OK):
        return path
    temporary = directory / f".{NAME}.{os.getpid()}"
    temporary.write_text(text, encoding="utf-8")
    temporary.chmod(0o755)
    temporary.replace(path)
    return path


def is_ours(path: Path) -> bool:
    """Whether the plugin at `path` is the sandbox's: the real one is a large binary."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return _MARK.encode() in file.read(512)
    return False


def serve() -> None:
    """Serve on a free port of 127.0.0.1, print the port for the engine, end quietly on a signal."""
    from concurrent import futures

    import grpc
    from pulumi.runtime.proto import provider_pb2_grpc as rpc

    from sandbox.aws.provider import Provider

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # The engine works on up to 16 resources at once unless told otherwise.
    limits = [("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=limits)
    rpc.add_ResourceProviderServicer_to_server(Provider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    parent = os.getppid()
    # The engine kills its plugins; when it was itself killed, its death is noticed here.
    while not stop.wait(1.0):
        if os.getppid() != parent:
            break
    server.stop(grace=1.0).wait()


if __name__ == "__main__":
    serve()
