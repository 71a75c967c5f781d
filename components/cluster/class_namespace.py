"""Creates the namespace of a class at a site, with quota, limits and default-deny network policy."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import check_sensitivity, parse_network
from components.cluster.dns import DnsPeer, both_protocols, dns_egress
from components.cluster.objects import CLASS_LABEL, GPU, ROLE_LABEL, class_namespace, common_labels, metadata
from components.cluster.quantities import amount

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

        sensitivity = check_sensitivity(args["sensitivity"], name)
        namespace = class_namespace(sensitivity)
        labels = common_labels(namespace, sensitivity=sensitivity)
        security_labels = pod_security()
        namespace_object: Any
        if args.get("existing", False):
            # Its labels stay when the stack goes: a namespace without its class is one without its rules. Only
            # what makes it the class's is set; whose it is besides, its other labels say.
            namespace_object = NamespacePatch(
                f"{name}-namespace",
                metadata=metadata(namespace, {CLASS_LABEL: sensitivity, **security_labels}),
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
        else:
            namespace_object = Namespace(
                f"{name}-namespace",
                metadata=metadata(namespace, {**labels, **security_labels}),
                opts=pulumi.ResourceOptions(parent=self),
            )
        child_opts = pulumi.ResourceOptions(parent=self, depends_on=[namespace_object])
        isolate_namespace(name, namespace, labels, {"pods": "100", **args.get("quota", {})}, child_opts)
        dns_rules = _dns_egress_rules(sensitivity, args, name)
        if dns_rules:
            # Only what calls others by name: a model server calls no one.
            allow: Any = {
                "podSelector": {
                    "matchExpressions": [
                        {"key": ROLE_LABEL, "operator": "In", "values": ["gateway", "translator"]}
                    ]
                },
                "policyTypes": ["Egress"],
                "egress": dns_rules,
            }
            NetworkPolicy(
                f"{name}-dns",
                metadata=metadata("dns", labels, namespace=namespace),
                spec=allow,
                opts=child_opts,
            )
        self.namespace = namespace_object.metadata.apply(lambda meta: str(meta.name))
        self.register_outputs({"namespace": self.namespace})


def pod_security() -> dict[str, str]:
    """Labels that make a namespace admit only pods of the Pod Security Standard `restricted`."""
    return {f"{_POD_SECURITY}/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}


def create_isolated_namespace(
    name: str, namespace: str, sensitivity: str, quota: dict[str, str], parent: pulumi.Resource
) -> tuple[Any, list[pulumi.Resource]]:
    """Create a namespace for one workload of a class. Returns the namespace, and what isolates it."""
    from pulumi_kubernetes.core.v1 import Namespace

    labels = common_labels(namespace, sensitivity=sensitivity)
    created = Namespace(
        f"{name}-namespace",
        metadata=metadata(namespace, {**labels, **pod_security()}),
        opts=pulumi.ResourceOptions(parent=parent),
    )
    options = pulumi.ResourceOptions(parent=parent, depends_on=[created])
    return created, isolate_namespace(name, namespace, labels, quota, options)


def pods_quota(pods: int, cpu: str, memory: str) -> dict[str, str]:
    """A quota that admits so many pods of one size, and no GPU."""
    total_cpu, total_memory = pods * amount(cpu), pods * amount(memory)
    shown_cpu = str(int(total_cpu)) if total_cpu % 1 == 0 else f"{int(total_cpu * 1000)}m"
    in_gib = total_memory % 2**30 == 0
    shown_memory = f"{int(total_memory / 2**30)}Gi" if in_gib else f"{int(total_memory / 2**20)}Mi"
    return {
        "pods": str(pods),
        "requests.cpu": shown_cpu,
        "limits.cpu": shown_cpu,
        "requests.memory": shown_memory,
        "limits.memory": shown_memory,
        f"requests.{GPU}": "0",
    }


def isolate_namespace(
    name: str, namespace: str, labels: dict[str, str], quota: dict[str, str], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Create quota, default limits and the default-deny network policy of a namespace."""
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
    quota_spec: Any = {"hard": quota}
    # Both lists are stated: the next server-side apply then takes out a rule that somebody added, and else leaves it.
    deny: Any = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}
    meta = metadata("isthmus", labels, namespace=namespace)
    return [
        ResourceQuota(f"{name}-quota", metadata=meta, spec=quota_spec, opts=opts),
        LimitRange(f"{name}-limits", metadata=meta, spec=limits, opts=opts),
        NetworkPolicy(
            f"{name}-default-deny",
            metadata=metadata("default-deny", labels, namespace=namespace),
            spec=deny,
            opts=opts,
        ),
    ]


def _dns_egress_rules(sensitivity: str, args: ClassNamespaceArgs, where: str) -> list[dict[str, Any]]:
    """DNS egress of gateways and translators; empty where the gateway has its own resolver.

    The cluster's DNS forwards what it does not know to whatever its operators chose, so a name could
    carry data out: a restricted namespace asks the site's own resolvers, which know no cloud zone.
    """
    if sensitivity == "restricted":
        return [
            {
                "to": [{"ipBlock": {"cidr": str(parse_network(address, f"{where}.resolvers"))}}],
                "ports": both_protocols(53),
            }
            for address in args.get("resolvers", [])
        ]
    return [] if args.get("own_resolver") else dns_egress(args.get("dns"), f"{where}.dns")
