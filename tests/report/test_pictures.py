"""The pictures in docs/pictures.md are those of the bank's own graph.

Run as a program, it draws them anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isthmus.engine import project, render
from isthmus.report import pictures
from isthmus.report.graph import Graph
from tests.catalogue.bank import ROOT, STACK, platform

PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"


def drawn() -> dict[str, str]:
    graph = Graph(render.render(project.find(ROOT).stack(STACK)).resources)
    return {"network": pictures.network(graph, platform()), "identities": pictures.identities(graph)}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return drawn()


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n```mermaid\n)(.*?)(```\n)", re.DOTALL)


@pytest.mark.parametrize("name", ["network", "identities"])
def test_the_page_shows_the_graphs_own_picture(texts: dict[str, str], name: str):
    found = _pattern(name).search(PAGE.read_text("utf-8"))
    assert found is not None
    assert found[2] == texts[name], "run `python -m tests.report.test_pictures`"


def test_the_same_graph_gives_the_same_text(texts: dict[str, str]):
    assert drawn() == texts


def test_no_arrow_leads_from_a_restricted_pod_towards_aws(texts: dict[str, str]):
    arrows = [line.strip() for line in texts["network"].split("\n") if "restricted" in line and "-->" in line]
    assert len(arrows) == 2
    assert not any("peer" in line or "10.80" in line or "gateway[" in line for line in arrows)


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
    for key, text in drawn().items():
        page = _pattern(key).sub(lambda found, text=text: f"{found[1]}{text}{found[3]}", page)
    PAGE.write_text(page, "utf-8")
