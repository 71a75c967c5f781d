"""Labels that rules select and group by are those that our processes really export."""

from __future__ import annotations

import re

from edge.metrics import Metrics
from tests.components import watched

OF_TARGETS = {"job", "namespace", "pod", "exported_endpoint"}
"""Labels that Prometheus sets on what it scrapes. It renames a process's own `endpoint`."""
OF_OTHER_PROCESSES = {"class"}
"""The sealer, the detector and the notifier write their metrics themselves, with this label or none."""
SELECTOR = re.compile(r"\b(isthmus_\w+)\{([^}]*)\}")
GROUPED = re.compile(r"by \(([^)]*)\)\s*\((isthmus_\w+)\{")
MATCHER = re.compile(r"(\w+)(?:=~|!=|!~|=)\"")


def exported_labels() -> dict[str, set[str]]:
    """Labels of each metric of the edge's registry, by the names of its samples."""
    metrics = Metrics("confidential")
    metrics.watch_audit(lambda: 0.0)
    metrics.watch_models()
    metrics.outbox_oldest()
    metrics.held_ages()
    labels = {}
    for collector, names in metrics._registry._collector_to_names.items():
        own = set(getattr(collector, "_labelnames", ()))
        for name in names:
            renamed = {"exported_endpoint" if label == "endpoint" else label for label in own}
            labels[name] = renamed | ({"le"} if name.endswith("_bucket") else set())
    return labels


def expressions() -> list[str]:
    return [
        rule["expr"]
        for sensitivity in watched.CLASSES
        for group in watched.groups(sensitivity)
        for rule in group["rules"]
    ]


def test_each_selector_has_only_labels_that_the_metric_has() -> None:
    exported, selected = exported_labels(), 0
    for expression in expressions():
        for name, matchers in SELECTOR.findall(expression):
            if name.startswith("isthmus_calibration_"):  # a file of `isthmus calibrate`, not a process
                continue
            known = exported.get(name, OF_OTHER_PROCESSES) | OF_TARGETS
            assert set(MATCHER.findall(matchers)) <= known, f"{name} has no such label: {expression}"
            selected += 1
    assert selected > 100


def test_each_aggregation_keeps_only_labels_that_the_metric_has() -> None:
    exported, kept = exported_labels(), 0
    for expression in expressions():
        for labels, name in GROUPED.findall(expression):
            if not name.startswith("isthmus_calibration_"):
                wanted = {label.strip() for label in labels.split(",")}
                assert wanted <= exported.get(name, OF_OTHER_PROCESSES) | OF_TARGETS, expression
                kept += 1
    assert kept > 10
