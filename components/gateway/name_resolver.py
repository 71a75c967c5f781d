"""A class's own DNS resolver: CoreDNS with an allow-list of names, for the class's gateway and translator.

The cluster's DNS forwards every unknown name, so any pod that may query it can leak data in names. This resolver
forwards A and AAAA queries for exact names only, and answers NXDOMAIN to every other name itself.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict
from urllib.parse import urlsplit

import pulumi

from components.aws.common.names import domain as aws_domain
from components.cluster.dns import DnsPeer, both_protocols, dns_egress
from components.cluster.objects import CLASS_LABEL, ROLE_LABEL
from components.cluster.pod_defaults import (
    container_security,
    guaranteed_resources,
    health_probe,
    pod_spec,
    priority_fields,
)
from components.cluster.workload_names import WorkloadNames
from components.gateway.edge_workload import PodSettings
from components.gateway.translator.translator import TranslatorSettings
from components.observability.pod_monitor import metrics_ingress
from components.serving.placement import spread_over_domains
from isthmus.core.errors import InputError

DNS_PORT = 1053
"""Port of its pods. The Service has port 53."""
METRICS_PORT = 9153
ASKERS = ["gateway", "translator"]
"""Roles of the pods that may query it."""
CPU, MEMORY = "250m", "128Mi"
REPLICAS = 2
_CONFIG = "/etc/coredns"


class NameResolver(TypedDict):
    """The DNS resolver of a class: its image, and the resolvers to which it forwards."""

    image: pulumi.Input[str]
    """Image of CoreDNS, by digest."""
    domain: NotRequired[str]
    """The cluster's domain (default cluster.local)."""
    peers: NotRequired[list[DnsPeer]]
    """The cluster's resolvers, which only it may query. Absent: the pods of kube-dns."""
    address: NotRequired[str]
    """Fixed ClusterIP of its Service. Absent: the cluster chooses one."""
    replicas: NotRequired[int]
    """Number of replicas (default 2)."""


@dataclass(frozen=True)
class ResolverAccess:
    """What a pod needs to use the resolver. Empty for a pod that uses the cluster's DNS."""

    pod: dict[str, Any] = field(default_factory=dict)
    """Fields of the pod's spec."""
    dependencies: list[pulumi.Resource] = field(default_factory=list)
    """Resources that must exist before the pod starts."""


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
    """AWS hosts that a translator and its credential helper call."""
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
    names: WorkloadNames,
    resolver: NameResolver,
    services: Iterable[str],
    external_hosts: Iterable[pulumi.Input[str]],
    settings: PodSettings,
) -> ResolverAccess:
    """Create the resolver. `services`: cluster names as pods call them, e.g. `llama.isthmus-internal.svc`;
    `external_hosts`: hosts outside the cluster."""
    if names.sensitivity == "restricted":
        raise InputError(
            "a restricted gateway uses the site's own resolvers, but `names` is set",
            where=f"{names.namespace}.names",
            fix="Remove `names` for the restricted class",
        )
    domain = resolver.get("domain", "cluster.local")
    config = _create_config_map(names, [f"{service}.{domain}." for service in services], external_hosts)
    account = names.create_account()
    policy, ask_policy = _create_network_policies(names, resolver, settings)
    server = names.create_deployment(
        _deployment_spec(names, resolver, config, settings), [account, policy, config]
    )
    service = _create_service(names, resolver)
    names.create_disruption_budget()
    settings.create_pod_monitor(names, ["metrics"])
    address = resolver.get("address") or service.spec.apply(lambda spec: str(spec.cluster_ip))
    return ResolverAccess(
        {
            "dnsPolicy": "None",
            "dnsConfig": {
                "nameservers": [address],
                "searches": [domain],
                # Names of Services have two dots and get the cluster's domain appended first. AWS names have three
                # dots or more.
                "options": [{"name": "ndots", "value": "3"}],
            },
        },
        [server, ask_policy],
    )


