"""Serves the policy pack to the engine over the engine's gRPC protocol for policies.

`pulumi_policy` is not used for two reasons. It unpacks the whole stack for every policy, which takes longer than the
preview with a hundred rules and a thousand resources. It also has one enforcement level per policy, but undecided
checks need their own. Rules, settings and findings are the same as under `isthmus render`.

The engine starts the program only after its packs have started, so this module imports nothing heavy. Rules load while
the program starts, and registrations are read in a thread.
"""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
import threading
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import empty_pb2

from isthmus.core.errors import IsthmusError
from policies.plugin import rule_info
from policies.plugin.protocol import analyzer_pb2 as wire
from policies.plugin.protocol import plugin_pb2

if TYPE_CHECKING:
    from policies.plugin.analysis import StackAnalysis

_SERVER_OPTIONS = [("grpc.max_receive_message_length", 400 * 1024 * 1024)]


class Pack:
    """Collects the registrations, and evaluates the stack when the engine has sent them all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        text = (folder / "PulumiPolicy.yaml").read_text(encoding="utf-8")
        version = re.search(r"^version: (\S+)$", text, re.M)
        self._version = version[1] if version else "0.0.0"
        self._stack = wire.AnalyzerStackConfigureRequest()
        self._levels: dict[str, int] = {}
        # One thread, so that registrations are read in order and after the rules are loaded.
        self._reader = futures.ThreadPoolExecutor(max_workers=1)
        self._analysis: futures.Future[StackAnalysis] | None = None
        self._unread: list[futures.Future[Any]] = []

    def Handshake(self, request: Any, context: Any) -> Any:
        return wire.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._version)

    def GetAnalyzerInfo(self, request: Any, context: Any) -> Any:
        return rule_info.analyzer_info(self._version)

    def ConfigureStack(self, request: Any, context: Any) -> Any:
        self._stack = request
        return wire.AnalyzerStackConfigureResponse()

    def Configure(self, request: Any, context: Any) -> Any:
        """Sets the enforcement levels. It is the engine's last call before it starts the program."""
        self._levels = {name: config.enforcementLevel for name, config in request.policyConfig.items()}
        self._start_loading()
        return empty_pb2.Empty()

    def Analyze(self, message: bytes, context: Any) -> bytes:
        """Queues a serialized registration and returns an empty answer. Aborts the call if a setting is wrong."""
        analysis = self._loaded_analysis(context)
        self._unread.append(self._reader.submit(analysis.read, message))
        return b""

    def AnalyzeStack(self, request: Any, context: Any) -> Any:
        analysis = self._loaded_analysis(context)
        for reading in self._unread:
            reading.result()
        self._unread.clear()
        try:
            diagnostics = list(analysis.judge(request.resources, self._levels, self._version))
        except IsthmusError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise
        return wire.AnalyzeResponse(diagnostics=diagnostics)

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def _start_loading(self) -> futures.Future[StackAnalysis]:
        if self._analysis is None:
            self._analysis = self._reader.submit(self._load)
        return self._analysis

    def _load(self) -> StackAnalysis:
        stack = self._stack
        rules = importlib.import_module("policies.plugin.analysis")
        return rules.StackAnalysis(self._folder, stack.stack, stack.project, dict(stack.config))

    def _loaded_analysis(self, context: Any) -> StackAnalysis:
        try:
            return self._start_loading().result()
        except IsthmusError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise


def _serialize(message: Any) -> bytes:
    return message.SerializeToString()


def _handlers(pack: Pack) -> Any:
    """The gRPC calls that this pack answers, by name.

    `Remediate` is missing on purpose: people make fixes. The engine would call it for every resource and wait, and
    treats a missing call as no remediation.
    """
    request_types = {
        pack.Handshake: wire.AnalyzerHandshakeRequest,
        pack.GetPluginInfo: empty_pb2.Empty,
        pack.GetAnalyzerInfo: empty_pb2.Empty,
        pack.Configure: wire.ConfigureAnalyzerRequest,
        pack.ConfigureStack: wire.AnalyzerStackConfigureRequest,
        pack.AnalyzeStack: wire.AnalyzeStackRequest,
        pack.Cancel: empty_pb2.Empty,
    }
    handlers = {
        call.__name__: grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=request_type.FromString,
            response_serializer=_serialize,
        )
        for call, request_type in request_types.items()
    }
    # Called for every resource: answered before the message is parsed.
    handlers["Analyze"] = grpc.unary_unary_rpc_method_handler(pack.Analyze)
    return grpc.method_handlers_generic_handler("pulumirpc.Analyzer", handlers)


def serve(folder: Path) -> None:
    """Serves on a free loopback port, which the engine reads from stdout, until the process is ended."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=_SERVER_OPTIONS)
    server.add_generic_rpc_handlers((_handlers(Pack(folder)),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    parent = os.getppid()
    while not ended.wait(1):
        if os.getppid() != parent:
            break  # the parent process has ended
    server.stop(0)
