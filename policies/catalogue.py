"""Every rule of the pack, family by family."""

from __future__ import annotations

from policies import (
    audit,
    audit_heard,
    boundaries,
    capacity,
    change,
    cost,
    cost_stated,
    data_path,
    encryption,
    guardrails,
    identity,
    identity_cluster,
    identity_reach,
    inside,
    machines,
    network,
    records,
    records_aws,
    release,
    release_stated,
    reliability,
    reliability_pods,
    reviews,
    screening,
    transit,
    workload,
    workload_origin,
)
from policies.rule import Rule

FAMILIES = (
    data_path,
    inside,
    screening,
    boundaries,
    network,
    encryption,
    transit,
    identity,
    identity_reach,
    identity_cluster,
    audit,
    audit_heard,
    records,
    records_aws,
    reviews,
    workload,
    workload_origin,
    cost,
    cost_stated,
    capacity,
    machines,
    reliability,
    reliability_pods,
    release,
    release_stated,
    guardrails,
)
"""Each a module with its `RULES`; a new family is one line here."""
RULES: tuple[Rule, ...] = tuple(rule for family in FAMILIES for rule in family.RULES)
CHANGES: tuple[Rule, ...] = change.RULES
"""What a change may not do to what judges it: no resource shows that, two commits do (`isthmus ci`)."""
IDS: tuple[str, ...] = tuple(rule.id for rule in (*RULES, *CHANGES))
"""What settings may name."""
