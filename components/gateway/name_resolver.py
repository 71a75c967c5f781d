"""A class's own resolver: CoreDNS with an allow-list of names, for the class's gateway and translator.

The cluster's DNS forwards every name that it does not know, so whoever may ask it can spell data into names. This
resolver forwards A and AAAA queries for exact names only, and answers NXDOMAIN to every other name by itself.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict
from urllib.parse import urlsplit

import pulumi

from components.aws.common.names import domain as aws_domain
from components.cluster.dns import DnsPeer, both_protocols, dns_egress
from components.cluster.objects import CLASS_LABEL, ROLE_LABEL, labels, metadata, selector
from components.cluster.pod_defaults import container_security, health_probe, pod, ranked, same
from components.gateway.translator.translator import TranslatorSettings
from components.observability.pod_monitor import pod_monitor, scraped_from
from components.serving.placement import ZONE, over_domains
from isthmus.core.errors import InputError

DNS_PORT = 1053
"""Of its pods; the Service has 53."""
METRICS_PORT = 9153
ASKERS = ["gateway", "translator"]
"""Roles of the pods that may ask it."""
CPU, MEMORY = "250m", "128Mi"
REPLICAS = 2
_CONFIG = "/etc/coredns"


class NameResolver(TypedDict):
    """The resolver of a class: which program, and whom it asks."""

    image: pulumi.Input[str]
    """Image of CoreDNS, by digest."""
    domain: NotRequired[str]
    """The cluster's domain (default cluster.local)."""
    peers: NotRequired[list[DnsPeer]]
    """The cluster's resolvers, which it alone may ask; absent: the pods of kube-dns."""
    address: NotRequired[str]
    """Fixed ClusterIP of its Service; absent: the cluster chooses."""
    replicas: NotRequired[int]
    """Copies (default 2)."""


@dataclass(frozen=True)
class Resolving:
    """What a pod needs to ask it; of a pod that asks the cluster's DNS, nothing."""

    pod: dict[str, Any] = field(default_factory=dict)
    """Of the pod's spec."""
    before: list[pulumi.Resource] = field(default_factory=list)
    """What must be there before the pod starts."""


def resolver_name(sensitivity: str) -> str:
    """Its Service and Deployment."""
    return f"{sensitivity}-resolver"


