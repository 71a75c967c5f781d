"""Runs `isthmus`, the programs of stacks and the edge as processes forked from one that has loaded their modules.

Loading the SDK takes two thirds of a short command's processor time, and loading the edge all of its start; the tests
start hundreds. Each is still a process with its own arguments, variables, folder and exit code, and ends with what
started it. `make soak` starts a new interpreter each time, and so do tests that change the interpreter's settings or
use another checkout.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SWITCH = "ISTHMUS_TESTS_PRELOAD"
"""A variable: 0 starts a new interpreter each time."""
ADDRESS = "ISTHMUS_TESTS_PRELOADED"
"""A variable: the socket of the process that has loaded the modules."""
LARGEST = 1 << 20
"""Bytes of a request: arguments and variables."""
PACKAGES = ("isthmus", "components", "policies")
"""Loaded whole for commands and programs. Not `stacks`: a project brings its own."""
EDGE = (
    "edge.__main__",
    "edge.server",
    "edge.gateway",
    "edge.sidecar",
    "edge.audit.sealing",
    "edge.reviews.service",
)
"""Loaded for the edge. Not what its translator imports, which reads the environment then."""
OTHERS = ("jinja2", "rich.console", "rich.table", "cryptography.x509", "pulumi.automation", "ruamel.yaml")
MORE_MODULES = {"on-prem": ("meta.v1", "scheduling.v1"), "aws": ("efs", "eks")}
"""Modules of the SDK that some platforms need beside those that a program of a stack loads ahead."""
INTERPRETER = """#!{python} -IS
import os, sys

arguments, address, module = sys.argv[1:], os.environ.get("{variable}", ""), "{module}"
if module or address and arguments[:1] == ["-u"] and arguments[1].endswith("pulumi-language-python-exec"):
    import json, signal, socket

    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, {largest})
    server.connect(address)
    words = arguments if module else arguments[1:]
    request = dict(arguments=words, cwd=os.getcwd(), env=dict(os.environ), module=module)
    socket.send_fds(server, [json.dumps(request).encode()], [1, 2])
    pid = json.loads(server.recv(4096))["pid"]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    code = json.loads(server.recv(4096))["code"]
    if code < 0:
        if -code in (signal.SIGINT, signal.SIGTERM):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
os.execv("{python}", ["{python}", *arguments])
"""
"""What the language host starts in place of the interpreter: it waits for the forked program, and ends with it."""


class Process:
    """A forked process, as `subprocess.Popen` has it. It is killed when this object ends before it."""

    def __init__(self, server: Server, request: dict[str, Any], out: int, err: int) -> None:
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
        self._connection.connect(server.address)
        socket.send_fds(self._connection, [json.dumps(request).encode()], [out, err])
        self.pid: int = self._answer()["pid"]
        self.returncode: int | None = None

    def _answer(self) -> dict[str, int]:
        body = self._connection.recv(4096)
        if not body:
            raise RuntimeError("the process that has loaded the modules has ended")
        return json.loads(body)

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                self.returncode = self._answer()["code"]
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0) from None
            self._connection.close()
        assert self.returncode is not None
        return self.returncode

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Server:
    """The process that has loaded the modules and forks at each request. It ends with this one."""

    def __init__(self, kind: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="isthmus-"))
        self.address = str(self.folder / "socket")
        plain = {name: value for name, value in os.environ.items() if is_plain(name)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.preloaded", kind, self.address],
            cwd=ROOT,
            env=plain | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        atexit.register(self.close)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", "the modules could not be loaded"

    def run(self, arguments: Sequence[str], cwd: str, env: Mapping[str, str]) -> tuple[int, str, str]:
        request = {"arguments": [*arguments], "cwd": cwd, "env": {**env}, "module": "isthmus"}
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code = Process(self, request, out.fileno(), err.fileno()).wait()
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        return code, texts[0], texts[1]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def is_plain(name: str) -> bool:
    """Whether a variable is neither the engine's, AWS's nor the sandbox's."""
    return not name.startswith(("PULUMI_", "AWS_", "ISTHMUS_", "KUBECONFIG"))


_servers: dict[tuple[int, str], Server] = {}


def server(kind: str = "isthmus") -> Server | None:
    """This process' own; None where new interpreters are wanted."""
    if os.environ.get(SWITCH) == "0":
        return None
    # A worker that was forked from another has none yet.
    key = os.getpid(), kind
    if key not in _servers:
        _servers[key] = Server(kind)
    return _servers[key]


def edge(arguments: Sequence[str], env: Mapping[str, str], output: int) -> Process | None:
    """`python -m edge ARGUMENTS`, running, with both outputs into this file; None where a new interpreter is wanted."""
    running = server("edge") if _python_settings(env) == _python_settings(os.environ) else None
    if running is None:
        return None
    request = {"arguments": [*arguments], "cwd": str(ROOT), "env": {**env}, "module": "edge"}
    return Process(running, request, output, output)


