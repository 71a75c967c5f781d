"""The pack as a plugin of the engine: description of rules, settings, enforcement levels."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import analyzer_pb2 as wire

from policies.evaluation.registry import RULES
from policies.plugin.rule_info import UNDECIDED
from policies.plugin.server import Pack

FOLDER = Path(__file__).resolve().parents[2] / "policies"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "hunter2"}
ROTATE = "encryption/keys-rotate"


class Aborted(Exception):
    """What gRPC raises when a call is refused."""


class Context:
    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise Aborted(f"{code.name}: {details}")


def judged(pack: Pack, *inputs: dict[str, Any], needs: dict[str, list[str]] | None = None) -> list[Any]:
    """Diagnostics for KMS keys with these inputs."""
    request = wire.AnalyzeStackRequest()
    for number, values in enumerate(inputs):
        urn = f"urn:pulumi:dev::theirs::aws:kms/key:Key::key-{number}"
        properties = struct_pb2.Struct()
        properties.update(values)
        registration = wire.AnalyzeRequest(urn=urn, type="aws:kms/key:Key", properties=properties)
        pack.Analyze(registration.SerializeToString(), Context())
        shown = wire.AnalyzerResource(
            urn=urn, type="aws:kms/key:Key", name=f"key-{number}", properties=properties
        )
        shown.provider.urn = "urn:pulumi:dev::theirs::pulumi:providers:aws::aws"
        for key, urns in (needs or {}).items():
            shown.propertyDependencies[key].urns.extend(urns)
        request.resources.append(shown)
    return [
        diagnostic
        for diagnostic in pack.AnalyzeStack(request, Context()).diagnostics
        if diagnostic.policyName == ROTATE
    ]


def configured(**config: Any) -> Pack:
    pack = Pack(FOLDER)
    settings = {f"isthmus:{key}": json.dumps(value) for key, value in config.items()}
    pack.ConfigureStack(
        wire.AnalyzerStackConfigureRequest(stack="dev", project="theirs", config=settings), Context()
    )
    return pack


def levels(pack: Pack, **policies: Any) -> Pack:
    request = wire.ConfigureAnalyzerRequest()
    for name, level in policies.items():
        request.policyConfig[name.replace("__", "/").replace("_", "-")].enforcementLevel = level
    pack.Configure(request, Context())
    return pack


def test_every_rule_is_described_with_severity_framework_and_fix():
    policies = {policy.name: policy for policy in Pack(FOLDER).GetAnalyzerInfo(None, Context()).policies}
    assert set(policies) == {rule.id for rule in RULES} | {UNDECIDED}
    for rule in RULES:
        policy = policies[rule.id]
        assert policy.remediation_steps == rule.fix
        assert policy.framework.name == rule.supports[0].framework
        assert policy.framework.version == rule.supports[0].version
        assert wire.PolicySeverity.Name(policy.severity).endswith(rule.severity.upper())
        mandatory = rule.severity in ("critical", "high")
        assert policy.enforcementLevel == (wire.MANDATORY if mandatory else wire.ADVISORY)


def test_only_the_violating_resource_is_reported_with_its_urn():
    [diagnostic] = judged(configured(), {"enableKeyRotation": False}, {"enableKeyRotation": True})
    assert (diagnostic.urn.rsplit("::", 1)[-1], diagnostic.enforcementLevel) == ("key-0", wire.MANDATORY)
    assert "Supports" in diagnostic.message


def test_an_undecided_finding_has_the_enforcement_level_of_its_policy():
    unknown = {"enableKeyRotation": UNKNOWN}
    [diagnostic] = judged(configured(), unknown)
    assert diagnostic.message.startswith("Not decided: ")
    assert diagnostic.enforcementLevel == wire.MANDATORY
    [diagnostic] = judged(levels(configured(), undecided=wire.ADVISORY), unknown)
    assert diagnostic.enforcementLevel == wire.ADVISORY


def test_a_rule_that_the_engine_disables_reports_nothing():
    assert judged(levels(configured(), encryption__keys_rotate=wire.DISABLED), {}) == []


def test_a_secret_value_is_undecided_and_never_shown():
    [diagnostic] = judged(configured(), {"enableKeyRotation": SECRET})
    assert diagnostic.message.startswith("Not decided: ")
    assert "hunter2" not in diagnostic.message


def test_a_silence_in_the_stacks_config_is_reported_with_its_owner():
    silence = {"policy": ROTATE, "resource": "key-*", "owner": "ana", "reason": "HSM", "until": "2999-01-01"}
    [diagnostic] = judged(configured(policies={"silences": [silence]}), {})
    assert diagnostic.enforcementLevel == wire.ADVISORY
    assert "Silenced by ana until 2999-01-01" in diagnostic.message


@pytest.mark.parametrize(
    ("settings", "hint"),
    [({"silence": []}, "`silences`"), ("off", "must be a mapping"), ({"off": [{"rule": "x"}]}, "missing")],
)
def test_an_unknown_setting_stops_the_preview_at_its_first_resource(settings: Any, hint: str):
    with pytest.raises(Aborted, match=hint):
        judged(configured(policies=settings), {})


def test_an_unreadable_platform_stops_the_preview():
    properties = struct_pb2.Struct()
    properties.update({"contract": {"isthmus": "v2"}})
    urn = "urn:pulumi:dev::theirs::isthmus:index:LlmPlatform::x"
    pack = configured()
    registration = wire.AnalyzeRequest(urn=urn, type="isthmus:index:LlmPlatform", properties=properties)
    pack.Analyze(registration.SerializeToString(), Context())
    shown = wire.AnalyzerResource(urn=urn, type="isthmus:index:LlmPlatform", properties=properties)
    with pytest.raises(Aborted, match="platform cannot be read"):
        pack.AnalyzeStack(wire.AnalyzeStackRequest(resources=[shown]), Context())


def _alone(program: str) -> str:
    """The output of a script in a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=FOLDER.parent, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_plugin_answers_the_engine_before_it_loads_any_rule():
    """A preview waits for its packs to start: 0.1 s, where rules and Pulumi's SDK take a second."""
    script = """
import sys
from pathlib import Path
from policies.plugin.server import Pack
Pack(Path("policies")).GetAnalyzerInfo(None, None)
print([each for each in ("pulumi", "pydantic", "policies.evaluation.registry", "opentelemetry") if each in sys.modules])
"""
    assert _alone(script) == "[]"


def test_the_pulumi_sdk_can_still_be_imported_after_the_pack():
    script = """
import policies.plugin.protocol, pulumi
from pulumi.runtime.proto import analyzer_pb2
print(pulumi.Output.__name__, analyzer_pb2 is policies.plugin.protocol.analyzer_pb2)
"""
    assert _alone(script) == "Output True"
