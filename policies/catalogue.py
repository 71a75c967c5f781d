"""Every rule of the pack, family by family."""

from __future__ import annotations

from policies import (
    audit,
    boundaries,
    change,
    cost,
    data_path,
    encryption,
    guardrails,
    identity,
    identity_cluster,
    network,
    release,
    reliability,
    transit,
    workload,
    workload_origin,
)
from policies.rule import Rule

FAMILIES = (
    data_path,
    boundaries,
    network,
    encryption,
    transit,
    identity,
    identity_cluster,
    audit,
    workload,
    workload_origin,
    cost,
    reliability,
    release,
    guardrails,
)
"""Each a module with its `RULES`; a new family is one line here."""
RULES: tuple[Rule, ...] = tuple(rule for family in FAMILIES for rule in family.RULES)
CHANGES: tuple[Rule, ...] = change.RULES
"""What a change may not do to what judges it: no resource shows that, two commits do (`isthmus ci`)."""
IDS: tuple[str, ...] = tuple(rule.id for rule in (*RULES, *CHANGES))
"""What settings may name."""
