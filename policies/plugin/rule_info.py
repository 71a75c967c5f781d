"""Describes the rules to the engine before they are loaded.

`python -m scripts.policies_table` writes `rules.json` from the rules, and a test compares them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from policies.plugin.protocol import analyzer_pb2 as wire

NAME = "isthmus"
UNDECIDED = "undecided"
"""Policy whose enforcement level applies to checks that could not be decided."""
RULES_FILE = Path(__file__).resolve().parents[1] / "rules.json"


def level(*, stops: bool) -> Any:
    return wire.MANDATORY if stops else wire.ADVISORY


def severity(name: str) -> Any:
    return wire.PolicySeverity.Value(f"POLICY_SEVERITY_{name.upper()}")


def supports(controls: Iterable[Mapping[str, str]]) -> str:
    """`framework`, `version` and `id` of each control, as text."""
    return "; ".join(f"{control['framework']} {control['version']} {control['id']}" for control in controls)


def analyzer_info(version: str) -> Any:
    """The pack as an `AnalyzerInfo`."""
    pack = wire.AnalyzerInfo(name=NAME, displayName="Isthmus", version=version, supportsConfig=True)
    for rule in json.loads(RULES_FILE.read_text("utf-8")):
        first = rule["supports"][0]
        ids = [control["id"] for control in rule["supports"] if control["framework"] == first["framework"]]
        pack.policies.append(
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
                    specification=f"Supports (never meets alone): {supports(rule['supports'])}",
                ),
                tags=[rule["family"]],
                remediation_steps=rule["fix"],
            )
        )
    pack.policies.append(
        wire.PolicyInfo(
            name=UNDECIDED,
            description="Everything that rules check is known before the change is made",
            enforcementLevel=wire.MANDATORY,
            policy_type=wire.POLICY_TYPE_STACK,
            severity=wire.POLICY_SEVERITY_HIGH,
            remediation_steps="Run `isthmus render`, which knows all values that the program states",
        )
    )
    return pack
