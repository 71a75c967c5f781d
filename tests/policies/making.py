"""Resources as a rendering has them, for rules to judge."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.platform.model.platform import Images, Monitoring, Platform
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.findings import Finding
from isthmus.engine.render.recorder import Resource
from policies.evaluation.evaluation import judge


def made(kind: str, name: str, inputs: dict[str, Any], **options: Any) -> Resource:
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


def stated(**parts: Any) -> Platform:
    """A platform that states these parts and nothing else; it is held to no check of a whole one's."""
    empty = {each: [] for each in ("sites", "endpoints", "gateways", "audit")}
    about = {"isthmus": "v1", "name": "bank", "blueprint": "pilot", "monitoring": Monitoring()}
    images = Images.model_construct(registries=["registry.bank.example/"])
    return Platform.model_construct(**{**empty, **about, "images": images, **parts})


def found(
    rule: str, *resources: Resource, platform: Platform | None = None, settings: Settings | None = None
) -> list[Finding]:
    """What one rule finds."""
    return [each for each in judge(resources, platform, settings) if each.policy == rule]