def corefile(names: Iterable[str]) -> str:
    """CoreDNS's configuration. `names`: absolute names, each ending in a dot; every other name is NXDOMAIN.

    A query for another type of an allowed name gets an empty answer: the name exists, and nothing is forwarded.
    """
    allowed = ", ".join(f"'{name}'" for name in sorted({name.lower() for name in names}))
    known = f"name() in [{allowed}]"
    return f"""\
.:{DNS_PORT} {{
    view needed {{
        expr {known} && type() in ['A', 'AAAA']
    }}
    errors
    health :9090 {{
        lameduck 10s
    }}
    prometheus :{METRICS_PORT}
    cache 30
    forward . /etc/resolv.conf
}}
.:{DNS_PORT} {{
    view other-types {{
        expr {known}
    }}
    prometheus :{METRICS_PORT}
    template ANY ANY {{
        rcode NOERROR
    }}
}}
.:{DNS_PORT} {{
    prometheus :{METRICS_PORT}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def aws_names(settings: TranslatorSettings | None) -> list[pulumi.Input[str]]:
    """Hosts of AWS that a translator and its credential helper call."""
    if settings is None:
        return []
    found: list[pulumi.Input[str]] = []
    for model in settings["models"]:
        service = "runtime.sagemaker" if model.get("provider") == "sagemaker" else "bedrock-runtime"
        found.append(_host(model.get("endpoint_url"), service, model["region"]))
    proof = settings.get("identity")
    if proof is not None:
        found.append(_host(proof.get("endpoint_url"), "rolesanywhere", proof["region"]))
    return found


def _host(url: pulumi.Input[str] | None, service: str, region: str) -> pulumi.Input[str]:
    if url is None:
        return f"{service}.{region}.{aws_domain(region)}"
    return pulumi.Output.from_input(url).apply(lambda text: urlsplit(text).hostname or text)


def name_resolver(
    name: str,
    sensitivity: str,
    namespace: str,
    settings: NameResolver,
    services: Iterable[str],
    outside: Iterable[pulumi.Input[str]],
    parent: pulumi.ComponentResource,
    *,
    monitoring_namespace: str,
    pod_monitors: bool,
    pull_secrets: list[str] | None,
    pod_priority: str | None = None,
    monitor_labels: Mapping[str, str] | None = None,
    failure_domain_label: str = ZONE,
) -> Resolving:
    """Make it. `services`: names in the cluster as pods call them, e.g. `llama.isthmus-internal.svc`; `outside`: hosts
    outside the cluster."""
    from pulumi_kubernetes.apps.v1 import Deployment
    from pulumi_kubernetes.core.v1 import ConfigMap, Service, ServiceAccount
    from pulumi_kubernetes.networking.v1 import NetworkPolicy
    from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

    if sensitivity == "restricted":
        raise InputError(
            "a restricted gateway asks the site's own resolvers, and its servers stand in its hosts file",
            where=f"{namespace}.names",
            fix="Leave `names` out for the restricted class",
        )
    service = resolver_name(sensitivity)
    own = labels(service, sensitivity=sensitivity, role="resolver")
    chosen = selector(service, sensitivity)
    child = pulumi.ResourceOptions(parent=parent)
    domain = settings.get("domain", "cluster.local")
    inside = [f"{each}.{domain}." for each in services]
    hosts = pulumi.Output.all(*outside).apply(lambda each: [f"{host}." for host in each])
    text = hosts.apply(lambda each: corefile([*inside, *each]))
    called = text.apply(lambda t: f"{service}-config-{hashlib.sha256(t.encode()).hexdigest()[:10]}")
    config = ConfigMap(
        f"{name}-config",
        metadata=metadata(called, own, namespace=namespace),
        data={"Corefile": text},
        immutable=True,
        opts=child,
    )
    meta = metadata(service, own, namespace=namespace)
    account = ServiceAccount(
        f"{name}-account", metadata=meta, automount_service_account_token=False, opts=child
    )
    askers: Any = {"matchExpressions": [{"key": ROLE_LABEL, "operator": "In", "values": ASKERS}]}
    around: Any = {
        "podSelector": {"matchLabels": chosen},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": [{"podSelector": askers}], "ports": both_protocols(DNS_PORT)},
            scraped_from(monitoring_namespace, METRICS_PORT),
        ],
        "egress": dns_egress(settings.get("peers"), f"{service}.peers"),
    }
    policy = NetworkPolicy(f"{name}-network", metadata=meta, spec=around, opts=child)
    resolver = {ROLE_LABEL: "resolver", CLASS_LABEL: sensitivity}
    to: Any = {
        "podSelector": askers,
        "policyTypes": ["Egress"],
        "egress": [{"to": [{"podSelector": {"matchLabels": resolver}}], "ports": both_protocols(DNS_PORT)}],
    }
    way = NetworkPolicy(
        f"{name}-ask", metadata=metadata(f"to-{service}", own, namespace=namespace), spec=to, opts=child
    )
    security = container_security()
    # The image's program has this file capability: without it the kernel refuses to start it (EPERM).
    security["capabilities"] = {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}
    box: dict[str, Any] = {
        "name": "resolver",
        "image": settings["image"],
        "args": ["-conf", f"{_CONFIG}/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": DNS_PORT, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": DNS_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "volumeMounts": [{"name": "config", "mountPath": _CONFIG, "readOnly": True}],
        "resources": same(CPU, MEMORY),
        "securityContext": security,
        "startupProbe": health_probe(2, 60),
        "readinessProbe": health_probe(5, 3),
        "livenessProbe": health_probe(10, 6),
    }
    spec: Any = {
        "replicas": settings.get("replicas", REPLICAS),
        "selector": {"matchLabels": chosen},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 3,
        "template": {
            "metadata": {"labels": own},
            "spec": pod(
                service,
                [box],
                [{"name": "config", "configMap": {"name": config.metadata["name"], "defaultMode": 0o440}}],
                pull_secrets=pull_secrets,
                # Its /etc/resolv.conf names the cluster's resolver, to which it forwards.
                dnsPolicy="ClusterFirst",
                topologySpreadConstraints=over_domains(chosen, failure_domain_label),
                **ranked(pod_priority),
            ),
        },
    }
    server = Deployment(
        f"{name}-server",
        metadata=meta,
        spec=spec,
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=[account, policy, config],
            custom_timeouts=pulumi.CustomTimeouts(create="12m", update="12m", delete="10m"),
        ),
    )
    ports: Any = {
        "type": "ClusterIP",
        **({"clusterIP": settings["address"]} if "address" in settings else {}),
        "selector": chosen,
        "ports": [
            {"name": "dns", "port": 53, "targetPort": DNS_PORT, "protocol": "UDP"},
            {"name": "dns-tcp", "port": 53, "targetPort": DNS_PORT, "protocol": "TCP"},
        ],
    }
    front = Service(
        f"{name}-service",
        metadata=meta,
        spec=ports,
        opts=pulumi.ResourceOptions(
            parent=parent, custom_timeouts=pulumi.CustomTimeouts(create="12m", update="12m")
        ),
    )
    budget: Any = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": chosen},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    PodDisruptionBudget(f"{name}-disruption", metadata=meta, spec=budget, opts=child)
    if pod_monitors:
        pod_monitor(name, service, namespace, own, chosen, child, ["metrics"], monitor_labels)
    address = settings.get("address") or front.spec.apply(lambda each: str(each.cluster_ip))
    return Resolving(
        {
            "dnsPolicy": "None",
            "dnsConfig": {
                "nameservers": [address],
                "searches": [domain],
                # A Service's name has two dots and gets the domain first; AWS's names have three or more.
                "options": [{"name": "ndots", "value": "3"}],
            },
        },
        [server, way],
    )


__all__ = ["NameResolver", "Resolving", "aws_names", "corefile", "name_resolver", "resolver_name"]
