"""The dashboards of a platform: where they are, what they read, how they are linked, and that Grafana can read them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as GrafanaDashboard

from components.observability.dashboards.pages import DASHBOARDS
from components.observability.dashboards.panels import Dashboard, Panel
from components.observability.rules import RUNBOOKS
from tests.components import dashboard_platform
from tests.components.conftest import Engine, build
from tests.components.metric_names import exported, names_in, of_others
from tests.components.platforms import bank, reviewed
from tests.components.test_prometheus_rules import SERIES_LABELS

ROOT = Path(__file__).resolve().parents[2]
URL = "https://docs.bank.example/isthmus/runbooks.html"
PANEL_LABELS = SERIES_LABELS | {
    *("alertname", "severity", "owner", "service", "endpoint", "pool", "team", "goal"),
    *("key", "code", "variant", "kind", "le", "job", "namespace"),
}
"""Labels by which panels keep series apart. Each has as many values as the platform, the engine or our code has."""
MOST_BYTES = 1024 * 1024
"""Kubernetes' limit for a ConfigMap."""


def panels() -> list[tuple[Dashboard, Panel]]:
    return [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels]


def name_of(entry: tuple[Dashboard, Panel]) -> str:
    return f"{entry[0].key}: {entry[1].title}"


def deploy(engine: Engine, data: dict[str, Any] | None = None, **monitoring: Any) -> list[Any]:
    data = data or reviewed(bank())
    data["monitoring"] |= monitoring
    build(engine, data)
    return [made for made in engine.all("ConfigMap") if "grafana_dashboard" in made.meta["labels"]]


def test_a_site_has_seven_dashboards_for_grafanas_sidecar_in_its_least_sensitive_namespace(
    engine: Engine,
) -> None:
    maps = deploy(engine)
    assert sorted(made.meta["name"] for made in maps) == sorted(
        f"isthmus-{dashboard.key}-dashboard" for dashboard in DASHBOARDS
    )
    for made in maps:
        assert made.meta["labels"]["grafana_dashboard"] == "1"
        assert made.meta["namespace"] == "isthmus-public"
        assert any("public" in name for name in made.depends_on), "its namespace may not be there yet"
        ((file, text),) = made.inputs["data"].items()
        assert file.endswith(".json")
        assert len(text) < MOST_BYTES / 10
        assert json.loads(text)["title"].startswith("bank fra1: ")


@pytest.mark.parametrize("monitoring", [{"dashboards": False}, {"rules": False}, {"pod_monitors": False}])
def test_without_rules_or_if_they_are_off_there_are_no_dashboards(
    engine: Engine, monitoring: dict[str, Any]
) -> None:
    assert deploy(engine, **monitoring) == []


def test_a_site_without_reviews_has_no_dashboard_of_reviews(engine: Engine) -> None:
    assert "isthmus-reviews-dashboard" not in {made.meta["name"] for made in deploy(engine, bank())}


def test_the_same_platform_gives_the_same_bytes_in_every_process() -> None:
    program = (
        "import hashlib\n"
        "from components.observability.dashboards import grafana\n"
        "from components.observability.dashboards.pages import DASHBOARDS\n"
        "texts = [grafana.rendered(page, 'bank', 'fra1', None) for page in DASHBOARDS]\n"
        "print(hashlib.sha256(''.join(texts).encode()).hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_no_text_looks_like_a_value_that_gitops_would_fill_in() -> None:
    for dashboard in DASHBOARDS:
        assert "${" not in json.dumps(dashboard_platform.page_json(dashboard, URL))


def test_the_sdk_is_not_loaded_by_the_command_line() -> None:
    program = "import sys, isthmus.cli\nprint([name for name in sys.modules if name.startswith('grafana')])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.key)
def test_grafanas_own_types_read_the_json_and_write_it_again(dashboard: Dashboard) -> None:
    register_default_plugins()
    page = dashboard_platform.page_json(dashboard, URL)
    read = GrafanaDashboard.from_json(page)
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == page
    assert page["schemaVersion"] >= 36
    assert len(page["uid"]) <= 40
    ids = [panel["id"] for panel in page["panels"]]
    assert len(ids) == len(set(ids)) == len(dashboard.panels)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.key)
