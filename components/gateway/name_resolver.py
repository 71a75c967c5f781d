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
from components.cluster.objects import CLASS_LABEL, ROLE_LABEL, common_labels, metadata, workload_selector
from components.cluster.pod_defaults import (
    container_security,
    guaranteed_resources,
    health_probe,
    pod_spec,
    priority_fields,
)
from components.gateway.translator.translator import TranslatorSettings
from components.observability.pod_monitor import create_pod_monitor, metrics_ingress
from components.serving.placement import ZONE, spread_over_domains
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
class ResolverAccess:
    """What a pod needs to ask it; of a pod that asks the cluster's DNS, nothing."""

    pod: dict[str, Any] = field(default_factory=dict)
    """Of the pod's spec."""
    dependencies: list[pulumi.Resource] = field(default_factory=list)
    """What must be there before the pod starts."""


def resolver_name(sensitivity: str) -> str:
    """Its Service and Deployment."""
    return f"{sensitivity}-resolver"


def corefile(names: Iterable[str]) -> str:
    """CoreDNS's configuration. `names`: absolute names, each ending in a dot; every other name is NXDOMAIN.

    A query for another type of an allowed name gets an empty answer: the name exists, and nothing is forwarded.
    """
    allowed = ", ".join(f"'{name}'" for name in sorted({name.lower() for name in names}))
    is_allowed = f"name() in [{allowed}]"
    return f"""\
.:{DNS_PORT} {{
    view needed {{
        expr {is_allowed} && type() in ['A', 'AAAA']
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
        expr {is_allowed}
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
    hosts: list[pulumi.Input[str]] = []
    for model in settings["models"]:
        service = "runtime.sagemaker" if model.get("provider") == "sagemaker" else "bedrock-runtime"
        hosts.append(_host(model.get("endpoint_url"), service, model["region"]))
    identity = settings.get("identity")
    if identity is not None:
        hosts.append(_host(identity.get("endpoint_url"), "rolesanywhere", identity["region"]))
    return hosts


def _host(url: pulumi.Input[str] | None, service: str, region: str) -> pulumi.Input[str]:
    if url is None:
        return f"{service}.{region}.{aws_domain(region)}"
    return pulumi.Output.from_input(url).apply(lambda text: urlsplit(text).hostname or text)


def create_name_resolver(
    name: str,
    sensitivity: str,
    namespace: str,
    settings: NameResolver,
    services: Iterable[str],
    external_hosts: Iterable[pulumi.Input[str]],
    parent: pulumi.ComponentResource,
    *,
    monitoring_namespace: str,
    pod_monitors: bool,
    pull_secrets: list[str] | None,
    pod_priority: str | None = None,
    monitor_labels: Mapping[str, str] | None = None,
    failure_domain_label: str = ZONE,
) -> ResolverAccess:
    """Create the resolver. `services`: cluster names as pods call them, e.g. `llama.isthmus-internal.svc`;
    `external_hosts`: hosts outside the cluster."""
    from pulumi_kubernetes.apps.v1 import Deployment
    from pulumi_kubernetes.core.v1 import ConfigMap, Service, ServiceAccount
    from pulumi_kubernetes.networking.v1 import NetworkPolicy
    from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

    if sensitivity == "restricted":
        raise InputError(
            "a restricted gateway uses the site's own resolvers, but `names` is set",
            where=f"{namespace}.names",
            fix="Remove `names` for the restricted class",
        )
    service = resolver_name(sensitivity)
    labels = common_labels(service, sensitivity=sensitivity, role="resolver")
    selector = workload_selector(service, sensitivity)
    child = pulumi.ResourceOptions(parent=parent)
    domain = settings.get("domain", "cluster.local")
    service_names = [f"{service_name}.{domain}." for service_name in services]
    hosts = pulumi.Output.all(*external_hosts).apply(lambda names: [f"{host}." for host in names])
    text = hosts.apply(lambda names: corefile([*service_names, *names]))
    map_name = text.apply(
        lambda content: f"{service}-config-{hashlib.sha256(content.encode()).hexdigest()[:10]}"
    )
    config = ConfigMap(
        f"{name}-config",
        metadata=metadata(map_name, labels, namespace=namespace),
        data={"Corefile": text},
        immutable=True,
        opts=child,
    )
    meta = metadata(service, labels, namespace=namespace)
    account = ServiceAccount(
        f"{name}-account", metadata=meta, automount_service_account_token=False, opts=child
    )
    askers: Any = {"matchExpressions": [{"key": ROLE_LABEL, "operator": "In", "values": ASKERS}]}
    policy_spec: Any = {
        "podSelector": {"matchLabels": selector},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": [{"podSelector": askers}], "ports": both_protocols(DNS_PORT)},
            metrics_ingress(monitoring_namespace, METRICS_PORT),
        ],
        "egress": dns_egress(settings.get("peers"), f"{service}.peers"),
    }
    policy = NetworkPolicy(f"{name}-network", metadata=meta, spec=policy_spec, opts=child)
    resolver = {ROLE_LABEL: "resolver", CLASS_LABEL: sensitivity}
    ask_spec: Any = {
        "podSelector": askers,
        "policyTypes": ["Egress"],
        "egress": [{"to": [{"podSelector": {"matchLabels": resolver}}], "ports": both_protocols(DNS_PORT)}],
    }
    ask_policy = NetworkPolicy(
        f"{name}-ask",
        metadata=metadata(f"to-{service}", labels, namespace=namespace),
        spec=ask_spec,
        opts=child,
    )
    security = container_security()
    # The image's program has this file capability: without it the kernel refuses to start it (EPERM).
    security["capabilities"] = {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}
    container: dict[str, Any] = {
        "name": "resolver",
        "image": settings["image"],
        "args": ["-conf", f"{_CONFIG}/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": DNS_PORT, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": DNS_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "volumeMounts": [{"name": "config", "mountPath": _CONFIG, "readOnly": True}],
        "resources": guaranteed_resources(CPU, MEMORY),
        "securityContext": security,
        "startupProbe": health_probe(2, 60),
        "readinessProbe": health_probe(5, 3),
        "livenessProbe": health_probe(10, 6),
    }
    spec: Any = {
        "replicas": settings.get("replicas", REPLICAS),
        "selector": {"matchLabels": selector},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 3,
        "template": {
            "metadata": {"labels": labels},
            "spec": pod_spec(
                service,
                [container],
                [{"name": "config", "configMap": {"name": config.metadata["name"], "defaultMode": 0o440}}],
                pull_secrets=pull_secrets,
                # Its /etc/resolv.conf names the cluster's resolver, to which it forwards.
                dnsPolicy="ClusterFirst",
                topologySpreadConstraints=spread_over_domains(selector, failure_domain_label),
                **priority_fields(pod_priority),
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
        "selector": selector,
        "ports": [
            {"name": "dns", "port": 53, "targetPort": DNS_PORT, "protocol": "UDP"},
            {"name": "dns-tcp", "port": 53, "targetPort": DNS_PORT, "protocol": "TCP"},
        ],
    }
    service_object = Service(
        f"{name}-service",
        metadata=meta,
        spec=ports,
        opts=pulumi.ResourceOptions(
            parent=parent, custom_timeouts=pulumi.CustomTimeouts(create="12m", update="12m")
        ),
    )
    budget: Any = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    PodDisruptionBudget(f"{name}-disruption", metadata=meta, spec=budget, opts=child)
    if pod_monitors:
        create_pod_monitor(name, service, namespace, labels, selector, child, ["metrics"], monitor_labels)
    address = settings.get("address") or service_object.spec.apply(lambda spec: str(spec.cluster_ip))
    return ResolverAccess(
        {
            "dnsPolicy": "None",
            "dnsConfig": {
                "nameservers": [address],
                "searches": [domain],
                # A Service's name has two dots and gets the domain first; AWS's names have three or more.
                "options": [{"name": "ndots", "value": "3"}],
            },
        },
        [server, ask_policy],
    )


__all__ = ["NameResolver", "ResolverAccess", "aws_names", "corefile", "create_name_resolver", "resolver_name"]