def _create_config_map(
    names: WorkloadNames, service_names: list[str], external_hosts: Iterable[pulumi.Input[str]]
) -> Any:
    """The ConfigMap with the allow-list. Its name contains its digest, so that pods restart when the list changes."""
    from pulumi_kubernetes.core.v1 import ConfigMap

    hosts = pulumi.Output.all(*external_hosts).apply(lambda hosts: [f"{host}." for host in hosts])
    text = hosts.apply(lambda hosts: corefile([*service_names, *hosts]))
    map_name = text.apply(
        lambda content: f"{names.service}-config-{hashlib.sha256(content.encode()).hexdigest()[:10]}"
    )
    return ConfigMap(
        f"{names.name}-config",
        metadata=names.metadata(map_name),
        data={"Corefile": text},
        immutable=True,
        opts=names.options,
    )


def _create_network_policies(
    names: WorkloadNames, resolver: NameResolver, settings: PodSettings
) -> tuple[pulumi.Resource, pulumi.Resource]:
    """The resolver's own network policy, and the policy that lets the class's pods query it."""
    from pulumi_kubernetes.networking.v1 import NetworkPolicy

    askers: Any = {"matchExpressions": [{"key": ROLE_LABEL, "operator": "In", "values": ASKERS}]}
    own = names.create_network_policy(
        [
            {"from": [{"podSelector": askers}], "ports": both_protocols(DNS_PORT)},
            metrics_ingress(settings.monitoring_namespace, METRICS_PORT),
        ],
        dns_egress(resolver.get("peers"), f"{names.service}.peers"),
    )
    resolver_pods = {"matchLabels": {ROLE_LABEL: "resolver", CLASS_LABEL: names.sensitivity}}
    ask_spec: Any = {
        "podSelector": askers,
        "policyTypes": ["Egress"],
        "egress": [{"to": [{"podSelector": resolver_pods}], "ports": both_protocols(DNS_PORT)}],
    }
    ask = NetworkPolicy(
        f"{names.name}-ask",
        metadata=names.metadata(f"to-{names.service}"),
        spec=ask_spec,
        opts=names.options,
    )
    return own, ask


def _container(resolver: NameResolver) -> dict[str, Any]:
    security = container_security()
    # The image's program has this file capability. Without it the kernel refuses to start the program (EPERM).
    security["capabilities"] = {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}
    return {
        "name": "resolver",
        "image": resolver["image"],
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


def _deployment_spec(
    names: WorkloadNames, resolver: NameResolver, config: Any, settings: PodSettings
) -> dict[str, Any]:
    pod = pod_spec(
        names.service,
        [_container(resolver)],
        [{"name": "config", "configMap": {"name": config.metadata["name"], "defaultMode": 0o440}}],
        pull_secrets=settings.pull_secrets,
        # Its /etc/resolv.conf names the cluster's resolver, to which it forwards queries.
        dnsPolicy="ClusterFirst",
        topologySpreadConstraints=spread_over_domains(names.selector, settings.failure_domain_label),
        **priority_fields(settings.pod_priority),
    )
    return names.rolling_spec(pod, resolver.get("replicas", REPLICAS))


def _create_service(names: WorkloadNames, resolver: NameResolver) -> Any:
    from pulumi_kubernetes.core.v1 import Service

    spec: Any = {
        "type": "ClusterIP",
        **({"clusterIP": resolver["address"]} if "address" in resolver else {}),
        "selector": names.selector,
        "ports": [
            {"name": "dns", "port": 53, "targetPort": DNS_PORT, "protocol": "UDP"},
            {"name": "dns-tcp", "port": 53, "targetPort": DNS_PORT, "protocol": "TCP"},
        ],
    }
    return Service(
        f"{names.name}-service",
        metadata=names.metadata(),
        spec=spec,
        opts=pulumi.ResourceOptions(
            parent=names.parent, custom_timeouts=pulumi.CustomTimeouts(create="12m", update="12m")
        ),
    )


__all__ = ["NameResolver", "ResolverAccess", "aws_names", "corefile", "create_name_resolver"]
