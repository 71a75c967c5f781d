"""Every resource type of the SDKs, placed in reach of classified data: it is known, or it stops the change."""

from __future__ import annotations

import random
import re

import pytest

from policies.data_path import known_aws, known_types
from policies.evaluation.evaluation import blocking_findings, judge
from tests.laying import ROOT
from tests.policies.boundary_rows import RESTRICTED, kube, other
from tests.policies.cases_inside import namespace_of_class
from tests.policies.sdk_types import resource_types

KUBERNETES = resource_types("pulumi_kubernetes")
AWS = tuple(type_ for type_ in resource_types("pulumi_aws") if type_.count(":") == 2)
VPC = other("aws:ec2/vpc:Vpc", "vpc", tags={"isthmus.dev/class": "restricted"})
ONLY_IN_COMPONENTS = (*known_aws.OTHERS_LEAD_AWAY, *known_aws.REACHES_WHOLE_ACCOUNT)
JUDGED_BY_CONTENT = {"kubernetes:core/v1:NodePatch", "kubernetes:core/v1:NamespacePatch"}
"""Patches that Isthmus writes itself; their content decides."""
KNOWN = {*known_types.IN_CLASS_NAMESPACES, *known_types.CLUSTER_WIDE} | JUDGED_BY_CONTENT


def _sampled(types: tuple[str, ...], count: int) -> list[object]:
    """The types, of which a fixed random sample of `count` is not marked for the soak."""
    chosen = set(random.Random(23).sample(types, count))
    return [pytest.param(type_, marks=() if type_ in chosen else pytest.mark.soak) for type_ in types]


def test_the_types_of_the_sdks_are_found():
    assert len(KUBERNETES) > 500
    assert len(AWS) > 1700
    assert "kubernetes:core/v1:PodList" in KUBERNETES
    assert "kubernetes:yaml/v2:ConfigGroup" in KUBERNETES


ONLY_IF_USED = ("kubernetes:storage.k8s.io/v1:StorageClass", "kubernetes:storage.k8s.io/v1:StorageClassPatch")
"""Judged if a claim of a class names it, or if it is the default: `test_boundary_rows_in_programs`."""


@pytest.mark.parametrize("type_", _sampled(KUBERNETES, 100))
def test_a_kubernetes_type_in_reach_of_a_class_is_known_or_stops_the_change(type_: str):
    kind = type_.rpartition(":")[2].removesuffix("Patch")
    namespace = None if kind in known_types.NAMELESS_KINDS else RESTRICTED
    added = kube(type_.removeprefix("kubernetes:"), "added", namespace)
    findings = blocking_findings(judge([namespace_of_class("restricted", RESTRICTED), added]))
    stopped = [finding for finding in findings if finding.resource == "added"]
    assert stopped or type_ in KNOWN or type_ in ONLY_IF_USED
    assert not (type_ in KNOWN and "data-path/known-kinds" in {finding.policy for finding in stopped})


@pytest.mark.parametrize("type_", sorted(KNOWN))
def test_a_known_type_exists_or_is_a_custom_resource(type_: str):
    """A type that is misspelt would be no type of the SDK and would let nothing pass."""
    group = type_.split(":")[1].partition("/")[0]
    assert type_ in KUBERNETES or group not in known_types.BUILT_IN_GROUPS


@pytest.mark.parametrize("type_", _sampled(AWS, 100))
def test_an_aws_type_in_reach_of_classified_data_is_known_or_stops_the_change(type_: str):
    added = other(type_, "added", vpcId="${vpc.id}")
    policies = {
        finding.policy
        for finding in blocking_findings(judge([VPC, added]))
        if finding.resource == "added" and finding.policy.startswith("data-path/known-aws")
    }
    is_known = type_ in known_aws.KNOWN and not type_.startswith(ONLY_IN_COMPONENTS)
    assert policies == (set() if is_known else {"data-path/known-aws-types"})


def test_every_known_aws_type_exists():
    assert set(known_aws.KNOWN) - set(AWS) == set()
    for beginning in (*known_aws.CARRIES_AWAY, *ONLY_IN_COMPONENTS):
        assert any(type_.startswith(beginning) for type_ in AWS), beginning


MADE = re.compile(r'_object\([^,]+, "([A-Z]\w+)"')


def test_every_kind_that_the_queues_of_a_pool_make_is_known():
    source = (ROOT / "components" / "pools" / "queues.py").read_text()
    kinds = set(MADE.findall(source))
    assert {"Cohort", "Topology", "ClusterQueue"} <= kinds
    known = {*known_types.IN_CLASS_NAMESPACES, *known_types.CLUSTER_WIDE}
    assert {kind for kind in kinds if f"kubernetes:kueue.x-k8s.io/v1beta2:{kind}" not in known} == set()
