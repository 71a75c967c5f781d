"""The pack under the engine on a deployed stack: outputs of AWS are known and give the same findings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import struct_pb2
from pulumi.runtime.proto import analyzer_pb2 as wire

from components import stated
from isthmus.engine.render.recorder import Resource
from policies.plugin.resources import PLATFORM
from policies.plugin.server import Pack
from tests.blueprints import bank
from tests.broken_graphs.changes import replace_text
from tests.broken_graphs.resources import altered
from tests.graph.clouds import deployed

FOLDER = Path(__file__).resolve().parents[2] / "policies"


def _struct(value: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(value)
    return struct


def diagnostics(resources: list[Resource]) -> list[str]:
    """The diagnostics of a preview in which all these resources are already deployed."""
    pack = Pack(FOLDER)
    request = wire.AnalyzeStackRequest()
    for resource in deployed(resources)["deployment"]["resources"]:
        inputs = resource["inputs"]
        if resource["type"] == PLATFORM:
            inputs = stated.inputs(bank.platform())
        name = resource["urn"].rsplit("::", 1)[-1]
        registration = wire.AnalyzeRequest(
            urn=resource["urn"], type=resource["type"], properties=_struct(inputs)
        )
        if not resource.get("external"):  # the engine registers nothing that the program only reads
            pack.Analyze(registration.SerializeToString(), None)
        # The engine tells no ids; the ARN ends in it.
        arn = {} if "arn" in resource["outputs"] else {"arn": f"arn:aws:x:eu-central-1:1:y/{resource['id']}"}
        shown = wire.AnalyzerResource(
            urn=resource["urn"],
            type=resource["type"],
            name=name,
            properties=_struct({**resource["outputs"], **arn}),
        )
        if resource["custom"]:
            shown.provider.urn = resource["provider"].rsplit("::", 1)[0]
        for key, urns in resource["propertyDependencies"].items():
            shown.propertyDependencies[key].urns.extend(urns)
        request.resources.append(shown)
    return [
        f"{diagnostic.policyName}: {diagnostic.message}"
        for diagnostic in pack.AnalyzeStack(request, None).diagnostics
    ]


def test_the_pack_has_no_findings_on_the_deployed_bank() -> None:
    assert diagnostics(list(bank.rendered().resources)) == []


def test_a_global_model_added_to_the_deployed_bank_is_found() -> None:
    change = replace_text("eu.anthropic", "global.anthropic")
    graph = altered(bank.rendered().resources, ":ConfigMap", "internal-gateway-translator-config", change)
    left = [resource for resource in bank.rendered().resources if not resource.made]
    messages = diagnostics([*left, *graph.resources])  # type: ignore[list-item]
    assert any(
        "data-path/stays-where-it-may" in message and "every commercial region" in message
        for message in messages
    )
