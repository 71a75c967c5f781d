"""Warns if no Prometheus of a cluster selects the platform's PodMonitors or rules: then nothing is scraped, or no alert
fires.

A Prometheus (prometheus-operator) scrapes the PodMonitors that match its `podMonitorSelector`, in namespaces that match
its `podMonitorNamespaceSelector`, and evaluates the PrometheusRules that match its `ruleSelector`. Null selects
nothing, an empty selector selects everything. The chart kube-prometheus-stack selects its own release by default:
`release: NAME`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from isthmus.core.kubernetes_client import ApiRefusal

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.core.kubernetes_client import KubeClient

PROMETHEUSES = "/apis/monitoring.coreos.com/v1/prometheuses"
_SELECTORS = {
    "podMonitorSelector": ("PodMonitors", "nothing is scraped and nothing is scaled by load"),
    "ruleSelector": ("PrometheusRules", "no alert fires"),
}
"""Selector of a Prometheus → what it selects, and what happens without it."""


def warn_unselected(platform: Platform, reached: Mapping[str, KubeClient]) -> Iterator[str]:
    """A warning for each site and kind where no Prometheus selects the labels in `monitoring.labels`.

    Clusters without the kind Prometheus are skipped (another agent may scrape), and clusters that refuse the read.
    """
    if not platform.monitoring.pod_monitors:
        return
    for site, cluster in reached.items():
        try:
            answer = cluster.find(PROMETHEUSES)
        except ApiRefusal:
            continue
        for key in _SELECTORS:
            if key != "ruleSelector" or platform.monitoring.has_rules:
                yield from _warn_of_kind(
                    site, key, (answer or {}).get("items") or [], platform.monitoring.labels
                )


def _warn_of_kind(
    site: str, key: str, prometheuses: list[dict[str, Any]], labels: Mapping[str, str]
) -> Iterator[str]:
    selectors = [(prometheus.get("spec") or {}).get(key) for prometheus in prometheuses]
    if not prometheuses or any(selects(selector, labels) for selector in selectors):
        return
    names = ", ".join(
        f"{prometheus['metadata']['namespace']}/{prometheus['metadata']['name']}"
        for prometheus in prometheuses
    )
    shown = "; ".join(_selector_text(selector) for selector in selectors)
    kind, result = _SELECTORS[key]
    yield (
        f"site {site}: no Prometheus selects the platform's {kind}, so {result}. "
        f"{names} selects {shown}. Fix: set these labels in `monitoring.labels`, or widen `{key}`"
    )


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a Kubernetes label selector matches the labels; null matches nothing, `{}` everything."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(
        _expression_matches(expression, labels) for expression in selector.get("matchExpressions") or []
    )


def _expression_matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _selector_text(selector: Mapping[str, Any] | None) -> str:
    if selector is None:
        return "none"
    conditions = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or []:
        conditions.append(
            f"{expression['key']} {expression['operator']} {', '.join(expression.get('values') or [])}".strip()
        )
    return " and ".join(conditions)
