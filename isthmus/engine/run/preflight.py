"""Checks that run before the engine changes anything, so that a failure leaves nothing half-built."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from isthmus.contracts.platform.rules.aws import account as aws_account_rules
from isthmus.core.errors import Refused
from isthmus.reports.format.lists import first_few

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.policy_settings import Settings
    from isthmus.contracts.reports.findings import Finding
    from isthmus.core.kubernetes_client import KubeClient
    from isthmus.engine.project.project import Stack
    from isthmus.engine.render.rendering import Rendered
    from isthmus.graph.resources.resources import Resource


def check_files(
    stack: Stack, platform: Platform, say: Callable[[str], None], today: datetime.date | None = None
) -> dict[str, Rendered]:
    """Check the stack's files by rendering its program, and against today's date.

    A component checks its arguments only when it is created, after others were registered. So the whole program runs
    against a recorder first (seconds, without engine and cloud), and its resources are checked by the policies.
    Returns the rendering of each stack of the estate. Raises the program's errors, and `Refused` for an open boundary
    or a certificate authority that is not valid today.
    """
    from isthmus.engine.policy import evaluation as policy_evaluation
    from isthmus.engine.render import rendering

    file = f"{stack.config_file.parent.name}/{stack.config_file.name}"
    day = today or datetime.datetime.now(datetime.UTC).date()
    for line in aws_account_rules.expiring_authorities(platform, day, file):
        say(line)
    # Boundaries span the whole platform, whichever stack builds which part.
    rendered = rendering.render_estate(stack)
    resources = [resource for stack_rendering in rendered.values() for resource in stack_rendering.resources]
    stacks = stack.siblings(stack.estate.members) if stack.estate else [stack]
    check_boundaries(resources, platform, file, policy_evaluation.settings(stacks), day)
    return rendered


def check_boundaries(
    resources: Iterable[Resource],
    platform: Platform,
    where: str,
    settings: Settings | None = None,
    today: datetime.date | None = None,
) -> None:
    """Raise `Refused` for findings that forbid the run and are not silenced."""
    from policies.evaluation import evaluation

    broken = evaluation.forbidding_findings(evaluation.judge(resources, platform, settings, today=today))
    if broken:
        raise Refused(
            "the platform would break a boundary: " + "; ".join(_describe_findings(broken)),
            where=where,
            fix=_join_fixes(broken),
        )


def _describe_findings(findings: Iterable[Finding]) -> list[str]:
    """One text for each rule and message. Findings that differ only in the resource's name share one."""
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for finding in findings:
        pattern = rf"(?<![\w-]){re.escape(finding.resource)}(?![\w-])"
        template = re.sub(pattern, "…", finding.message) if finding.resource else finding.message
        groups.setdefault((finding.policy, template), {})[finding.resource] = finding.message
    texts: list[str] = []
    for (policy, template), messages in groups.items():
        names = list(messages)
        if len(names) == 1:
            texts.append(f"{messages[names[0]]} ({policy})")
        else:
            texts.append(f"{len(names)} resources ({first_few(names)}): {template} ({policy})")
    return texts


def _join_fixes(findings: Iterable[Finding]) -> str:
    """The fix of each rule, with the rule if there are several."""
    fixes = {finding.policy: finding.fix for finding in findings}
    if len(fixes) == 1:
        return next(iter(fixes.values()))
    return "; ".join(f"{fix} ({policy})" for policy, fix in fixes.items())


def check_clusters(platform: Platform, reached: dict[str, KubeClient], say: Callable[[str], None]) -> None:
    """Check the clusters against the platform.

    Raises `EnvironmentFault` if no node has the label over which pods are spread, and the errors of
    `identity_certificates`. Warns if no Prometheus selects the platform's PodMonitors.
    """
    from isthmus.engine.kubernetes import identity_certificates
    from isthmus.engine.kubernetes import monitors as kubernetes_monitors
    from isthmus.engine.kubernetes import nodes as kubernetes_nodes

    kubernetes_nodes.check_domain_labels(platform, reached, say)
    for line in kubernetes_monitors.warn_unselected(platform, reached):
        say(line)
    for line in identity_certificates.bearers_check(platform, reached):
        say(line)
