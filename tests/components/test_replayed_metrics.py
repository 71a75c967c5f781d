"""Every panel of every dashboard, and every rule, finds data in a real Prometheus over replayed series.

An alert's expression returns nothing while all is well, so what counts for a rule is each series that it selects.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator

import pytest

from components.observability.dashboards.panels import Dashboard, Panel
from tests.components import dashboard_pictures, dashboard_platform, replayed_series
from tests.components.alert_cases import CASES
from tests.components.metric_names import exported, of_others
from tests.components.replay import Replay, replay

pytestmark = pytest.mark.service

PAGES = dashboard_platform.pages()
FIRING = {
    *("ModelReplicasMissing", "ReplicaBad", "KvCacheFull", "ModelPutsRequestsBack", "GpusAwaited"),
    *("AvailabilityBudgetBurns", "FirstTokenBudgetBurns", "NextTokenBudgetBurns"),
}
"""What a lost replica of the confidential model sets off. GPUs of a pool are awaited by both of its classes."""
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")
OF_OTHER_LABEL = re.compile(r'(?<![\w])namespace="')
"""An exporter's own label, where a scrape honours it. Prometheus renames it otherwise; one of both has series."""
PANELS = [(dashboard, panel) for dashboard in PAGES for panel in dashboard.panels]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    with replay(tmp_path_factory.mktemp("replay")) as started:
        yield started


def test_every_expression_of_every_panel_returns_data(running: Replay) -> None:
    assert len(PAGES) == 7
    empty = [
        f"{dashboard.key}: {panel.title}: {query.expression}"
        for dashboard, panel in PANELS
        for query in panel.queries
        if not has_data(running, dashboard, panel, query.expression)
    ]
    assert not empty, "\n".join(empty)


def has_data(running: Replay, dashboard: Dashboard, panel: Panel, expression: str) -> bool:
    written = running.expression(dashboard, expression)
    if panel.kind == "lines":
        series = running.range(written)
        values = [float(value) for one in series for _, value in one["values"]]
    else:
        values = [float(one["value"][1]) for one in running.instant(written)]
    return any(math.isfinite(value) for value in values)


def test_every_variable_lists_values(running: Replay) -> None:
    for dashboard in PAGES:
        for variable in dashboard.variables:
            series = running.expression(dashboard, variable.series)
            assert running.label_values(series, variable.name), f"{dashboard.key}: {variable.name}"


def test_the_lost_replica_of_the_story_is_seen_on_the_pages(running: Replay) -> None:
    (missing,) = running.instant("isthmus:endpoint_replicas < isthmus:plan_endpoint_replicas")
    assert missing["metric"]["endpoint"] == "confidential-llama-3-1-8b"
    alerts = running.instant('ALERTS{alertname!="Heartbeat"}')
    assert {one["metric"]["alertname"] for one in alerts} == FIRING
    assert {one["metric"]["class"] for one in alerts} == {"confidential", "restricted"}


@pytest.mark.parametrize("dashboard", PAGES, ids=lambda dashboard: dashboard.key)
def test_the_pictures_in_the_docs_are_those_of_the_dashboards(running: Replay, dashboard: Dashboard) -> None:
    file = dashboard_pictures.file_of(dashboard)
    assert file.read_text() == dashboard_pictures.drawn(running, dashboard), (
        "draw them anew: python -m tests.components.dashboard_pictures"
    )
    assert f"pictures/{file.name}" in (dashboard_pictures.PICTURES.parent / "monitoring.md").read_text()


def test_replayed_series_have_names_that_exist() -> None:
    first = itertools.takewhile(lambda timed: timed[0] == replayed_series.START_S, replayed_series.samples())
    assert {name for _, (name, _, _) in first} <= of_others() | exported()


def test_each_series_that_a_rule_selects_is_in_the_replay_or_fires_the_case_of_its_alert(
    running: Replay,
) -> None:
    fired: dict[str, str] = {}
    for case in CASES:
        fired[case.alert] = " ".join([fired.get(case.alert, ""), *case.fires])
    has_series: dict[str, bool] = {}
    empty, of_cases = [], 0
    for group in dashboard_platform.rule_groups():
        for rule in group["rules"]:
            for name, matchers in SELECTOR.findall(rule["expr"]):
                if OF_OTHER_LABEL.search(matchers):
                    continue
                selector = f"{name}{{{matchers}}}"
                if selector not in has_series:
                    has_series[selector] = bool(running.range(f"count({selector})"))
                if has_series[selector]:
                    continue
                of_cases += 1
                if name not in fired.get(rule.get("alert", ""), ""):
                    empty.append(f"{rule.get('alert') or rule.get('record')}: {selector}")
    assert not empty, "\n".join(sorted(set(empty)))
    assert sum(has_series.values()) > of_cases, "most series are in the replay"
