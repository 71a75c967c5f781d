"""The namespace of a class at a site: nothing gets in or out of it but what is named."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import network, sensitivity
from components.cluster.dns import DnsPeer, both_protocols, dns_egress
from components.cluster.objects import CLASS_LABEL, ROLE_LABEL, class_namespace, labels, metadata

_POD_SECURITY = "pod-security.kubernetes.io"


class ClassNamespaceArgs(TypedDict):
    """The namespace of a class at a site."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    quota: NotRequired[dict[str, str]]
    """Hard limits of the namespace's ResourceQuota, by resource, e.g. `requests.nvidia.com/gpu: "8"`."""
    resolvers: NotRequired[list[str]]
    """Addresses of the site's own resolvers. A restricted namespace may ask these and no others."""
    dns: NotRequired[list[DnsPeer]]
    """The cluster's resolvers, which gateways and translators may ask; absent: the pods of kube-dns."""
    own_resolver: NotRequired[bool]
    """The gateway brings a resolver of its own (`names`): no other pod asks the cluster's DNS (default false)."""
    existing: NotRequired[bool]
    """The namespace is there and the organisation's: it is labelled, and outlives the stack."""


class ClassNamespace(pulumi.ComponentResource):
    """A namespace under Pod Security `restricted`, with quota, limits and default-deny network policy."""

    namespace: pulumi.Output[str]
    """Name of the namespace: `isthmus-CLASS`."""

    def __init__(
        self, name: str, args: ClassNamespaceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:ClassNamespace", name, dict(args), opts)
        from pulumi_kubernetes.core.v1 import Namespace, NamespacePatch
        from pulumi_kubernetes.networking.v1 import NetworkPolicy

        held = sensitivity(args["sensitivity"], name)
        space = class_namespace(held)
        own = labels(space, sensitivity=held)
        enforced = pod_security()
        made: Any
        if args.get("existing", False):
            # Its labels stay when the stack goes: a namespace without its class is one without its rules. Only
            # what makes it the class's is set; whose it is besides, its other labels say.
            made = NamespacePatch(
                f"{name}-namespace",
                metadata=metadata(space, {CLASS_LABEL: held, **enforced}),
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
        else:
            made = Namespace(
                f"{name}-namespace",
                metadata=metadata(space, {**own, **enforced}),
                opts=pulumi.ResourceOptions(parent=self),
            )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[made])
        closed(name, space, own, {"pods": "100", **args.get("quota", {})}, inside)
        ways = _dns_ways(held, args, name)
        if ways:
            # Only what calls others by name: a model server calls no one.
            allow: Any = {
                "podSelector": {
                    "matchExpressions": [
                        {"key": ROLE_LABEL, "operator": "In", "values": ["gateway", "translator"]}
                    ]
                },
                "policyTypes": ["Egress"],
                "egress": ways,
            }
            NetworkPolicy(
                f"{name}-dns", metadata=metadata("dns", own, namespace=space), spec=allow, opts=inside
            )
        self.namespace = made.metadata.apply(lambda m: str(m.name))
        self.register_outputs({"namespace": self.namespace})


def pod_security() -> dict[str, str]:
    """Labels by which a namespace takes pods of the standard `restricted` only."""
    return {f"{_POD_SECURITY}/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}


def closed(
    name: str, space: str, own: dict[str, str], quota: dict[str, str], inside: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Quota, limits and default-deny of a namespace."""
    from pulumi_kubernetes.core.v1 import LimitRange, ResourceQuota
    from pulumi_kubernetes.networking.v1 import NetworkPolicy

    # A pod that asks for nothing still gets a bound, and counts against the quota.
    limits: Any = {
        "limits": [
            {
                "type": "Container",
                "default": {"cpu": "500m", "memory": "512Mi"},
                "defaultRequest": {"cpu": "250m", "memory": "256Mi"},
            }
        ]
    }
    most: Any = {"hard": quota}
    # Both lists are stated: the next server-side apply then takes out a rule that somebody added, and else leaves it.
    deny: Any = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}
    meta = metadata("isthmus", own, namespace=space)
    return [
        ResourceQuota(f"{name}-quota", metadata=meta, spec=most, opts=inside),
        LimitRange(f"{name}-limits", metadata=meta, spec=limits, opts=inside),
        NetworkPolicy(
            f"{name}-default-deny",
            metadata=metadata("default-deny", own, namespace=space),
            spec=deny,
            opts=inside,
        ),
    ]


def _dns_ways(held: str, args: ClassNamespaceArgs, where: str) -> list[dict[str, Any]]:
    """Whom gateways and translators may ask for addresses; nobody where the gateway brings its own resolver.

    The cluster's DNS forwards what it does not know to whatever its operators chose, so a name could
    carry data out: a restricted namespace asks the site's own resolvers, which know no cloud zone.
    """
    if held == "restricted":
        return [
            {
                "to": [{"ipBlock": {"cidr": str(network(address, f"{where}.resolvers"))}}],
                "ports": both_protocols(53),
            }
            for address in args.get("resolvers", [])
        ]
    return [] if args.get("own_resolver") else dns_egress(args.get("dns"), f"{where}.dns")
