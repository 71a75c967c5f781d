"""Readers of findings as messages: of one boundary's rules, or of all boundary rules."""

from __future__ import annotations

from collections.abc import Callable

from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.resources.resources import Graph
from policies.data_path import account as account_rules
from policies.data_path import paths
from policies.identity import aws_permissions
from policies.rules.rule import Rule, Subject

RULES: dict[str, Rule] = {
    rule.id: rule for rule in (*paths.RULES, *account_rules.RULES, *aws_permissions.RULES)
}


def messages_of(*ids: str) -> Callable[..., list[str]]:
    """Returns a function from a graph and platform to the messages of the rules with these ids."""

    def read(graph: Graph, platform: Platform | None = None) -> list[str]:
        subject = Subject(graph, platform)
        return [broken.message for rule_id in ids for broken in RULES[rule_id].check(subject)]

    return read


all_of = messages_of(*(rule.id for rule in (*paths.RULES, *account_rules.RULES)))
restricted_reaches_no_aws = messages_of("data-path/own-network", "identity/translators-only")
aws_is_called_through_private_endpoints = messages_of(
    "data-path/private-endpoints", "data-path/calls-by-private-endpoints", "data-path/own-network"
)
only_public_work_has_internet_access = messages_of("data-path/no-way-to-the-internet")
hosted_models_are_isolated = messages_of("data-path/hosted-models")
trail_cannot_be_disabled = messages_of(
    "audit/trail-out-of-reach", "identity/roles-bounded", "identity/trust-named", "identity/no-users"
)
everything_is_tagged = messages_of("audit/everything-is-tagged")
no_access_key = messages_of("identity/no-access-keys")
