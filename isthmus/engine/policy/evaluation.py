"""Evaluates the policy pack for the rendered resources of a stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.contracts.named_results import NamedResult
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.policy_settings import Settings
    from isthmus.contracts.reports.candidates import Candidate
    from isthmus.contracts.reports.findings import Finding
    from isthmus.contracts.vocabulary import Sensitivity
    from isthmus.engine.project.project import Stack
    from isthmus.graph.resources.resources import Resource


def findings(
    stack: Stack, resources: Sequence[Resource], platform: Platform, policy_settings: Settings | None = None
) -> list[Finding]:
    """Findings of a stack, the worst first. `resources`: of the whole estate, since boundaries span all its stacks."""
    return findings_of_stack(stack.name, resources, platform, policy_settings or settings([stack]))


def findings_of_stack(
    stack: str,
    resources: Sequence[Resource],
    platform: Platform,
    policy_settings: Settings,
    stricter_classes: Mapping[str, Sensitivity] | None = None,
) -> list[Finding]:
    """Like `findings`, for a stack by its name. `stricter_classes`: workload → stricter class to judge it by."""
    from policies.evaluation import evaluation

    all_findings = evaluation.judge(
        resources, platform, policy_settings, stack, raised_sensitivities=stricter_classes
    )
    urn_prefix = f"urn:pulumi:{stack}::"
    return [finding for finding in all_findings if not finding.urn or finding.urn.startswith(urn_prefix)]


def resolving(resources: Sequence[Resource], platform: Platform, policy_settings: Settings) -> frozenset[str]:
    """Namespaces whose pods may ask the cluster's resolvers, because the trust file names their application."""
    from policies.evaluation import evaluation
    from policies.inputs.applications import namespaces_that_resolve

    subject = evaluation.subject_of(resources, platform, policy_settings, datetime.now(UTC).date())
    return namespaces_that_resolve(subject)


def newly_refused(known: Sequence[Finding], findings: Sequence[Finding]) -> frozenset[str]:
    """URNs of violations that stop a change and that `known` does not have. Undecided findings refuse nothing."""
    from policies.evaluation import evaluation

    keys = {(finding.policy, finding.urn, finding.message) for finding in known}
    return frozenset(
        finding.urn
        for finding in evaluation.blocking_findings(findings)
        if finding.verdict == "violated" and (finding.policy, finding.urn, finding.message) not in keys
    )


def settings(stacks: Sequence[Stack]) -> Settings:
    """Policy settings from the project's `policies.yaml` and the configuration of these stacks, which share a platform,
    and the results that its candidates name.

    Raises `InputError` for an unknown rule or key.
    """
    from isthmus.contracts.policy_settings import merge
    from policies.evaluation import settings as policy_settings_files

    merged = policy_settings_files.load_settings(stacks[0].project.root)
    for stack in stacks:
        key = f"{stack.project.name}:{policy_settings_files.KEY}"
        if key in stack.config:
            where = f"{stack.config_file.parent.name}/{stack.config_file.name} ({key})"
            merged = merge(merged, policy_settings_files.parse_stack_settings(stack.config[key], where))
    return merged.model_copy(
        update={
            "classified_neighbours": classified_neighbours(stacks[0]),
            "evaluations": _named_results(stacks[0]),
        }
    )


def candidates(platform: Platform, policy_settings: Settings) -> list[Candidate]:
    """The gate's verdict on each candidate of a platform, by the settings' results and trusted evaluators."""
    from isthmus.evaluation.gate import judge_candidates

    today = datetime.now(UTC).date()
    return judge_candidates(platform, policy_settings.evaluations, policy_settings.trust, today)


def _named_results(stack: Stack) -> list[NamedResult]:
    """The results that the stack's candidates name. Empty for a platform that cannot be read."""
    from isthmus.engine.evaluation.named_results import read_named_results

    platform = _platform(stack)
    return [] if platform is None else read_named_results(stack.project.root, platform)


def classified_neighbours(stack: Stack) -> list[str]:
    """Stacks of the project that have data above public in a cluster of this stack, where it has none itself.

    A cluster is known by its context, or by its UID. A stack whose platform cannot be read has no cluster yet.
    """
    from policies.inputs.class_scope import platform_is_classified

    others = [name for name in stack.project.stacks() if stack.project.stack(name).family != stack.family]
    own = _platform(stack) if others else None
    if own is None or platform_is_classified(own):
        return []
    clusters = _clusters(own)
    platforms = {name: _platform(stack.project.stack(name)) for name in others}
    return [
        name
        for name, platform in platforms.items()
        if platform is not None and platform_is_classified(platform) and clusters & _clusters(platform)
    ]


def _platform(stack: Stack) -> Platform | None:
    from isthmus.core.errors import IsthmusError

    try:
        return stack.platform()
    except IsthmusError:
        return None  # the commands that build it say what is wrong


def _clusters(platform: Platform) -> set[str]:
    return {
        value
        for site in platform.sites
        for value in (site.kube_context, site.cluster_uid)
        if value is not None
    }
