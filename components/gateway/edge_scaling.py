"""Settings of the autoscaling of a gateway or translator."""

from typing import NotRequired, TypedDict


class EdgeScaling(TypedDict):
    """Autoscaling of a gateway or translator by CPU use. KEDA must run in the cluster."""

    max_replicas: int
    """Maximum number of replicas. The minimum is the number of planned ones."""
    prometheus_url: str
    """URL of the Prometheus that KEDA queries."""
    authentication: NotRequired[str]
    """TriggerAuthentication in the namespace, with which KEDA signs in to Prometheus."""
