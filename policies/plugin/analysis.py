"""Reads the resources that the engine sends, evaluates the rules, and answers in the engine's messages.

It is apart from the plugin (`policies.plugin.server`), because it imports the rules and contracts and the engine waits
for the plugin to start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from isthmus.contracts.policy_settings import joined
from isthmus.contracts.reports.findings import Finding
from isthmus.core.errors import InputError, IsthmusError
from isthmus.graph.resources.state import named
from policies.evaluation import settings as policy_settings_files
from policies.evaluation.evaluation import STOPS, judge
from policies.plugin import resources as engine_resources
from policies.plugin.protocol import analyzer_pb2 as wire
from policies.plugin.rule_info import NAME, UNDECIDED, level, severity, supports


class Hearing:
    """The registrations of one run, and the settings by which they are judged."""

    def __init__(self, folder: Path, stack: str, project: str, config: Mapping[str, str]) -> None:
        """`folder`: the pack's; `config`: of the stack, by `project:key`. Raises `InputError` for a wrong setting."""
        self._stack = stack
        self._inputs: dict[str, dict[str, Any]] = {}
        key = f"{NAME}:{policy_settings_files.KEY}"
        stated = config.get(key) or config.get(f"{project}:{policy_settings_files.KEY}")
        self._settings = policy_settings_files.settings(folder.parent)
        if stated:
            self._settings = joined(
                self._settings, policy_settings_files.stated(stated, f"stack {stack} ({key})")
            )

    def read(self, said: bytes) -> None:
        """An `AnalyzeRequest` as it came over the wire."""
        request = wire.AnalyzeRequest.FromString(said)
        self._inputs[request.urn] = MessageToDict(request.properties)

    def judge(self, shown: Iterable[Any], levels: Mapping[str, int], version: str) -> Iterator[Any]:
        """Diagnostics for a stack's resources (`AnalyzerResource`); `levels`: of enforcement, by policy.

        Raises `InputError` where the platform among them cannot be read.
        """
        # What AWS gave in an earlier run is known by its value: rules know it by the name of who has it.
        resources = named((self._seen(each), _given(each)) for each in shown)
        try:
            platform = engine_resources.platform(resources)
        except (ValueError, IsthmusError) as error:
            raise InputError(f"the stack's platform cannot be read: {error}") from error
        for finding in judge(resources, platform, self._settings, self._stack):
            at = _enforced(finding, levels)
            if at != wire.DISABLED:
                yield _told(finding, at, version)

    def _seen(self, one: Any) -> engine_resources.Seen:
        inputs = self._inputs.get(one.urn)
        needs = {key: list(value.urns) for key, value in one.propertyDependencies.items()}
        said = MessageToDict(one.properties) if inputs is None else inputs
        # What the program only reads is never registered; components have no provider.
        made = inputs is not None and bool(one.provider.urn)
        by = one.provider.urn or None
        return engine_resources.resource(one.urn, one.type, said, needs, made=made, provider=by)


def _given(one: Any) -> dict[str, Any]:
    """What a cloud gave. Of a cluster's objects, whose answers are long, nothing goes by a made-up name."""
    return MessageToDict(one.properties) if one.type.startswith("aws:") else {}


def _enforced(finding: Finding, levels: Mapping[str, int]) -> Any:
    own = levels.get(finding.policy, level(stops=finding.severity in STOPS))
    if own == wire.DISABLED:
        return own
    if finding.silenced:
        return wire.ADVISORY
    return levels.get(UNDECIDED, wire.MANDATORY) if finding.verdict == "undecided" else own


def _told(finding: Finding, at: Any, version: str) -> Any:
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
        message=f"{message} Supports {supports(each.model_dump() for each in finding.supports)}.",
        enforcementLevel=at,
        urn=finding.urn,
        severity=severity(finding.severity),
    )
