"""The PrometheusRules of a platform: where they are, whom their alerts name, and which metrics they read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components.observability import service_levels
from components.observability.dashboards.pages import DASHBOARDS
from components.observability.prometheus_rules import class_groups
from components.observability.rules import RUNBOOKS
from edge.config.gateway import Slo
from edge.metrics import Metrics
from isthmus.contracts.platform.model.callers import Allowance
from tests.components import watched
from tests.components.alert_cases import CASES
from tests.components.conftest import Engine, build
from tests.components.metric_names import exported, names_in, of_others
from tests.components.platforms import bank

ROOT = Path(__file__).resolve().parents[2]
ALERT_LABELS = {
    *("class", "site", "owner", "severity", "workload", "goal", "endpoint", "service"),
    *("pool", "team", "of", "limited", "unit"),
}
"""Labels of alerts and recording rules: each has as many values as the platform has names."""
SERIES_LABELS = {
    *("class", "workload", "exported_endpoint", "certificate", "of", "limited", "unit", "model", "name"),
    *("served_model", "pod", "cluster_queue", "Hostname", "gpu"),
}
"""Labels by which expressions keep series apart."""


def deploy(engine: Engine, **monitoring: Any) -> list[Any]:
    data = bank()
    data["monitoring"] |= monitoring
    build(engine, data)
    return engine.all("PrometheusRule")


def test_each_class_of_a_cluster_has_its_rules_in_its_own_namespace(engine: Engine) -> None:
    rules = deploy(engine, labels={"release": "kube-prometheus-stack"})
    assert {rule.meta["namespace"] for rule in rules} == {
        f"isthmus-{sensitivity}" for sensitivity in ("restricted", "confidential", "internal", "public")
    }
    assert {rule.meta["labels"]["release"] for rule in rules} == {"kube-prometheus-stack"}
    for rule in rules:
        sensitivity = rule.meta["namespace"].removeprefix("isthmus-")
        assert any(sensitivity in name for name in rule.depends_on), "its namespace may not be there yet"
        for group in rule.spec["groups"]:
            alerts = [entry for entry in group["rules"] if "alert" in entry]
            assert {alert["labels"]["class"] for alert in alerts} <= {sensitivity}


@pytest.mark.parametrize("monitoring", [{"rules": False}, {"pod_monitors": False}])
def test_without_rules_or_without_metrics_there_are_no_rules(
    engine: Engine, monitoring: dict[str, Any]
) -> None:
    assert deploy(engine, **monitoring) == []


@pytest.mark.parametrize("asks", [True, False])
def test_gateways_ask_their_models_and_alerts_read_it_or_neither_does(engine: Engine, *, asks: bool) -> None:
    made = deploy(engine, model_probes=asks)
    alerts = {
        rule.get("alert") for entry in made for group in entry.spec["groups"] for rule in group["rules"]
    }
    named = {"ModelNotAnswering", "ModelAnswersPartly"}
    assert alerts & named == (named if asks else set())
    configs = [
        YAML(typ="safe").load(entry.inputs["data"]["config.yaml"])
        for entry in engine.all("ConfigMap")
        if "config.yaml" in entry.inputs["data"]
    ]
    sections = [config.get("model_probes") for config in configs if config["mode"] == "gateway"]
    assert len(sections) == 4
    wanted = {"interval_s": 60, "timeout_s": 10} if asks else None
    assert all(section == wanted for section in sections)


def rules() -> list[dict[str, Any]]:
    return [
        rule
        for sensitivity in watched.CLASSES
        for group in watched.groups(sensitivity)
        for rule in group["rules"]
    ]


def test_each_alert_says_what_is_wrong_who_notices_and_who_acts() -> None:
    for alert in watched.alerts():
        assert alert["labels"].keys() >= {"class", "site", "owner", "severity"}, alert["alert"]
        assert alert["labels"]["severity"] in ("page", "ticket", "heartbeat")
        for key in ("summary", "impact"):
            assert len(alert["annotations"][key]) > 15, alert["alert"]


def test_the_team_of_a_workload_owns_its_alerts_and_a_tag_names_the_owner_of_the_others() -> None:
    owners = {
        (alert["labels"].get("workload") or alert["labels"].get("team", ""), alert["labels"]["owner"])
        for alert in watched.alerts()
        if alert["labels"]["class"] == watched.CLASS
    }
    assert owners == {("kyc-extraction", watched.TEAM), (watched.TEAM, watched.TEAM), ("", watched.OWNER)}


def test_a_month_s_limit_is_watched_for_each_team_and_workload_that_has_one() -> None:
    built = watched.platform()
    [gateway] = [gateway for gateway in built.gateways if gateway.class_ == watched.CLASS]
    [kyc] = gateway.workloads
    limited = kyc.model_copy(update={"allowance": Allowance(tokens_per_month=10)})
    nobodys = limited.model_copy(update={"name": "letters", "team": None, "canary": None, "calibrations": []})
    changed = gateway.model_copy(update={"workloads": [limited, nobodys]})
    others = [other for other in built.gateways if other.class_ != watched.CLASS]
    platform = built.model_copy(update={"gateways": [*others, changed]})
    found = [
        (alert["labels"].get("team"), alert["labels"].get("workload"), alert["labels"]["owner"])
        for group in class_groups(platform, platform.site("fra1"), watched.CLASS)
        for alert in group["rules"]
        if alert.get("alert") == "MonthUsed"
    ]
    assert found == [
        (watched.TEAM, None, watched.TEAM),
        (None, "kyc-extraction", watched.TEAM),
        (None, "letters", watched.OWNER),
    ]


def test_each_alert_has_a_section_in_the_runbooks_and_each_section_an_alert() -> None:
    names = {alert["alert"] for alert in watched.alerts()}
    sections = re.findall(r"^### (\w+)$", (ROOT / RUNBOOKS).read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(names)
    for alert in watched.alerts():
        assert alert["annotations"]["runbook"] == f"{RUNBOOKS}#{alert['alert'].lower()}"


def test_each_alert_has_series_that_fire_it_and_series_that_do_not() -> None:
    tried = {(case.alert, case.severity) for case in CASES} | {
        ("Heartbeat", "heartbeat"),
        ("ServiceDown", "ticket"),
    }
    of_class = {
        (alert["alert"], alert["labels"]["severity"])
        for alert in watched.alerts()
        if alert["labels"]["class"] == watched.CLASS
    }
    assert of_class == tried
    assert {alert["alert"] for alert in watched.alerts()} == {name for name, _ in tried}


def test_a_page_needs_ten_bad_events_or_two_failed_probes() -> None:
    for alert in watched.alerts():
        if alert["labels"]["severity"] == "page":
            pairs = re.split(r"\) or \((?=isthmus:)", alert["expr"])
            counted = all(">= 10" in pair for pair in pairs)
            scraped = re.search(r"== 0$", alert["expr"]) is not None and alert["for"] == "2m"
            probed = re.search(r"isthmus_model_probe_failures\{[^}]*\}\) >= 2$", alert["expr"]) is not None
            assert counted or scraped or probed, f"{alert['alert']} could wake somebody for one request"


def test_labels_have_few_values_and_none_names_a_person_or_a_text() -> None:
    for rule in rules():
        assert set(rule["labels"]) <= ALERT_LABELS, rule
        for kept in re.findall(r"by \(([^)]*)\)", rule["expr"]):
            assert {label.strip() for label in kept.split(",")} <= SERIES_LABELS, rule["expr"]


def test_each_expression_reads_metrics_that_exist() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known, read = exported() | of_others() | recorded, set()
    for rule in rules():
        names = names_in(rule["expr"])
        assert names or re.fullmatch(r"vector\(\d+(\.\d+)?\)", rule["expr"]), rule["expr"]
        assert names <= known, f"{rule['expr']} reads {names - known}"
        read |= names
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            read |= {name for query in panel.queries for name in names_in(query.expression)}
        read |= {name for variable in dashboard.variables for name in names_in(variable.series)}
    assert recorded <= read, "a recording rule that nothing reads"


def test_names_are_read_from_expressions() -> None:
    expression = (
        'sum by (a) (rate(isthmus_x_total{job="a/b{c}"}[5m])) > 6e9 * vllm:y{job="up"} and isthmus:z or plain'
    )
    assert names_in(expression) == {"isthmus_x_total", "vllm:y", "isthmus:z", "plain"}


def test_every_error_of_the_platform_counts_against_availability() -> None:
    codes = json.loads((ROOT / "tests/fixed_interfaces/samples/error_codes.json").read_text())
    ours = {
        code for code, statuses in codes.items() if any(int(status) >= 500 for status in statuses.split())
    }
    counted, left_out = set(service_levels.FAILURES), set(service_levels.NOT_FAILURES)
    assert ours == (counted | left_out) - {"audit_unregistered", "audit_unsealed", "model_busy"}
    assert counted <= set(codes), "a code that no gateway has"
    assert not counted & left_out


def test_the_goals_of_times_are_boundaries_of_the_gateways_histograms() -> None:
    expressions = " ".join(rule["expr"] for rule in rules())
    boundaries = set(re.findall(r'le="([^"]+)"', expressions))
    workloads = [workload for gateway in watched.platform().gateways for workload in gateway.workloads]
    metrics = Metrics(
        "internal", [Slo(**w.slo.model_dump(exclude={"availability"})) for w in workloads if w.slo]
    )
    for histogram in (metrics._times._first_token, metrics._times._per_token, metrics._times._seconds):
        histogram.labels("internal", "t", "w", "m", "").observe(1)
    assert boundaries <= set(re.findall(r'le="([^"]+)"', metrics.text().decode()))
