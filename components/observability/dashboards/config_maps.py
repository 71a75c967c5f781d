"""Creates the ConfigMaps from which the sidecar of a site's Grafana takes its dashboards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pulumi

from components.base.platform_lookups import classes_at
from components.cluster.objects import class_namespace, common_labels, metadata
from components.observability.dashboards.pages import DASHBOARDS
from components.observability.dashboards.panels import Dashboard
from components.observability.plan_figures import has_pools
from isthmus.contracts.platform.model.platform import Platform, Site

LABEL = ("grafana_dashboard", "1")
"""The label by which the sidecar of the charts grafana and kube-prometheus-stack finds dashboards."""


def create_dashboards(
    name: str,
    platform: Platform,
    site: Site,
    namespaces: Mapping[str, pulumi.Resource],
    opts: pulumi.ResourceOptions,
) -> None:
    """Create a ConfigMap for each dashboard of a site, unless the platform has none.

    They are in the namespace of the site's least sensitive class: they show figures of all its classes and no text.
    `name`: prefix of the Pulumi names. `namespaces`: by class, which the objects wait for. `opts`: parent and provider.
    """
    classes = classes_at(platform, site)
    if not (platform.monitoring.has_dashboards and classes):
        return
    from pulumi_kubernetes.core.v1 import ConfigMap

    # Grafana's SDK is loaded only here.
    from components.observability.dashboards import grafana

    sensitivity = classes[0]
    awaited = [namespaces[sensitivity]] if sensitivity in namespaces else []
    for dashboard in dashboards(platform, site):
        file = f"isthmus-{dashboard.key}"
        labels = {**common_labels(file, sensitivity=sensitivity), LABEL[0]: LABEL[1]}
        text = grafana.rendered(dashboard, platform.name, site.name, platform.monitoring.runbooks_url)
        ConfigMap(
            f"{name}-dashboard-{dashboard.key}",
            metadata=metadata(f"{file}-dashboard", labels, namespace=class_namespace(sensitivity)),
            data={f"{file}.json": text},
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=awaited)),
        )


def dashboards(platform: Platform, site: Site) -> Iterator[Dashboard]:
    """The dashboards that a site needs: those of GPU pools and reviews only where it has some."""
    has_reviews = any(
        gateway.site == site.name and gateway.runs_on == "kubernetes" and gateway.reviews is not None
        for gateway in platform.gateways
    )
    for dashboard in DASHBOARDS:
        if (dashboard.key != "gpu-pool" or has_pools(platform, site)) and (
            dashboard.key != "reviews" or has_reviews
        ):
            yield dashboard
