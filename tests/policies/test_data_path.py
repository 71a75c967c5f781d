"""Rules for data paths: message, resource and verdict, for our stacks and other teams' programs."""

from __future__ import annotations

import re
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reports.findings import Finding
from isthmus.engine.render import rendering
from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.tags import TYPES_WITHOUT_TAGS, bears_tags
from policies.evaluation.evaluation import judge
from policies.rules.rule import Subject
from tests.broken_graphs.changes import replace_text
from tests.broken_graphs.resources import altered
from tests.policies import holding
from tests.policies.making import resource_of

CONFIG = "kubernetes:core/v1:ConfigMap"
HOST = "bedrock-runtime.eu-central-1.amazonaws.com"


def findings(resources: Any, platform: Platform | None, rule: str) -> list[Finding]:
    return [finding for finding in judge(resources, platform) if finding.policy == rule]


def test_a_finding_shows_the_path_and_names_the_gateway(
    rendered: rendering.Rendered, platform: Platform
) -> None:
    change = replace_text("restricted-qwen3-32b.isthmus-restricted.svc:8443", f"{HOST}:443")
    graph = altered(rendered.resources, ":ConfigMap", "restricted-gateway-config", change)
    (finding,) = findings(graph.resources, platform, "data-path/stays-where-it-may")
    assert finding.message == (
        f"transaction-narratives → restricted-gateway → {HOST}: {HOST} is a cloud's, where no restricted work may go"
    )
    assert (finding.severity, finding.verdict, finding.resource) == (
        *("critical", "violated"),
        "bank-fra1-restricted-gateway-server",
    )


def test_open_egress_of_many_pods_is_one_finding_on_their_namespace(
    rendered: rendering.Rendered, platform: Platform, added: Any
) -> None:
    spec = {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.80.0.0/24"}}]}]}
    policy = {"metadata": {"name": "more", "namespace": "isthmus-restricted"}, "spec": spec}
    graph = added("kubernetes:networking.k8s.io/v1:NetworkPolicy", policy)
    (finding,) = findings(graph.resources, platform, "data-path/own-network")
    assert finding.resource == "bank-fra1-restricted-namespace"
    assert "isthmus-restricted reaches 10.80.0.0/24 port any, which holds addresses of AWS" in finding.message


def team(class_: str, *, pod: dict[str, Any] | None = None, closed: bool = True) -> list[Resource]:
    """Another team's program: a class namespace with default deny and a workload."""
    namespace = resource_of(
        "kubernetes:core/v1:Namespace",
        "apps",
        {"metadata": {"name": "apps", "labels": {"isthmus.dev/class": class_}}},
    )
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    deny = resource_of(
        "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        "deny",
        {"metadata": {"name": "deny", "namespace": "apps"}, "spec": spec},
    )
    box = {"name": "x", "image": f"x@sha256:{'0' * 64}", **(pod or {})}
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [box]}}
    work = resource_of(
        "kubernetes:apps/v1:Deployment",
        "work",
        {"metadata": {"name": "work", "namespace": "apps"}, "spec": {"template": template}},
    )
    return [namespace, work, *([deny] if closed else [])]


@pytest.mark.parametrize("class_", ["public", "internal", "confidential", "restricted"])
def test_a_closed_namespace_of_another_team_has_no_findings(class_: str) -> None:
    assert holding.all_of(_graph(team(class_))) == []


@pytest.mark.parametrize(
    ("class_", "expected"), [("public", 0), ("internal", 1), ("confidential", 1), ("restricted", 1)]
)
def test_a_cloud_host_name_in_another_teams_pods_is_found_above_public(class_: str, expected: int) -> None:
    settings = {"env": [{"name": "URL", "value": f"https://{HOST}"}]}
    findings_of_team = findings(team(class_, pod=settings), None, "data-path/no-cloud-names")
    assert [finding.resource for finding in findings_of_team] == ["work"] * expected


def test_a_namespace_of_another_team_without_a_network_policy_is_found() -> None:
    findings_of_team = findings(team("internal", closed=False), None, "data-path/own-network")
    assert {finding.verdict for finding in findings_of_team} == {"violated"}
    assert any("apps reaches 0.0.0.0/0 port any, outside" in finding.message for finding in findings_of_team)


def test_egress_to_private_addresses_of_an_unknown_site_is_undecided() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "10.9.0.0/16"}}]}
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}
    kind, meta = "kubernetes:networking.k8s.io/v1:NetworkPolicy", {"name": "more", "namespace": "apps"}
    more = resource_of(kind, "more", {"metadata": meta, "spec": spec})
    (finding,) = findings([*team("internal"), more], None, "data-path/own-network")
    assert (finding.verdict, finding.message) == (
        *("undecided", "apps reaches 10.9.0.0/16 port any, and nothing says where that is"),
    )


def test_an_aws_identity_of_pods_is_violated_for_restricted_and_undecided_for_confidential() -> None:
    role = {"namespace": "apps", "serviceAccount": "default", "roleArn": "arn:aws:iam::1:role/x"}
    more = resource_of("aws:eks/podIdentityAssociation:PodIdentityAssociation", "who", role)
    objects = {
        class_: [
            finding.verdict for finding in findings([*team(class_), more], None, "identity/translators-only")
        ]
        for class_ in ("public", "confidential", "restricted")
    }
    assert objects == {"public": [], "confidential": ["undecided"], "restricted": ["violated"]}


def test_a_stack_without_the_restricted_namespace_of_its_platform_is_found(
    rendered: rendering.Rendered, platform: Platform
) -> None:
    left = [resource for resource in rendered.resources if "restricted" not in resource.name]
    assert "the stack has no restricted namespace" in "; ".join(
        holding.messages_of("data-path/own-network")(_graph(left), platform)
    )


def test_every_boundary_rule_has_a_one_line_fix_and_cites_a_control() -> None:
    for rule in holding.RULES.values():
        assert rule.supports, rule.id
        assert "\n" not in rule.fix, rule.id
        assert re.fullmatch(r"[a-z-]+/[a-z-]+", rule.id), rule.id


def test_data_paths_are_recomputed_for_another_platform(
    rendered: rendering.Rendered, platform: Platform
) -> None:
    graph = _graph(rendered.resources)
    rule = holding.RULES["data-path/stays-where-it-may"]
    assert list(rule.check(Subject(graph, platform))) == []
    assert list(rule.check(Subject(graph, None))) != []
    assert list(rule.check(Subject(graph, platform))) == []


def test_resource_types_listed_as_untaggable_have_no_tags() -> None:
    assert [type_ for type_ in sorted(TYPES_WITHOUT_TAGS) if bears_tags(type_)] == []


def _graph(resources: Any) -> Any:
    from isthmus.graph.resources.resources import Graph

    return Graph(resources)
