"""The pictures in docs/pictures.md are those of the bank's own graph.

Run as a program, it draws them anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from isthmus.engine.project import project
from isthmus.engine.render import rendering
from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.resources import Graph
from isthmus.reports.stack import network_diagram
from tests.blueprints.bank import ROOT, STACK, platform, rendered
from tests.policies.apart import apart

PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"


def drawn(resources: Iterable[Resource]) -> dict[str, str]:
    graph = Graph(resources)
    return {
        "network": network_diagram.draw_network(graph, platform()),
        "identities": network_diagram.draw_identities(graph),
    }


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return drawn(rendered().resources)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n```mermaid\n)(.*?)(```\n)", re.DOTALL)


@pytest.mark.parametrize("name", ["network", "identities"])
def test_the_page_shows_the_graphs_own_picture(texts: dict[str, str], name: str):
    match = _pattern(name).search(PAGE.read_text("utf-8"))
    assert match is not None
    assert match[2] == texts[name], "run `python -m tests.reports.test_network_diagram`"


def test_the_same_graph_gives_the_same_text(texts: dict[str, str]):
    assert drawn(rendering.render(project.find_project(ROOT).stack(STACK)).resources) == texts


def test_no_arrow_leads_from_a_restricted_pod_towards_aws(texts: dict[str, str]):
    arrows = [line.strip() for line in texts["network"].split("\n") if "restricted" in line and "-->" in line]
    assert len(arrows) == 7, (
        "to its model, the resolver and its database; sealer to the store, reviews to the database; "
        "loader to the store and the database"
    )
    assert not any("peer" in line or "10.80" in line or "gateway[" in line for line in arrows)


def test_dns_arrows_go_the_way_that_the_rules_let_it(texts: dict[str, str]):
    lines = texts["network"].split("\n")
    assert '  bank_fra1_frankfurt_gateway ==>|"53 from 10.40.0.53/32"| bank_fra1_frankfurt_inbound' in lines
    assert '  bank_fra1_frankfurt_outbound -->|"53 to 10.40.0.53/32"| bank_fra1_frankfurt_gateway' in lines
    assert not any(re.search(r"> ?(\|.*\|)? bank_fra1_frankfurt_outbound$", line) for line in lines)


def test_an_arrow_into_the_network_goes_with_its_rule():
    resources = rendered().resources
    without = [resource for resource in resources if not resource.type.endswith(":SecurityGroupIngressRule")]
    assert len(without) < len(resources)
    assert '==>|"443' not in network_diagram.draw_network(Graph(without), platform())


def test_two_networks_at_a_site_have_each_its_own():
    text = network_diagram.draw_network(*apart())
    assert "VPC 10.80.0.0/16 · no internet gateway" in text
    assert "VPC 10.81.0.0/16 · internet gateway" in text
    joined = set(re.findall(r"^  bank_fra1_(\w+)_gateway ==>\|[^|]+\| bank_(\w+?)_endpoints_", text, re.M))
    assert joined == {("frankfurt", "frankfurt"), ("open", "open")}
    peers = set(re.findall(r"_(\w+)_translator -->\|[^|]+\| bank_fra1_(\w+)_peer", text))
    assert peers == {("internal_internal", "frankfurt"), ("public_public", "open")}
    assert text.count('["inbound resolver"]') == 1


def test_every_role_of_the_graph_is_in_the_picture(texts: dict[str, str]):
    roles = [line for line in texts["identities"].split("\n") if '["role<br/>' in line]
    assert len(roles) == 7
    assert texts["identities"].count('|"bounds"|') == 7


def test_every_arrow_joins_two_nodes_that_are_drawn(texts: dict[str, str]):
    for text in texts.values():
        nodes = set(re.findall(r"^ +(\w+)\[", text, re.M))
        for start, end in re.findall(r"^  (\w+) (?:-->|==>|-\.->)(?:\|[^|]*\|)? (\w+)$", text, re.M):
            assert {start, end} <= nodes, (start, end)


if __name__ == "__main__":
    page = PAGE.read_text("utf-8")
    for key, text in drawn(rendered().resources).items():
        page = _pattern(key).sub(lambda match, text=text: f"{match[1]}{text}{match[3]}", page)
    PAGE.write_text(page, "utf-8")
