"""The rules and dashboards of the platform of `watched`, as Prometheus and Grafana get them."""

from __future__ import annotations

import json
from typing import Any

from components.observability.dashboards import grafana
from components.observability.dashboards.config_maps import dashboards
from components.observability.dashboards.panels import Dashboard
from tests.components import watched
from tests.components.watched import platform as platform

SITE = "fra1"


def rule_groups() -> list[dict[str, Any]]:
    """The groups of rules of every class."""
    return [group for sensitivity in watched.CLASSES for group in watched.groups(sensitivity)]


def pages() -> list[Dashboard]:
    """The dashboards of the bank's on-prem site."""
    return list(dashboards(platform(), platform().site(SITE)))


def page_json(dashboard: Dashboard, runbooks_url: str | None = None) -> dict[str, Any]:
    """A dashboard as Grafana gets it."""
    return json.loads(grafana.rendered(dashboard, platform().name, SITE, runbooks_url))
