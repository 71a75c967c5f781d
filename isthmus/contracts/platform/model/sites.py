"""Cluster services that a platform depends on: monitoring, operators, pod priorities, issuer. Data model only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from isthmus.contracts.platform.model.people import HttpsUrl
from isthmus.contracts.platform.model.pools import GpuOperatorRelease, LabelKey
from isthmus.contracts.vocabulary import DnsLabel, KubeName, Mode, Part
from isthmus.core.errors import FieldError

LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$")]


class Monitoring(Part):
    """Who scrapes metrics, and where autoscaling reads them."""

    namespace: DnsLabel | None = None
    """The only namespace that may scrape models and gateways; needed where there is a cluster."""
    pod_monitors: bool = True
    """Whether a PodMonitor is made for each model server and gateway."""
    rules: bool = True
    """Whether each class gets a PrometheusRule with recording rules and alerts. Only where `pod_monitors` is true."""
    dashboards: bool = True
    """Whether each site with a cluster gets dashboards for Grafana. Only where there are `rules`."""
    model_probes: bool = True
    """Whether gateways in a cluster ask each of their models a question of one token once a minute. An alert fires if a
    model does not answer."""
    model_probes_by_token: bool = False
    """Whether models that are billed by the token are asked too. Each copy of the gateway then pays for 43,200 short
    requests a month to each such model."""
    runbooks_url: HttpsUrl | None = None
    """Address at which your people read `docs/runbooks.md`. Alerts and dashboards refer to its sections. Absent: alerts
    name the file, and dashboards have no such links."""
    labels: dict[LabelKey, LabelValue] = {}
    """Labels of every PodMonitor and PrometheusRule, by which your Prometheus selects them, e.g.
    `{release: kube-prometheus-stack}`."""
    prometheus_url: str | None = None
    """URL of your Prometheus, by which autoscaling reads the load."""

    @property
    def has_rules(self) -> bool:
        """Whether classes get rules: without PodMonitors they would have no data."""
        return self.pod_monitors and self.rules

    @property
    def has_dashboards(self) -> bool:
        """Whether sites get dashboards: without rules they would miss the plan's figures."""
        return self.has_rules and self.dashboards


class Operators(Part):
    """Operators of the cluster. `existing`: Isthmus checks that they are there. `off`: features that need them are
    off."""

    gpu_operator: Mode = "existing"
    """NVIDIA's GPU Operator. `manage`: Isthmus installs it."""
    gpu_operator_namespace: DnsLabel = "gpu-operator"
    """Where its MIG manager looks for layouts of nodes whose GPUs are cut in part."""
    gpu_operator_release: GpuOperatorRelease = GpuOperatorRelease()
    """For `gpu_operator: manage`."""
    kueue: Mode = "existing"
    """Kueue, which divides GPUs between classes and teams."""
    cert_manager: Mode = "existing"
    """cert-manager, which issues certificates."""
    keda: Mode = "existing"
    """Asked for only where an endpoint is scaled by load."""


class PodPriorities(Part):
    """PriorityClasses of the platform's pods: which pods the scheduler evicts first if nodes are short."""

    mode: Mode = "manage"
    """`existing`: the organisation's own, by name. `off`: pods bear none, and have the cluster's default."""
    gateway: KubeName = "isthmus-gateway"
    """PriorityClass of gateways and of what they cannot do without: translators, sealers, reviews."""
    model: KubeName = "isthmus-model"
    """PriorityClass of model servers, and of what fetches their weights."""
    gateway_value: int = Field(default=1_000_000, ge=1, le=1_000_000_000)
    """`manage`: other pods have 0 unless they state a class; Kubernetes' own have 2,000,000,000."""
    model_value: int = Field(default=900_000, ge=1, le=1_000_000_000)
    """`manage`: less than the gateways'."""

    @field_validator("model_value")
    @classmethod
    def _below_gateways(cls, value: int, info: ValidationInfo) -> int:
        gateway = info.data.get("gateway_value")
        if gateway is not None and value >= gateway:
            raise FieldError(
                f"model_value {value} is not below gateway_value {gateway}, so a model could evict its gateway",
                fix=f"Set model_value below {gateway}",
            )
        return value

    @model_validator(mode="after")
    def _two_classes(self) -> PodPriorities:
        if self.mode == "manage" and self.gateway == self.model:
            raise FieldError(
                f"gateway and model have the same PriorityClass `{self.model}`",
                "model",
                fix="Set another name for `model`",
            )
        return self


class Issuer(Part):
    """The cert-manager issuer that signs gateways, translators and model servers."""

    name: KubeName
    """Name of the issuer."""
    kind: Literal["Issuer", "ClusterIssuer"] = "ClusterIssuer"
    """`Issuer` of a namespace, or `ClusterIssuer` of the whole cluster."""
