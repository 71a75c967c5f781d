"""Builders of resources, platforms and findings for tests of rules."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.platform.model.platform import Images, Monitoring, Platform
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.findings import Finding
from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.resources import Graph
from policies.evaluation.evaluation import judge
from policies.evaluation.registry import RULES
from policies.rules.rule import Subject


def resource_of(kind: str, name: str, inputs: dict[str, Any], **options: Any) -> Resource:
    return Resource(
        urn=f"urn:pulumi:test::isthmus::{kind}::{name}",
        type=kind,
        name=name,
        custom=True,
        parent=None,
        provider=None,
        inputs=inputs,
        dependencies=[],
        property_dependencies={},
        options=options,
    )


def platform_with(**fields: Any) -> Platform:
    """A platform with only these fields, without validation."""
    empty = {key: [] for key in ("sites", "endpoints", "gateways", "audit")}
    about = {"isthmus": "v1", "name": "bank", "blueprint": "pilot", "monitoring": Monitoring()}
    images = Images.model_construct(registries=["registry.bank.example/"])
    return Platform.model_construct(**{**empty, **about, "images": images, **fields})


def findings_of(
    rule: str, *resources: Resource, platform: Platform | None = None, settings: Settings | None = None
) -> list[Finding]:
    """The findings of one rule."""
    return [finding for finding in judge(resources, platform, settings) if finding.policy == rule]


def applicable(rule_id: str, *resources: Resource, platform: Platform | None = None) -> list[str | None]:
    """Names of the resources to which a rule applies; None: the stack as a whole."""
    (rule,) = [rule for rule in RULES if rule.id == rule_id]
    assert rule.applies_to is not None
    rows = rule.applies_to(Subject(Graph(resources), platform))
    return [resource.name if resource else None for resource in rows]
