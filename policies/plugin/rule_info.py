"""What the pack tells the engine of its rules, before it has loaded one.

`rules.json` lists them: `python -m scripts.policies_table` writes it from the rules, and a test holds it to them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from policies.plugin.protocol import analyzer_pb2 as wire

NAME = "isthmus"
UNDECIDED = "undecided"
"""Policy under whose level of enforcement stands what could not be decided before the change is made."""
LIST = Path(__file__).resolve().parents[1] / "rules.json"


def level(*, stops: bool) -> Any:
    return wire.MANDATORY if stops else wire.ADVISORY


def severity(name: str) -> Any:
    return wire.PolicySeverity.Value(f"POLICY_SEVERITY_{name.upper()}")


def supports(controls: Iterable[Mapping[str, str]]) -> str:
    """Of each its `framework`, `version` and `id`."""
    return "; ".join(f"{each['framework']} {each['version']} {each['id']}" for each in controls)


def info(version: str) -> Any:
    """The pack as an `AnalyzerInfo`."""
    told = wire.AnalyzerInfo(name=NAME, displayName="Isthmus", version=version, supportsConfig=True)
    for rule in json.loads(LIST.read_text("utf-8")):
        first = rule["supports"][0]
        ids = [each["id"] for each in rule["supports"] if each["framework"] == first["framework"]]
        told.policies.append(
            wire.PolicyInfo(
                name=rule["id"],
                displayName=rule["title"],
                description=rule["title"],
                enforcementLevel=level(stops=rule["stops"]),
                policy_type=wire.POLICY_TYPE_STACK,
                severity=severity(rule["severity"]),
                framework=wire.PolicyComplianceFramework(
                    name=first["framework"],
                    version=first["version"],
                    reference=", ".join(ids),
                    specification=f"Supports, never meets: {supports(rule['supports'])}",
                ),
                tags=[rule["family"]],
                remediation_steps=rule["fix"],
            )
        )
    told.policies.append(
        wire.PolicyInfo(
            name=UNDECIDED,
            description="What decides is known before the change is made",
            enforcementLevel=wire.MANDATORY,
            policy_type=wire.POLICY_TYPE_STACK,
            severity=wire.POLICY_SEVERITY_HIGH,
            remediation_steps="Judge the stack by `isthmus render`, which knows what the program states",
        )
    )
    return told
