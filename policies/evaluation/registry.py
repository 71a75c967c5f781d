"""The list of all rules. A new family of rules is one line in `FAMILIES`."""

from __future__ import annotations

from policies.audit import alarms as audit_alarms
from policies.audit import aws_sealing, gateway_records, usage_loader
from policies.audit import reviews as review_rules
from policies.audit import storage as audit_storage
from policies.cost import aws_machines
from policies.cost import budgets as budget_rules
from policies.cost import capacity as capacity_rules
from policies.cost import limits as limit_rules
from policies.data_path import account as account_rules
from policies.data_path import (
    aws_reach,
    chats,
    entrances,
    known_kinds,
    known_providers,
    own_aws,
    own_code,
    own_identity,
    own_settings,
    paths,
    pod_contents,
    resource_options,
)
from policies.data_path import guardrails as guardrail_rules
from policies.data_path import redaction as redaction_rules
from policies.encryption import at_rest as encryption_at_rest
from policies.encryption import class_names
from policies.encryption import in_transit as encryption_in_transit
from policies.identity import aws_permissions, aws_trust, class_permissions
from policies.identity import kubernetes as kubernetes_identity
from policies.network import cluster as cluster_network
from policies.network import exposure as network_exposure
from policies.release import candidates as candidate_rules
from policies.release import change as change_rules
from policies.release import declared as declared_release
from policies.release import evaluators
from policies.release import provenance as release_provenance
from policies.reliability import availability
from policies.reliability import serving as serving_reliability
from policies.rules.rule import Rule
from policies.trust import foreign_values
from policies.workload import engine_flags, required_guards
from policies.workload import hardening as workload_hardening
from policies.workload import origin as workload_origin

_DATA_PATHS = (
    *(
        paths,
        known_kinds,
        known_providers,
        own_identity,
        own_code,
        own_aws,
        pod_contents,
        own_settings,
        entrances,
        chats,
        aws_reach,
    ),
    resource_options,
)
BOUNDARY_FAMILIES = (*_DATA_PATHS, account_rules)
"""Modules whose findings stop `up` before it starts, whatever their severity."""
FAMILIES = (
    *_DATA_PATHS,
    cluster_network,
    redaction_rules,
    account_rules,
    network_exposure,
    encryption_at_rest,
    encryption_in_transit,
    class_names,
    aws_permissions,
    aws_trust,
    kubernetes_identity,
    class_permissions,
    audit_storage,
    audit_alarms,
    gateway_records,
    usage_loader,
    aws_sealing,
    review_rules,
    workload_hardening,
    workload_origin,
    engine_flags,
    required_guards,
    limit_rules,
    budget_rules,
    capacity_rules,
    aws_machines,
    availability,
    serving_reliability,
    release_provenance,
    declared_release,
    candidate_rules,
    evaluators,
    guardrail_rules,
    foreign_values,
)
"""Modules with `RULES`."""
RULES: tuple[Rule, ...] = tuple(rule for family in FAMILIES for rule in family.RULES)
CHANGES: tuple[Rule, ...] = change_rules.RULES
"""Rules for changes, which compare two commits and read no resources (`isthmus ci`)."""
IDS: tuple[str, ...] = tuple(rule.id for rule in (*RULES, *CHANGES))
"""Rule ids that settings may name."""
