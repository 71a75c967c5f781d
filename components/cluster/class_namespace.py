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
    """Addresses of the site's own resolvers, the only ones that a restricted namespace may use."""
    dns: NotRequired[list[DnsPeer]]
    """The cluster's resolvers, which gateways and translators may use. Absent: the pods of kube-dns."""
    own_resolver: NotRequired[bool]
    """Whether the gateway has its own resolver (`names`); if so, no pod may use the cluster's DNS (default false)."""
    existing: NotRequired[bool]
    """Whether the namespace exists and belongs to the organisation. It gets labels, and survives the stack."""


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
            # The labels stay after destroy, because a namespace without its class would have no rules. Only the
            # labels of the class are set; others stay as they are.
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
            # Only for pods that resolve names: a model server calls nobody.
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
    """Create a namespace for one workload of a class. Returns the namespace, and the objects that isolate it."""
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
    """A quota for this number of pods of one size, without GPUs."""
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

    # Default requests and limits for pods without their own, so that they count against the quota.
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
    # The empty lists are for the reader: the SDK and the API server drop them, so an apply does not remove a rule that
    # somebody added. `isthmus.engine.foreign` does.
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
    """DNS egress of gateways and translators. Empty if the gateway has its own resolver.

    The cluster's DNS forwards unknown names to servers that its operators chose, so a name could leak data. A
    restricted namespace uses the site's own resolvers, which know no cloud zone.
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
