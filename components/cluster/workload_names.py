"""The names, labels and parent that all objects of one workload in a cluster share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.cluster.objects import common_labels, metadata, workload_selector


@dataclass(frozen=True)
class WorkloadNames:
    """The names of a workload of one class: its gateway, translator, resolver, sealer or review service."""

    name: str
    """Prefix of the Pulumi names of its objects."""
    sensitivity: str
    role: str
    """Role in its label: gateway, translator, resolver, router, sealer or reviews."""
    namespace: str
    parent: pulumi.ComponentResource
    namespace_objects: Sequence[pulumi.Resource] = ()
    """Its namespace, if it is created with the workload."""

    @property
    def service(self) -> str:
        """Name of its Service, Deployment and ServiceAccount."""
        return f"{self.sensitivity}-{self.role}"

    @property
    def labels(self) -> dict[str, str]:
        return common_labels(self.service, sensitivity=self.sensitivity, role=self.role)

    @property
    def selector(self) -> dict[str, str]:
        return workload_selector(self.service, self.sensitivity)

    @property
    def options(self) -> pulumi.ResourceOptions:
        """Options of an object that belongs to the workload."""
        return pulumi.ResourceOptions(parent=self.parent, depends_on=[*self.namespace_objects])

    def metadata(self, name: pulumi.Input[str] | None = None) -> Any:
        """Metadata of an object in the namespace. `name`: absent for the workload's own name."""
        return metadata(self.service if name is None else name, self.labels, namespace=self.namespace)

    def create_account(self) -> pulumi.Resource:
        """Create its ServiceAccount, without token and permissions."""
        from pulumi_kubernetes.core.v1 import ServiceAccount

        return ServiceAccount(
            f"{self.name}-account",
            metadata=self.metadata(),
            automount_service_account_token=False,
            opts=self.options,
        )

    def create_network_policy(self, ingress: Sequence[Any], egress: Sequence[Any] | None) -> pulumi.Resource:
        """Create the network policy of its pods. `egress`: None for pods that reach nothing."""
        from pulumi_kubernetes.networking.v1 import NetworkPolicy

        spec: Any = {
            "podSelector": {"matchLabels": self.selector},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [*ingress],
            **({} if egress is None else {"egress": [*egress]}),
        }
        return NetworkPolicy(f"{self.name}-network", metadata=self.metadata(), spec=spec, opts=self.options)

    def create_deployment(
        self, spec: Any, dependencies: Sequence[pulumi.Resource], *, update_timeout: str = "12m"
    ) -> pulumi.Resource:
        """Create its Deployment, which waits until its pods are ready."""
        from pulumi_kubernetes.apps.v1 import Deployment

        return Deployment(
            f"{self.name}-server",
            metadata=self.metadata(),
            spec=spec,
            opts=pulumi.ResourceOptions(
                parent=self.parent,
                depends_on=[*dependencies],
                custom_timeouts=pulumi.CustomTimeouts(create="12m", update=update_timeout, delete="10m"),
            ),
        )

    def rolling_spec(
        self, pod: Any, replicas: int | None, annotations: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """The spec of a Deployment that starts a new pod before it ends an old one.

        `replicas`: None where an autoscaler chooses, since a number here would undo its choice at each `up`.
        """
        return {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": self.selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 3,
            "template": {
                "metadata": {"labels": self.labels, **({"annotations": annotations} if annotations else {})},
                "spec": pod,
            },
        }

    def create_disruption_budget(self) -> None:
        """Create a PodDisruptionBudget: one replica at a time may be evicted."""
        from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

        spec: Any = {
            "maxUnavailable": 1,
            "selector": {"matchLabels": self.selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }
        PodDisruptionBudget(f"{self.name}-disruption", metadata=self.metadata(), spec=spec, opts=self.options)
