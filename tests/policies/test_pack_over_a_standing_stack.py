"""The pack under the engine, over a stack that stands: values that AWS gave are known, and judged as in a rendering."""

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
from tests.graph.clouds import deployed
from tests.policies.mutating import altered, words

FOLDER = Path(__file__).resolve().parents[2] / "policies"


def _struct(value: dict[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(value)
    return made


def said(resources: list[Resource]) -> list[str]:
    """What the pack tells the engine of a preview of these, all of which stand already."""
    pack = Pack(FOLDER)
    asked = wire.AnalyzeStackRequest()
    for each in deployed(resources)["deployment"]["resources"]:
        inputs = each["inputs"]
        if each["type"] == PLATFORM:
            inputs = stated.inputs(bank.platform())
        name = each["urn"].rsplit("::", 1)[-1]
        told = wire.AnalyzeRequest(urn=each["urn"], type=each["type"], properties=_struct(inputs))
        pack.Analyze(told.SerializeToString(), None)
        # The engine tells no ids; the ARN ends in it.
        arn = {} if "arn" in each["outputs"] else {"arn": f"arn:aws:x:eu-central-1:1:y/{each['id']}"}
        one = wire.AnalyzerResource(
            urn=each["urn"], type=each["type"], name=name, properties=_struct({**each["outputs"], **arn})
        )
        if each["custom"]:
            one.provider.urn = each["provider"].rsplit("::", 1)[0]
        for key, urns in each["propertyDependencies"].items():
            one.propertyDependencies[key].urns.extend(urns)
        asked.resources.append(one)
    return [f"{each.policyName}: {each.message}" for each in pack.AnalyzeStack(asked, None).diagnostics]


def test_nothing_is_found_in_the_bank_as_it_stands() -> None:
    assert said(list(bank.rendered().resources)) == []


def test_a_model_slipped_in_is_found_there_too() -> None:
    change = words("eu.anthropic", "global.anthropic")
    graph = altered(bank.rendered().resources, ":ConfigMap", "internal-gateway-translator-config", change)
    left = [each for each in bank.rendered().resources if not each.made]
    found = said([*left, *graph.resources])  # type: ignore[list-item]
    assert any("data-path/stays-where-it-may" in each and "every commercial region" in each for each in found)
