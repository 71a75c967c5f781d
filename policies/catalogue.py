"""Every rule of the pack, family by family."""

from __future__ import annotations

from policies import audit, encryption, identity, identity_cluster, transit, workload, workload_origin
from policies.rule import Rule

FAMILIES = (
    audit,
    encryption,
    transit,
    identity,
    identity_cluster,
    workload,
    workload_origin,
)
"""Each a module with its `RULES`; a new family is one line here."""
RULES: tuple[Rule, ...] = tuple(rule for family in FAMILIES for rule in family.RULES)
IDS: tuple[str, ...] = tuple(rule.id for rule in RULES)
