"""Implements the calls of `pulumirpc.LanguageRuntime` for Python."""

from __future__ import annotations

import json
import os
import platform
import queue
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
from google.protobuf import empty_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import language_pb2 as messages
from pulumi.runtime.proto import language_pb2_grpc, plugin_pb2

from sandbox.host.children import Children
from sandbox.host.guard import Guard
from sandbox.host.interpreters import Interpreter, NoInterpreter, find_interpreter

SHOWN_TO_USER = 32
"""Exit code of the exec script if it has shown the error. The engine must not add another one (`bail`)."""

VERSION = "3.274.1"
"""Version of the official host that this host behaves like."""

LIST_PACKAGES = """
import importlib.metadata as m, json, re
every = {}
needed = set()
for d in m.distributions():
    name = re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower()
    every[name] = d.version
    for r in d.requires or []:
        if "extra ==" not in r:
            needed.add(re.sub(r"[-_.]+", "-", re.match(r"[\\w.-]+", r)[0]).lower())
print(json.dumps({"all": every, "needed": sorted(needed)}))
"""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Runs programs, policy packs and component packages. Does not generate code."""

    def __init__(self, executor: str, engine: str, children: Children, guard: Guard) -> None:
        self.executor = executor
        self.engine = engine
        self.children = children
        self.guard = guard

    def Handshake(self, request, context):
        if request.engine_address:
            self.engine = self.guard.engine = request.engine_address
        return messages.LanguageHandshakeResponse()

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetRequiredPackages(self, request, context):
        # Empty on purpose: the engine would try to download each named package before it looks on PATH.
        return messages.GetRequiredPackagesResponse()

    def InstallDependencies(self, request, context) -> Iterator[messages.InstallDependenciesResponse]:
        # The sandbox downloads nothing by itself. The project creates its environment from its lock file.
        try:
            _find_interpreter(request.info)
        except NoInterpreter as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        yield messages.InstallDependenciesResponse()

    def GetProgramDependencies(self, request, context):
        try:
            python = _find_interpreter(request.info).python
            process = subprocess.run(
                [python, "-c", LIST_PACKAGES], capture_output=True, text=True, check=True, timeout=60
            )
        except (NoInterpreter, subprocess.SubprocessError) as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            raise
        packages = json.loads(process.stdout)
        needed = set() if request.transitiveDependencies else set(packages["needed"])
        return messages.GetProgramDependenciesResponse(
            dependencies=[
                messages.DependencyInfo(name=name, version=version)
                for name, version in sorted(packages["all"].items())
                if name not in needed
            ]
        )

    def About(self, request, context):
        try:
            python = _find_interpreter(request.info).python
            process = subprocess.run(
                [python, "--version"], capture_output=True, text=True, check=True, timeout=60
            )
            return messages.AboutResponse(executable=python, version=process.stdout.split()[-1])
        except (NoInterpreter, subprocess.SubprocessError, IndexError):
            return messages.AboutResponse(version=platform.python_version())

    def Link(self, request, context):
        return messages.LinkResponse()

    def RuntimeOptionsPrompts(self, request, context):
        return messages.RuntimeOptionsResponse()

    def Template(self, request, context):
        return messages.TemplateResponse()

    def Cancel(self, request, context):
        threading.Thread(target=self.children.end_all, daemon=True).start()
        return empty_pb2.Empty()

    def Run(self, request, context):
        """Run a program until it ends. Its output goes to the engine through this process's output."""
        try:
            interpreter = _find_interpreter(request.info)
        except NoInterpreter as error:
            return messages.RunResponse(error=str(error))
        folder = request.info.program_directory
        command = [
            interpreter.python, "-u", self.executor,
            "--project", request.project,
            "--stack", request.stack,
            "--monitor", request.monitor_address,
            "--engine", self.engine,
            "--organization", request.organization,
            "--pwd", folder,
            "--root_directory", request.info.root_directory,
            "--parallel", str(request.parallel),
            f"--dry_run={'true' if request.dryRun else 'false'}",
            str(os.path.join(folder, request.info.entry_point or ".")),  # noqa: PTH118 - keeps a trailing "."
            *request.args,
        ]  # fmt: skip
        variables = interpreter.environment(
            {
                "PULUMI_CONFIG": json.dumps(dict(request.config)),
                "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
            }
        )
        try:
            process = self.children.start(command, cwd=folder, env=variables)
        except (OSError, RuntimeError) as error:
            return messages.RunResponse(error=f"The program could not be started: {error}")
        context.add_callback(lambda: self.children.end(process))
        return _run_response(self.children.wait(process))

    def RunPlugin(self, request, context) -> Iterator[messages.RunPluginResponse]:
        """Run a policy pack or a component package, and stream its output and exit code."""
        folder = request.info.program_directory
        try:
            interpreter = _find_interpreter(request.info)
        except NoInterpreter as error:
            yield messages.RunPluginResponse(stderr=f"{error}\n".encode())
            yield messages.RunPluginResponse(exitcode=1)
            return
        module = (
            ["-m", "pulumi.policy", *request.args, folder]
            if request.kind == "analyzer"
            else [folder, *request.args]
        )
        process = self.children.start(
            [interpreter.python, "-u", *module],
            cwd=folder if request.kind == "analyzer" else request.pwd or folder,
            env=interpreter.environment(
                dict(variable.split("=", 1) for variable in request.env if "=" in variable)
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        context.add_callback(lambda: self.children.end(process))
        for name, chunk in _read_output(process):
            if name == "stdout":
                yield messages.RunPluginResponse(stdout=chunk)
            else:
                yield messages.RunPluginResponse(stderr=chunk)
        yield messages.RunPluginResponse(exitcode=self.children.wait(process))


def _find_interpreter(info) -> Interpreter:
    options = MessageToDict(info.options) if info.HasField("options") else {}
    return find_interpreter(Path(info.root_directory or info.program_directory), options)


def _run_response(code: int) -> messages.RunResponse:
    if code == 0:
        return messages.RunResponse()
    if code == SHOWN_TO_USER:
        return messages.RunResponse(bail=True)
    if code < 0:
        return messages.RunResponse(error=f"Program was ended by signal {-code}")
    return messages.RunResponse(error=f"Program exited with non-zero exit code: {code}")


def _read_output(process: subprocess.Popen) -> Iterator[tuple[str, bytes]]:
    """Yield (stream name, chunk) of stdout and stderr as they arrive, until both are closed."""
    chunks: queue.Queue[tuple[str, bytes]] = queue.Queue()

    def pump(stream, name: str) -> None:
        while chunk := os.read(stream.fileno(), 65536):
            chunks.put((name, chunk))
        chunks.put((name, b""))

    for stream, name in ((process.stdout, "stdout"), (process.stderr, "stderr")):
        threading.Thread(target=pump, args=(stream, name), daemon=True).start()
    open_streams = 2
    while open_streams:
        name, chunk = chunks.get()
        if chunk:
            yield name, chunk
        else:
            open_streams -= 1
