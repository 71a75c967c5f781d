"""Whether a cluster's Prometheus selects the platform's PodMonitors and PrometheusRules."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from isthmus.engine.kubernetes import monitors as kubernetes_monitors
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse

RELEASE = {"matchLabels": {"release": "kube-prometheus-stack"}}


class Watched(KubeClient):
    """A cluster with one Prometheus; without a selector, one with none of that kind."""

    def __init__(self, selector: Any = ..., status: int = 404, rules: Any = None) -> None:
        """`rules`: the selector of rules. Absent: everything."""
        super().__init__("fra1", "https://fra1.invalid", None)
        self.selector = selector
        self.rules = rules or {}
        self.status = status

    def call(self, method: str, path: str, body: Any = None, **_: Any) -> Any:
        if self.selector is ...:
            raise ApiRefusal(self.status, "no")
        meta = {"namespace": "monitoring", "name": "main"}
        return {
            "items": [
                {"metadata": meta, "spec": {"podMonitorSelector": self.selector, "ruleSelector": self.rules}}
            ]
        }


def lines(cluster: KubeClient, **labels: str) -> list[str]:
    data = platform_data()
    data["monitoring"]["labels"] = labels
    return list(kubernetes_monitors.warn_unselected(parse(data), {"fra1": cluster}))


def test_a_prometheus_that_selects_by_release_is_reported_with_the_label_to_set() -> None:
    (line,) = lines(Watched(RELEASE))
    assert "no Prometheus selects the platform's PodMonitors" in line
    assert "monitoring/main selects release=kube-prometheus-stack" in line
    assert "monitoring.labels" in line
    assert lines(Watched(RELEASE), release="kube-prometheus-stack") == []


def test_a_prometheus_that_does_not_select_the_rules_is_reported_too() -> None:
    (line,) = lines(Watched({}, rules=RELEASE))
    assert "no Prometheus selects the platform's PrometheusRules, so no alert fires" in line
    assert "widen `ruleSelector`" in line
    assert lines(Watched({}, rules=RELEASE), release="kube-prometheus-stack") == []
    data = platform_data()
    data["monitoring"]["rules"] = False
    assert list(kubernetes_monitors.warn_unselected(parse(data), {"fra1": Watched({}, rules=RELEASE)})) == []


@pytest.mark.parametrize(
    ("selector", "silent"),
    [
        ({}, True),
        (None, False),
        ({"matchExpressions": [{"key": "release", "operator": "In", "values": ["a", "b"]}]}, True),
        ({"matchExpressions": [{"key": "release", "operator": "NotIn", "values": ["a"]}]}, False),
        ({"matchExpressions": [{"key": "release", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "release", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_label_selectors_match_as_in_kubernetes(selector: Any, silent: bool) -> None:
    assert (lines(Watched(selector), release="a") == []) is silent


@pytest.mark.parametrize("status", [403, 404])
def test_a_cluster_without_or_with_denied_prometheus_kinds_is_not_reported(status: int) -> None:
    assert lines(Watched(status=status)) == []
