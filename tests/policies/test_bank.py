"""Every rule on the bank's stack: with its platform, and without one (like another team's program)."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path

import policies
from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.render import rendering
from policies.evaluation.evaluation import judge
from policies.evaluation.text_report import lines
from tests.policies.making import findings_of, resource_of


def test_the_banks_stack_has_no_findings(rendered: rendering.Rendered, platform: Platform):
    assert list(lines(judge(rendered.resources, platform))) == []


def test_without_a_platform_only_data_path_rules_have_findings(rendered: rendering.Rendered):
    """As another team's program would be judged: whose an address is, nobody says there."""
    assert {finding.policy.partition("/")[0] for finding in judge(rendered.resources)} == {"data-path"}


def test_every_resource_type_in_the_rules_exists_in_its_provider():
    """A type that is misspelt would be looked for in vain, and its rule would pass everything."""
    text = "".join(path.read_text("utf-8") for path in Path(policies.__file__).parent.rglob("*.py"))
    kinds = sorted(set(re.findall(r"\"(aws:\w+/\w+:\w+)\"", text)))
    assert len(kinds) > 50
    for kind in kinds:
        _, path, name = kind.split(":")
        type_class = getattr(importlib.import_module(f"pulumi_aws.{path.partition('/')[0]}"), name, None)
        assert type_class is not None, f"there is no {kind}"
        assert path.partition("/")[2] == name[0].lower() + name[1:], kind


def test_a_resource_with_a_generated_id_is_linked_by_its_property_dependencies():
    vpc = resource_of("aws:ec2/vpc:Vpc", "vpc", {})
    flow = resource_of("aws:ec2/flowLog:FlowLog", "flow", {"vpcId": "vpc-0a1b", "trafficType": "ALL"})
    assert [finding.resource for finding in findings_of("audit/flows-logged", vpc, flow)] == ["vpc"]
    linked = replace(flow, property_dependencies={"vpcId": [vpc.urn]})
    assert findings_of("audit/flows-logged", vpc, linked) == []
