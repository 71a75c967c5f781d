"""All dashboards of a site, in the order in which a person looks at them."""

from __future__ import annotations

from components.observability.dashboards import (
    cost_page,
    endpoint_page,
    gateway_page,
    gpu_pool_page,
    platform_page,
    reviews_page,
    workload_page,
)
from components.observability.dashboards.panels import Dashboard

DASHBOARDS: tuple[Dashboard, ...] = tuple(
    page.DASHBOARD
    for page in (
        platform_page,
        workload_page,
        endpoint_page,
        gpu_pool_page,
        gateway_page,
        reviews_page,
        cost_page,
    )
)
