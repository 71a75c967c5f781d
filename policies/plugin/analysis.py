"""Reads the resources that the engine sends, evaluates the rules, and answers in the engine's messages.

It is apart from the plugin (`policies.plugin.server`), because it imports the rules and contracts and the engine waits
for the plugin to start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from isthmus.contracts.policy_settings import merge
from isthmus.contracts.reports.findings import Finding
from isthmus.core.errors import InputError, IsthmusError
from isthmus.graph.resources.state import SERVICE, with_names
from policies.evaluation import settings as policy_settings_files
from policies.evaluation.evaluation import BLOCKING_SEVERITIES, judge
from policies.plugin import resources as engine_resources
from policies.plugin.protocol import analyzer_pb2 as wire
from policies.plugin.rule_info import NAME, UNDECIDED, level, severity, supports


class StackAnalysis:
    """The resources of one run, and the settings for evaluating them."""

    def __init__(self, folder: Path, stack: str, project: str, config: Mapping[str, str]) -> None:
        """`folder`: the pack's folder; `config`: the stack's config by `project:key`.

        Raises `InputError` for a wrong setting.
        """
        self._stack = stack
        self._inputs: dict[str, dict[str, Any]] = {}
        key = f"{NAME}:{policy_settings_files.KEY}"
        stack_settings = config.get(key) or config.get(f"{project}:{policy_settings_files.KEY}")
        self._settings = policy_settings_files.load_settings(folder.parent)
        if stack_settings:
            self._settings = merge(
                self._settings,
                policy_settings_files.parse_stack_settings(stack_settings, f"stack {stack} ({key})"),
            )

    def read(self, message: bytes) -> None:
        """Reads a serialized `AnalyzeRequest`."""
        request = wire.AnalyzeRequest.FromString(message)
        self._inputs[request.urn] = MessageToDict(request.properties)

    def judge(self, shown: Iterable[Any], levels: Mapping[str, int], version: str) -> Iterator[Any]:
        """Diagnostics for a stack's resources (`AnalyzerResource`); `levels`: enforcement levels by policy.

        Raises `InputError` where the platform among them cannot be read.
        """
        # Outputs of earlier runs are values from AWS. Rules expect the name of the resource instead.
        resources = with_names(
            (self._preview_resource(resource), _cloud_outputs(resource)) for resource in shown
        )
        try:
            platform = engine_resources.platform(resources)
        except (ValueError, IsthmusError) as error:
            raise InputError(f"the stack's platform cannot be read: {error}") from error
        for finding in judge(resources, platform, self._settings, self._stack):
            enforcement = _enforcement_level(finding, levels)
            if enforcement != wire.DISABLED:
                yield _diagnostic(finding, enforcement, version)

    def _preview_resource(self, resource: Any) -> engine_resources.PreviewResource:
        inputs = self._inputs.get(resource.urn)
        needs = {key: list(value.urns) for key, value in resource.propertyDependencies.items()}
        properties = MessageToDict(resource.properties) if inputs is None else inputs
        # Resources that the program only reads are never registered; components have no provider.
        is_made = inputs is not None and bool(resource.provider.urn)
        provider = resource.provider.urn or None
        return engine_resources.resource(
            resource.urn,
            resource.type,
            properties,
            needs,
            is_made=is_made,
            provider=provider,
            parent=resource.parent or None,
        )


def _cloud_outputs(resource: Any) -> dict[str, Any]:
    """Outputs of AWS resources and of Services, which have an address. Nothing refers to those of other objects."""
    has_values = resource.type.startswith("aws:") or resource.type == SERVICE
    return MessageToDict(resource.properties) if has_values else {}


def _enforcement_level(finding: Finding, levels: Mapping[str, int]) -> Any:
    enforcement = levels.get(finding.policy, level(stops=finding.severity in BLOCKING_SEVERITIES))
    if enforcement == wire.DISABLED:
        return enforcement
    if finding.silenced:
        return wire.ADVISORY
    return levels.get(UNDECIDED, wire.MANDATORY) if finding.verdict == "undecided" else enforcement


def _diagnostic(finding: Finding, enforcement: Any, version: str) -> Any:
    message = f"{finding.message}. {finding.why}. Fix: {finding.fix}."
    if finding.verdict == "undecided":
        message = f"Not decided: {message}"
    if finding.silenced:
        message = f"Silenced by {finding.silenced.owner} until {finding.silenced.until}: {message}"
    return wire.AnalyzeDiagnostic(
        policyName=finding.policy,
        policyPackName=NAME,
        policyPackVersion=version,
        description=finding.title,
        message=f"{message} Supports {supports(control.model_dump() for control in finding.supports)}.",
        enforcementLevel=enforcement,
        urn=finding.urn,
        severity=severity(finding.severity),
    )
