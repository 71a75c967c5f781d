"""DNS resolvers of a site's cluster, and whether the platform's pods get an allow-list of names. Data model only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from isthmus.contracts.vocabulary import Cidr, DnsLabel, KubeName, Part, Sensitivity
from isthmus.core.errors import FieldError

DnsPreset = Literal["kube-dns", "node-local-dns", "gke-cloud-dns", "openshift"]
DomainName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
Ipv4 = Annotated[str, StringConstraints(pattern=r"^(\d{1,3}\.){3}\d{1,3}$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class DnsPeer(Part):
    """A resolver as a network policy names it: by an address range, or by namespace and labels of its pods."""

    name: DnsLabel
    """Name of the resolver."""
    cidr: Cidr | None = None
    """Address of the resolver, as a network."""
    namespace: KubeName | None = None
    """Namespace of the resolver's pods."""
    labels: dict[str, str] = {}
    """Of the resolver's pods; needed with `namespace`."""
    port: Port = 53
    """At which its pods listen, which may differ from the Service's 53: a network policy sees the pod's port."""

    @model_validator(mode="after")
    def _one_kind(self) -> DnsPeer:
        if (self.cidr is None) == (self.namespace is None):
            raise FieldError(
                f"the resolver `{self.name}` has {'neither' if self.cidr is None else 'both'} `cidr` and `namespace`",
                fix="Set `cidr` for an address, or `namespace` and `labels` for pods",
            )
        if self.namespace is not None and not self.labels:
            raise FieldError(
                f"the resolver `{self.name}` has no labels, so every pod of namespace `{self.namespace}` would match",
                "labels",
                fix="Set `labels` to the labels of the resolver's pods",
            )
        if self.cidr is not None and int(self.cidr.rpartition("/")[2]) < 24:
            raise FieldError(
                f"the resolver `{self.name}` is `{self.cidr}`, which holds more than 256 addresses",
                "cidr",
                fix="Set `cidr` to the resolver's own address, e.g. 10.96.0.10/32",
            )
        return self


_KUBE_DNS = DnsPeer(name="kube-dns", namespace="kube-system", labels={"k8s-app": "kube-dns"})
_NODE_LOCAL = DnsPeer(name="node-local-dns", cidr="169.254.20.10/32")
PRESETS: dict[DnsPreset, tuple[DnsPeer, ...]] = {
    "kube-dns": (_KUBE_DNS,),
    # The cache's pods use the node's network, so most plugins see its address; Cilium's local redirect sees its pods.
    "node-local-dns": (
        _NODE_LOCAL,
        DnsPeer(name="node-local-dns-pods", namespace="kube-system", labels={"k8s-app": "node-local-dns"}),
        _KUBE_DNS,
    ),
    # Port 53 of the metadata server's address; its port 80, which hands out credentials, stays closed.
    "gke-cloud-dns": (_NODE_LOCAL, DnsPeer(name="cloud-dns", cidr="169.254.169.254/32")),
    "openshift": (
        DnsPeer(
            name="openshift-dns",
            namespace="openshift-dns",
            labels={"dns.operator.openshift.io/daemonset-dns": "default"},
            port=5353,
        ),
    ),
}
"""Resolvers of ordinary clusters, by the preset's name."""


class ClusterDns(Part):
    """Name resolution in a site's cluster."""

    presets: list[DnsPreset] = ["kube-dns"]
    """What the cluster runs; empty: `peers` alone."""
    peers: list[DnsPeer] = []
    """Further resolvers, e.g. the address of the cluster's DNS Service where a network plugin compares with that."""
    domain: DomainName = "cluster.local"
    """The cluster's domain."""
    filter: bool = True
    """Gateways and translators ask a resolver of their class, which answers for the names that they need and no
    others. `false`: they ask the cluster's DNS, which forwards any name, so that a name can carry data out."""

    addresses: dict[Sensitivity, Ipv4] = {}
    """Fixed ClusterIPs of the classes' resolvers; absent: the cluster chooses. Manifests for GitOps need them: pods
    name their resolver by address, and a rendering does not know what a cluster will choose."""

    @model_validator(mode="after")
    def _somebody_answers(self) -> ClusterDns:
        if not self.presets and not self.peers:
            raise FieldError(
                "cluster_dns has no resolver: presets and peers are empty",
                "presets",
                fix=f"Add one of the presets {', '.join(PRESETS)}, or add `peers`",
            )
        return self

    @property
    def resolvers(self) -> list[DnsPeer]:
        """All resolvers of the cluster, without duplicates."""
        resolvers = [peer for preset in self.presets for peer in PRESETS[preset]] + self.peers
        return [peer for index, peer in enumerate(resolvers) if peer not in resolvers[:index]]
