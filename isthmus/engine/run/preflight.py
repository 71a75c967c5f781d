"""What can be known to fail before the engine is asked for anything, so that nothing is half-made."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from isthmus.contracts.platform.rules.aws import account as aws_account_rules
from isthmus.core.errors import Refused

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.policy_settings import Settings
    from isthmus.engine.kubernetes.client import Cluster
    from isthmus.engine.project.project import Stack
    from isthmus.engine.render.rendering import Rendered
    from isthmus.graph.resources.resources import Resource


def check_files(
    stack: Stack, platform: Platform, say: Callable[[str], None], today: datetime.date | None = None
) -> dict[str, Rendered]:
    """Hold the stack's files to what only the day, or a run of its program, can tell.

    A component checks its arguments when it is made, which is after others have been registered: so the
    whole program is run against a recorder first (seconds; no engine, no cloud), and what it would make is
    held to the policies. Returns that, by stack of the estate. Raises what the program raises, and `Refused`
    for a boundary that would be open or an authority whose certificate does not hold today.
    """
    from isthmus.engine.policy import evaluation as policy_evaluation
    from isthmus.engine.render import rendering

    file = f"{stack.config_file.parent.name}/{stack.config_file.name}"
    day = today or datetime.datetime.now(datetime.UTC).date()
    for line in aws_account_rules.authorities_hold(platform, day, file):
        say(line)
    # A boundary is of the whole platform, whichever stack makes which part of it.
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
    """Raise `Refused` naming what the policies find that may not even be begun, and nobody answers for."""
    from policies.evaluation import evaluation

    broken = evaluation.forbidding(evaluation.judge(resources, platform, settings, today=today))
    if broken:
        violations = dict.fromkeys(f"{finding.message} ({finding.policy})" for finding in broken)
        raise Refused(
            "what is to be made breaks a boundary: " + "; ".join(violations),
            where=where,
            fix="Take back the change to the components or the overrides that opened it",
        )


def check_clusters(platform: Platform, reached: dict[str, Cluster], say: Callable[[str], None]) -> None:
    """Hold what the clusters hold already to the platform.

    Raises `EnvironmentFault` where no node carries the label over which pods are spread, and what
    `identity_certificates.check` raises. A Prometheus that selects no PodMonitor of the platform is said.
    """
    from isthmus.engine.kubernetes import identity_certificates
    from isthmus.engine.kubernetes import monitors as kubernetes_monitors
    from isthmus.engine.kubernetes import nodes as kubernetes_nodes

    kubernetes_nodes.check_domain_labels(platform, reached, say)
    for line in kubernetes_monitors.warn_unselected(platform, reached):
        say(line)
    for line in identity_certificates.bearers_check(platform, reached):
        say(line)