def isthmus(arguments: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`python -m isthmus ARGUMENTS` in this folder with this whole environment."""
    command = [sys.executable, "-m", "isthmus", *arguments]
    running = server() if may_fork(env) else None
    if running is None:
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    code, out, err = running.run(arguments, str(cwd), env)
    return subprocess.CompletedProcess(command, code, out, err)


def lay_command(folder: Path) -> dict[str, str]:
    """Put a command `isthmus` into a folder that forks this checkout's; the variables that it needs."""
    running = server()
    if running is None:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "isthmus"
    command.write_text(
        INTERPRETER.format(python=sys.executable, variable=ADDRESS, largest=LARGEST, module="isthmus")
    )
    command.chmod(0o755)
    return {ADDRESS: running.address}


def lay_interpreter(virtual: Path) -> dict[str, str]:
    """Make the virtual environment of a project; the variables by which its interpreter forks the stack's program."""
    running = server()
    if running is None:
        virtual.symlink_to(sys.prefix)
        return {}
    (virtual / "bin").mkdir(parents=True)
    python = virtual / "bin" / "python"
    python.write_text(INTERPRETER.format(python=sys.executable, variable=ADDRESS, largest=LARGEST, module=""))
    python.chmod(0o755)
    return {ADDRESS: running.address}


def may_fork(env: Mapping[str, str]) -> bool:
    """Whether nothing asks for another interpreter, or another checkout, than that of the server."""
    return _python_settings(env) == {**_python_settings(os.environ), "PYTHONPATH": str(ROOT)}


def _python_settings(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith("PYTHON")}


@dataclass
class Forked:
    """A process that runs, and who waits for it."""

    pid: int
    descriptor: int
    connection: socket.socket


def serve(kind: str, address: str) -> None:
    """Load, then fork at each request until the tests' process has ended. A forked process does not come back."""
    load(kind)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
        selectors.DefaultSelector() as ready,
    ):
        listener.bind(address)
        listener.listen(64)
        ready.register(listener, selectors.EVENT_READ, "request")
        ready.register(sys.stdin.fileno(), selectors.EVENT_READ, "end")
        print("ready", flush=True)
        while True:
            for key, _ in ready.select():
                if key.data == "end":
                    for other in [*ready.get_map().values()]:
                        if isinstance(other.data, Forked):
                            os.kill(other.data.pid, signal.SIGKILL)
                    return
                if key.data == "request":
                    connection, _ = listener.accept()
                    body, descriptors, _, _ = socket.recv_fds(connection, LARGEST, 2)
                    if not body:
                        connection.close()
                        continue
                    pid = os.fork()
                    if not pid:
                        for other in [*ready.get_map().values()]:
                            if isinstance(other.fileobj, socket.socket):
                                other.fileobj.close()
                            elif other.data != "end":
                                os.close(other.fd)
                        ready.close()
                        connection.close()
                        be(json.loads(body), descriptors)
                    for descriptor in descriptors:
                        os.close(descriptor)
                    forked = Forked(pid, os.pidfd_open(pid), connection)
                    connection.send(json.dumps({"pid": pid}).encode())
                    ready.register(forked.descriptor, selectors.EVENT_READ, forked)
                    ready.register(connection, selectors.EVENT_READ, forked)
                elif key.fd == key.data.descriptor:
                    _, status = os.waitpid(key.data.pid, 0)
                    answer = {"code": os.waitstatus_to_exitcode(status)}
                    with contextlib.suppress(OSError):
                        key.data.connection.send(json.dumps(answer).encode())
                    ready.unregister(key.data.descriptor)
                    with contextlib.suppress(KeyError):
                        ready.unregister(key.data.connection)
                    os.close(key.data.descriptor)
                    key.data.connection.close()
                elif key.data.connection.fileno() >= 0:
                    # Who waited was killed.
                    ready.unregister(key.data.connection)
                    os.kill(key.data.pid, signal.SIGKILL)


def load(kind: str) -> None:
    """All that commands and programs import, or that the edge imports."""
    for name in EDGE if kind == "edge" else OTHERS:
        importlib.import_module(name)
    for package in PACKAGES if kind == "isthmus" else ():
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)
    if kind == "isthmus":
        from stacks import preloading

        for site_kind, names in preloading.MODULES.items():
            for name in (*names, *MORE_MODULES[site_kind]):
                # The SDK gives a lazy module, which loads when it is first looked into.
                getattr(importlib.import_module(f"{preloading.PACKAGES[site_kind]}.{name}"), "__all__", None)
        # A project brings its own.
        for name in ("stacks.preloading", "stacks"):
            del sys.modules[name]
    gc.collect()
    gc.freeze()


def be(request: dict[str, Any], descriptors: list[int]) -> None:
    """Be the command or the program, in the forked process, which ends here."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, standard in zip((nothing, *descriptors), (0, 1, 2), strict=True):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = io.TextIOWrapper(
            io.FileIO(number, "w", closefd=False),
            encoding="utf-8",
            errors="backslashreplace" if number == 2 else "strict",
            write_through=True,
        )
        setattr(sys, name, stream)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    arguments: list[str] = request["arguments"]
    module: str = request["module"]
    first = request["cwd"] if module else str(Path(arguments[0]).parent)
    sys.path[:] = [first, str(ROOT), *(folder for folder in sys.path if folder not in ("", str(ROOT)))]
    code: Any = 0
    try:
        if module:
            sys.argv = [module, *arguments]
            sys.orig_argv = [sys.executable, "-m", module, *arguments]
            # What imports it has loaded it too, and it is begun once.
            sys.modules.pop(f"{module}.__main__", None)
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter does it
        import traceback

        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    # As at an interpreter's end, but for the modules, which are not taken apart.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    serve(*sys.argv[1:])