def test_panels_fill_rows_of_the_grid_and_do_not_overlap(dashboard: Dashboard) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard_platform.page_json(dashboard)["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize("entry", panels(), ids=name_of)
def test_a_panel_asks_a_question_and_says_what_to_do(entry: tuple[Dashboard, Panel]) -> None:
    _, panel = entry
    assert panel.title.endswith("?")
    assert len(panel.description) > 30
    assert all(query.legend for query in panel.queries)


@pytest.mark.parametrize("entry", panels(), ids=name_of)
def test_a_panel_reads_metrics_that_exist(entry: tuple[Dashboard, Panel]) -> None:
    recorded = {
        rule["record"]
        for group in dashboard_platform.rule_groups()
        for rule in group["rules"]
        if "record" in rule
    }
    known = exported() | of_others() | recorded
    for query in entry[1].queries:
        names = names_in(query.expression)
        assert names or re.fullmatch(r"vector\([\d.]+\)", query.expression)
        assert names <= known, f"{query.expression} reads {names - known}"


@pytest.mark.parametrize("entry", panels(), ids=name_of)
def test_no_panel_keeps_series_apart_by_a_person_a_key_or_a_text(entry: tuple[Dashboard, Panel]) -> None:
    for query in entry[1].queries:
        for kept in re.findall(r"by \(([^)]*)\)", query.expression):
            assert {label.strip() for label in kept.split(",")} <= PANEL_LABELS, query.expression
        for named in re.findall(r"\{\{(\w+)\}\}", query.legend):
            assert named in PANEL_LABELS, query.legend


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.key)
def test_expressions_use_the_variables_of_their_dashboard_only(dashboard: Dashboard) -> None:
    named = {variable.name for variable in dashboard.variables}
    used = {
        name
        for panel in dashboard.panels
        for query in panel.queries
        for name in re.findall(r"\$([a-z]\w*)", query.expression)
    }
    of_variables = {
        name for variable in dashboard.variables for name in re.findall(r"\$(\w+)", variable.series)
    }
    assert used | of_variables | {"class"} == named
    known = {name for group in dashboard_platform.rule_groups() for name in names_of_records(group)}
    for variable in dashboard.variables:
        assert names_in(variable.series) <= known


def names_of_records(group: dict[str, Any]) -> set[str]:
    return {rule["record"] for rule in group["rules"] if "record" in rule}


def test_each_dashboard_links_to_all_others_and_to_sections_of_the_runbooks() -> None:
    pages = {
        dashboard.key: dashboard_platform.page_json(dashboard, URL)
        for dashboard in dashboard_platform.pages()
    }
    assert len({page["uid"] for page in pages.values()}) == len(DASHBOARDS)
    sections = {
        name.lower() for name in re.findall(r"^### (\w+)$", (ROOT / RUNBOOKS).read_text(), re.MULTILINE)
    }
    runbooks = set()
    for page in pages.values():
        (link,) = page["links"]
        assert link["type"] == "dashboards"
        assert all(set(link["tags"]) <= set(other["tags"]) for other in pages.values())
        for panel in page["panels"]:
            for entry in panel.get("links", []):
                base, _, section = entry["url"].partition("#")
                assert base == URL
                assert section in sections, entry
                runbooks.add(section)
    assert len(runbooks) > len(sections) / 2, "most alerts have no panel that helps"


def test_without_an_address_of_the_runbooks_the_description_names_their_sections() -> None:
    for dashboard in DASHBOARDS:
        page = dashboard_platform.page_json(dashboard)
        for panel, written in zip(dashboard.panels, page["panels"], strict=True):
            assert "links" not in written or written["links"] == []
            assert (RUNBOOKS in written["description"]) == bool(panel.alerts)


def test_pages_that_panels_refer_to_exist() -> None:
    for _, panel in panels():
        for page in re.findall(r"docs/[\w-]+\.md", panel.description):
            assert (ROOT / page).exists(), panel.description


def test_alerts_refer_to_the_address_of_the_runbooks_where_one_is_set(engine: Engine) -> None:
    data = bank()
    data["monitoring"]["runbooks_url"] = URL
    build(engine, data)
    runbooks = {
        entry["annotations"]["runbook"]
        for rule in engine.all("PrometheusRule")
        for group in rule.spec["groups"]
        for entry in group["rules"]
        if "alert" in entry
    }
    assert runbooks
    assert all(runbook.startswith(f"{URL}#") for runbook in runbooks)
