"""Installs and runs the executable `pulumi-resource-aws` of the sandbox.

Pulumi prefers a plugin on PATH to an installed one. Put the directory on PATH only if there is no real plugin.
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
    """Write the executable into `directory`, which is created if needed, and return the path of the file.

    It runs with this interpreter and this checkout. A file with the same content is not written again.
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
    """Return True if the plugin at `path` is the sandbox's. The real one is a large binary."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return _MARK.encode() in file.read(512)
    return False


def serve() -> None:
    """Serve on a free port of 127.0.0.1, and print the port for the engine. Ends on a signal."""
    from concurrent import futures

    import grpc
    from pulumi.runtime.proto import provider_pb2_grpc as rpc

    from sandbox.aws.provider import Provider

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # By default the engine works on up to 16 resources at once.
    limits = [("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=limits)
    rpc.add_ResourceProviderServicer_to_server(Provider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    parent = os.getppid()
    # The engine ends its plugins. If the engine itself was killed, the parent process changes.
    while not stop.wait(1.0):
        if os.getppid() != parent:
            break
    server.stop(grace=1.0).wait()


if __name__ == "__main__":
    serve()
