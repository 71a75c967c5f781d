"""The pack as a plugin of the engine's: it speaks the engine's protocol for policies itself.

`pulumi_policy` unpacks the whole stack anew for every policy, which at a hundred rules and a thousand resources
takes longer than the preview; and it knows one level of enforcement a policy, where what could not be decided has
one of its own. Rules, settings and findings are the same as under `isthmus render`.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import analyzer_pb2 as wire
from pulumi.runtime.proto import plugin_pb2

from isthmus.contracts.errors import IsthmusError
from isthmus.contracts.findings import Control, Finding
from isthmus.contracts.policy_settings import Settings, joined
from isthmus.graph.stated import named
from policies import reading, seen
from policies.catalogue import RULES
from policies.judging import STOPS, judge

NAME = "isthmus"
UNDECIDED = "undecided"
"""Policy under whose level of enforcement stands what could not be decided before the change is made."""
_SEVERITY = {
    "critical": wire.POLICY_SEVERITY_CRITICAL,
    "high": wire.POLICY_SEVERITY_HIGH,
    "medium": wire.POLICY_SEVERITY_MEDIUM,
    "low": wire.POLICY_SEVERITY_LOW,
}
_LARGEST = [("grpc.max_receive_message_length", 400 * 1024 * 1024)]


def supports(controls: list[Control] | tuple[Control, ...]) -> str:
    return "; ".join(f"{each.framework} {each.version} {each.id}" for each in controls)


class Pack:
    """Takes registrations as they come, and judges the stack when the engine has them all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        text = (folder / "PulumiPolicy.yaml").read_text(encoding="utf-8")
        found = re.search(r"^version: (\S+)$", text, re.M)
        self._version = found[1] if found else "0.0.0"
        self._inputs: dict[str, dict[str, Any]] = {}
        self._reader = futures.ThreadPoolExecutor(max_workers=1)
        self._unread: list[futures.Future[Any]] = []
        self._levels: dict[str, int] = {}
        self._settings = Settings()
        self._stack = ""

    def Handshake(self, request: Any, context: Any) -> Any:
        return wire.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._version)

    def GetAnalyzerInfo(self, request: Any, context: Any) -> Any:
        info = wire.AnalyzerInfo(name=NAME, displayName="Isthmus", version=self._version, supportsConfig=True)
        for rule in RULES:
            first = rule.supports[0]
            info.policies.append(
                wire.PolicyInfo(
                    name=rule.id,
                    displayName=rule.title,
                    description=rule.title,
                    enforcementLevel=_level(rule.severity),
                    policy_type=wire.POLICY_TYPE_STACK,
                    severity=_SEVERITY[rule.severity],
                    framework=wire.PolicyComplianceFramework(
                        name=first.framework,
                        version=first.version,
                        reference=", ".join(
                            each.id for each in rule.supports if each.framework == first.framework
                        ),
                        specification=f"Supports, never meets: {supports(rule.supports)}",
                    ),
                    tags=[rule.family],
                    remediation_steps=rule.fix,
                )
            )
        info.policies.append(
            wire.PolicyInfo(
                name=UNDECIDED,
                description="What decides is known before the change is made",
                enforcementLevel=wire.MANDATORY,
                policy_type=wire.POLICY_TYPE_STACK,
                severity=wire.POLICY_SEVERITY_HIGH,
                remediation_steps="Judge the stack by `isthmus render`, which knows what the program states",
            )
        )
        return info

    def Configure(self, request: Any, context: Any) -> Any:
        self._levels = {name: each.enforcementLevel for name, each in request.policyConfig.items()}
        return empty_pb2.Empty()

    def ConfigureStack(self, request: Any, context: Any) -> Any:
        self._stack = request.stack
        key = f"{NAME}:{reading.KEY}"
        stated = request.config.get(key) or request.config.get(f"{request.project}:{reading.KEY}")
        try:
            self._settings = reading.settings(self._folder.parent)
            if stated:
                own = reading.stated(stated, f"stack {request.stack} ({key})")
                self._settings = joined(self._settings, own)
        except IsthmusError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return wire.AnalyzerStackConfigureResponse()

    def Analyze(self, said: bytes, context: Any) -> bytes:
        """A registration as it comes over the wire, and its empty answer; read while the engine is at its own work."""
        self._unread.append(self._reader.submit(self._read, said))
        return b""

    def _read(self, said: bytes) -> None:
        request = wire.AnalyzeRequest.FromString(said)
        self._inputs[request.urn] = MessageToDict(request.properties)

    def AnalyzeStack(self, request: Any, context: Any) -> Any:
        for each in self._unread:
            each.result()
        self._unread.clear()
        # What AWS gave in an earlier run is known by its value: rules know it by the name of who has it.
        resources = named((self._seen(each), _given(each)) for each in request.resources)
        try:
            platform = seen.platform(resources)
        except (ValueError, IsthmusError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the stack's platform cannot be read: {error}")
            raise
        found = judge(resources, platform, self._settings, self._stack)
        said = [self._said(each) for each in found]
        return wire.AnalyzeResponse(diagnostics=[each for each in said if each is not None])

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def _seen(self, one: Any) -> seen.Seen:
        inputs = self._inputs.get(one.urn)
        needs = {key: list(value.urns) for key, value in one.propertyDependencies.items()}
        said = MessageToDict(one.properties) if inputs is None else inputs
        # What the program only reads is never registered; components have no provider.
        made = inputs is not None and bool(one.provider.urn)
        by = one.provider.urn or None
        return seen.resource(one.urn, one.type, said, needs, made=made, provider=by)

    def _said(self, finding: Finding) -> Any:
        level: Any = self._levels.get(finding.policy, _level(finding.severity))
        if level == wire.DISABLED:
            return None
        message = f"{finding.message}. {finding.why}. Fix: {finding.fix}."
        if finding.verdict == "undecided":
            level = self._levels.get(UNDECIDED, wire.MANDATORY)
            message = f"Not decided: {message}"
        if finding.silenced:
            level = wire.ADVISORY
            message = f"Silenced by {finding.silenced.owner} until {finding.silenced.until}: {message}"
        return wire.AnalyzeDiagnostic(
            policyName=finding.policy,
            policyPackName=NAME,
            policyPackVersion=self._version,
            description=finding.title,
            message=f"{message} Supports {supports(finding.supports)}.",
            enforcementLevel=level,
            urn=finding.urn,
            severity=_SEVERITY[finding.severity],
        )


def _given(one: Any) -> dict[str, Any]:
    """What a cloud gave. Of a cluster's objects, whose answers are long, nothing goes by a made-up name."""
    return MessageToDict(one.properties) if one.type.startswith("aws:") else {}


def _level(severity: str) -> Any:
    return wire.MANDATORY if severity in STOPS else wire.ADVISORY


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
