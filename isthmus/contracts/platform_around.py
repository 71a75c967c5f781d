"""What of others' a platform stands on: who scrapes it, operators of its clusters, who signs. Parts of
`isthmus.contracts.platform`; data only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from isthmus.contracts.platform_pools import GpuOperatorRelease, LabelKey
from isthmus.contracts.words import DnsLabel, KubeName, Mode, Part

LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$")]


class Monitoring(Part):
    namespace: DnsLabel | None = None
    """The only namespace that may scrape models and gateways; needed where there is a cluster."""
    pod_monitors: bool = True
    labels: dict[LabelKey, LabelValue] = {}
    """Labels of every PodMonitor, by which your Prometheus selects them, e.g. `{release: kube-prometheus-stack}`."""
    prometheus_url: str | None = None


class Operators(Part):
    """Cluster singletons of others: `existing` is checked, `off` leaves out what needs them."""

    gpu_operator: Mode = "existing"
    gpu_operator_namespace: DnsLabel = "gpu-operator"
    """Where its MIG manager looks for layouts of nodes whose GPUs are cut in part."""
    gpu_operator_release: GpuOperatorRelease = GpuOperatorRelease()
    """For `gpu_operator: manage`."""
    kueue: Mode = "existing"
    cert_manager: Mode = "existing"
    keda: Mode = "existing"
    """Asked for only where an endpoint is scaled by load."""


class Issuer(Part):
    """The cert-manager issuer that signs gateways, translators and model servers."""

    name: KubeName
    kind: Literal["Issuer", "ClusterIssuer"] = "ClusterIssuer"
