"""Creates the PrometheusRule of each class at a site: what its goals, plan and services make worth watching.

It is in the namespace of its class, beside the PodMonitors, and has their labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pulumi

from components.base.platform_lookups import classes_at
from components.cluster.objects import class_namespace, common_labels, custom_resource, metadata
from components.observability import (
    gateway_alerts,
    model_alerts,
    plan_figures,
    service_alerts,
    service_levels,
)
from components.observability.rules import RUNBOOKS, Alert, Group, job
from isthmus.contracts.platform.lookups.serving import scaled_endpoints
from isthmus.contracts.platform.model.platform import Gateway, Platform, Site
from isthmus.contracts.vocabulary import VLLM_TARGETS

NAME = "isthmus"
"""Name of the PrometheusRule in each class's namespace."""
OWNER_TAG = "owner"
"""Key of `tags` whose value is the label `owner` of alerts."""
DEFAULT_OWNER = "platform"


def create_rules(
    name: str,
    platform: Platform,
    site: Site,
    namespaces: Mapping[str, pulumi.Resource],
    opts: pulumi.ResourceOptions,
) -> None:
    """Create a PrometheusRule for each class at a site, unless the platform has none.

    `name`: prefix of the Pulumi names. `namespaces`: by class, which the objects wait for. `opts`: parent and provider.
    """
    if not platform.monitoring.has_rules:
        return
    for sensitivity in classes_at(platform, site):
        labels = {**platform.monitoring.labels, **common_labels(NAME, sensitivity=sensitivity)}
        awaited = [namespaces[sensitivity]] if sensitivity in namespaces else []
        custom_resource(
            f"{name}-{sensitivity}-rules",
            "monitoring.coreos.com/v1",
            "PrometheusRule",
            metadata(NAME, labels, namespace=class_namespace(sensitivity)),
            {"spec": {"groups": class_groups(platform, site, sensitivity)}},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=awaited)),
        )


def class_groups(platform: Platform, site: Site, sensitivity: str) -> list[dict[str, Any]]:
    """The groups of a class at a site, as Prometheus reads them."""
    owner = platform.tags.get(OWNER_TAG, DEFAULT_OWNER)
    labels = {"class": sensitivity, "site": site.name}
    runbooks = platform.monitoring.runbooks_url or RUNBOOKS
    gateway = next(
        (
            gateway
            for gateway in platform.gateways
            if (gateway.class_, gateway.site, gateway.runs_on) == (sensitivity, site.name, "kubernetes")
        ),
        None,
    )
    groups = [
        *_gateway_groups(platform, site, gateway),
        *_capacity_groups(platform, site, sensitivity),
        plan_figures.plan_group(platform, site, sensitivity, gateway),
    ]
    rendered = [
        {**group.rendered(labels, owner, runbooks), "name": f"isthmus-{sensitivity}-{group.name}"}
        for group in groups
        if group.rules
    ]
    if gateway is not None:
        teams = {workload.name: workload.team for workload in gateway.workloads if workload.team}
        for rule in (rule for group in rendered for rule in group["rules"] if "alert" in rule):
            labels_of_rule = rule["labels"]
            if team := labels_of_rule.get("team") or teams.get(labels_of_rule.get("workload", "")):
                labels_of_rule["owner"] = team
    return rendered


def _gateway_groups(platform: Platform, site: Site, gateway: Gateway | None) -> Iterator[Group]:
    if gateway is None:
        return
    namespace = class_namespace(gateway.class_)
    has_resolver = site.cluster_dns.filter and gateway.class_ != "restricted"
    for workload in gateway.workloads:
        yield from service_levels.goal_groups(job(namespace, f"{gateway.class_}-gateway"), workload)
    yield from gateway_alerts.gateway_groups(platform, namespace, gateway)
    yield service_alerts.service_group(platform, namespace, gateway, has_resolver=has_resolver)


def _capacity_groups(platform: Platform, site: Site, sensitivity: str) -> Iterator[Group]:
    namespace, scaled = class_namespace(sensitivity), scaled_endpoints(platform)
    endpoints = [
        endpoint
        for endpoint in platform.endpoints
        if endpoint.class_ == sensitivity and endpoint.site == site.name and endpoint.target in VLLM_TARGETS
    ]
    for endpoint in endpoints:
        yield model_alerts.model_group(namespace, endpoint, scaled.get(endpoint.id))
    pools = {endpoint.pool for endpoint in endpoints if endpoint.pool is not None}
    if pools:
        yield model_alerts.gpu_group(namespace)
        if platform.operators.kueue != "off":
            yield model_alerts.queue_group(sensitivity, sorted(pools))
    yield model_alerts.pod_group(namespace)
    yield Group("heartbeat", [_heartbeat(site, sensitivity)])


def _heartbeat(site: Site, sensitivity: str) -> Alert:
    """Fires always. Whoever receives it raises the alarm when it stops: then Prometheus or Alertmanager is down."""
    return Alert(
        "Heartbeat",
        "vector(1)",
        "heartbeat",
        f"Alerts of class {sensitivity} at {site.name} reach you",
        "Nothing. When this alert stops, no other alert arrives either",
    )
