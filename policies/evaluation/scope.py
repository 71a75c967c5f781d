"""Lists the resources that a rule applies to, so that evidence can show passes.

A rule yields violations only, so a resource without violation has either passed or was not checked.
"""

from __future__ import annotations

from isthmus.graph.resources.resources import Resource
from policies.rules.rule import Applicable, Rule, Subject


def applicable_resources(rule: Rule, subject: Subject) -> list[Resource | None]:
    """The resources that a rule applies to, without duplicates. None stands for the whole stack."""
    resources: Applicable = [None]
    if rule.applies_to is not None:
        resources = rule.applies_to(subject)
    elif rule.resource_types:
        resources = subject.graph.of(*rule.resource_types)
    return list({resource.urn if resource else "": resource for resource in resources}.values())
