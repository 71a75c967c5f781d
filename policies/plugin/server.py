"""The pack as a plugin of the engine's: it speaks the engine's protocol for policies itself.

`pulumi_policy` unpacks the whole stack anew for every policy, which at a hundred rules and a thousand resources
takes longer than the preview; and it knows one level of enforcement a policy, where what could not be decided has
one of its own. Rules, settings and findings are the same as under `isthmus render`.

The engine starts no program before its packs have started, so nothing heavy is imported here: rules are loaded while
the program starts, and registrations are read while the engine is at its own work.
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
    from policies.plugin.analysis import Hearing

_LARGEST = [("grpc.max_receive_message_length", 400 * 1024 * 1024)]


class Pack:
    """Takes registrations as they come, and judges the stack when the engine has them all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        text = (folder / "PulumiPolicy.yaml").read_text(encoding="utf-8")
        found = re.search(r"^version: (\S+)$", text, re.M)
        self._version = found[1] if found else "0.0.0"
        self._stack = wire.AnalyzerStackConfigureRequest()
        self._levels: dict[str, int] = {}
        # One thread: what is heard is read in its order, after the rules are loaded.
        self._reader = futures.ThreadPoolExecutor(max_workers=1)
        self._hearing: futures.Future[Hearing] | None = None
        self._unread: list[futures.Future[Any]] = []

    def Handshake(self, request: Any, context: Any) -> Any:
        return wire.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._version)

    def GetAnalyzerInfo(self, request: Any, context: Any) -> Any:
        return rule_info.info(self._version)

    def ConfigureStack(self, request: Any, context: Any) -> Any:
        self._stack = request
        return wire.AnalyzerStackConfigureResponse()

    def Configure(self, request: Any, context: Any) -> Any:
        """The last that the engine asks before it starts the program."""
        self._levels = {name: each.enforcementLevel for name, each in request.policyConfig.items()}
        self._begun()
        return empty_pb2.Empty()

    def Analyze(self, said: bytes, context: Any) -> bytes:
        """A registration as it comes over the wire, and its empty answer; refused where a setting is wrong."""
        hearing = self._heard(context)
        self._unread.append(self._reader.submit(hearing.read, said))
        return b""

    def AnalyzeStack(self, request: Any, context: Any) -> Any:
        hearing = self._heard(context)
        for each in self._unread:
            each.result()
        self._unread.clear()
        try:
            told = list(hearing.judge(request.resources, self._levels, self._version))
        except IsthmusError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise
        return wire.AnalyzeResponse(diagnostics=told)

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def _begun(self) -> futures.Future[Hearing]:
        if self._hearing is None:
            self._hearing = self._reader.submit(self._load)
        return self._hearing

    def _load(self) -> Hearing:
        said = self._stack
        rules = importlib.import_module("policies.plugin.analysis")
        return rules.Hearing(self._folder, said.stack, said.project, dict(said.config))

    def _heard(self, context: Any) -> Hearing:
        try:
            return self._begun().result()
        except IsthmusError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise


def _sent(said: Any) -> bytes:
    return said.SerializeToString()


def _handlers(pack: Pack) -> Any:
    """The calls that this pack answers, by their names.

    `Remediate` is none of them: a fix is a person's to make, and the engine, which asks it of every resource and waits,
    takes no such call for none."""
    asked = {
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
            request_deserializer=of.FromString,
            response_serializer=_sent,
        )
        for call, of in asked.items()
    }
    # Asked of every resource too: answered before it is read.
    handlers["Analyze"] = grpc.unary_unary_rpc_method_handler(pack.Analyze)
    return grpc.method_handlers_generic_handler("pulumirpc.Analyzer", handlers)


def serve(folder: Path) -> None:
    """Serve on a free port of the loopback, which the engine reads from stdout; until it ends this process."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=_LARGEST)
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
            break  # whoever started it is gone
    server.stop(0)
