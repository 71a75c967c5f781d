"""Fixed monthly costs of AWS sites, for options that a test chooses itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from isthmus.contracts.requirements.document import Requirements
from isthmus.planning.options.fixed_costs import FixedCosts
from isthmus.planning.options.option import BUILDS, Option


def fixed_usd(
    requirements: Requirements, options: Sequence[Option], builds: Collection[str] = BUILDS
) -> float:
    """USD a month of the parts that any of the options needs."""
    fixed = FixedCosts(requirements, builds)
    workloads = {workload.name: workload for workload in requirements.workloads}
    places = [fixed.option_placed(workloads[option.workload].sensitivity, option) for option in options]
    return sum(
        part.monthly_usd
        for part in fixed.parts()
        if any(fixed.applies(part.scope, place) for place in places)
    )
