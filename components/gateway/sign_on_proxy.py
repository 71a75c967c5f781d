"""The proxy at which people sign on to a chat or a review desk: oauth2-proxy, in a namespace of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from components.cluster.certificates import workload_certificate
from components.cluster.class_namespace import create_isolated_namespace, pods_quota
from components.cluster.objects import (
    HEALTH_PORT,
    SERVING_PORT,
    dns_name,
    serving_rule,
)
from components.cluster.pod_defaults import (
    container_security,
    guaranteed_resources,
    health_probe,
    no_dns,
    pod_spec,
    priority_fields,
)
from components.cluster.workload_names import WorkloadNames
from components.gateway.callers import with_host_aliases
from components.gateway.edge_workload import PodSettings, create_service
from components.gateway.translator.translator import address_egress
from components.observability.pod_monitor import metrics_ingress
from components.serving.placement import spread_over_domains
from isthmus.contracts.reference.open_webui import SESSION_S
from isthmus.contracts.reference.sign_on_proxy import (
    ISSUER_CA,
    REPLICAS,
    SECRETS,
    TLS,
    serving_arguments,
    sign_on_arguments,
)

CPU, MEMORY = "250m", "128Mi"
"""Resources of each replica."""


@dataclass(frozen=True)
class SignOnProxy:
    """What one proxy needs."""

    args: Mapping[str, Any]
    """Arguments of the chat or the desk: url, client, scope, sign_on, sign_on_image, sign_on_secret, issuer_address."""
    upstream: WorkloadNames
    """Names of the workload to which it leads."""
    service: Any
    """Service of that workload. The proxy reaches it at its address."""
    people: dict[str, Any]
    """Ingress from people."""
    port: int = SERVING_PORT
    """Port of that Service."""
    session_s: int = SESSION_S
    """Seconds after which people sign on anew."""

    @property
    def host(self) -> str:
        """Name of that Service, for which it has a certificate."""
        return dns_name(self.upstream.service, self.upstream.namespace)


def create_sign_on_proxy(names: WorkloadNames, proxy: SignOnProxy, settings: PodSettings) -> str:
    """Create its namespace, certificate, network policy, Deployment and Service. Returns NAMESPACE/NAME of the
    Service.
    """
    args = proxy.args
    namespace_object, isolation = create_isolated_namespace(
        names.name,
        names.namespace,
        names.sensitivity,
        pods_quota(2 * REPLICAS + 1, CPU, MEMORY),
        names.parent,
    )
    names = WorkloadNames(
        names.name, names.sensitivity, names.role, names.namespace, names.parent, [namespace_object]
    )
    secret, certificates = workload_certificate(
        names,
        issuer=args.get("issuer"),
        secret=None,
        client=False,
    )
    policy = names.create_network_policy(
        [proxy.people, metrics_ingress(settings.monitoring_namespace)], _egress(proxy, names)
    )
    names.create_deployment(
        _deployment(names, proxy, secret, settings),
        [names.create_account(), policy, *certificates, *isolation],
    )
    create_service(names)
    names.create_disruption_budget()
    settings.create_pod_monitor(names)
    return f"{names.namespace}/{names.service}"


def _deployment(
    names: WorkloadNames, proxy: SignOnProxy, tls_secret: str, settings: PodSettings
) -> dict[str, Any]:
    args = proxy.args
    volumes: list[dict[str, Any]] = [
        {"name": "tls", "secret": {"secretName": tls_secret, "defaultMode": 0o440}},
        {"name": "sign-on", "secret": {"secretName": args["sign_on_secret"], "defaultMode": 0o440}},
    ]
    mounts = [
        {"name": "tls", "mountPath": TLS, "readOnly": True},
        {"name": "sign-on", "mountPath": SECRETS, "readOnly": True},
    ]
    if "issuer_ca" in args:
        volumes.append({"name": "issuer", "configMap": {"name": args["issuer_ca"], "defaultMode": 0o440}})
        mounts.append({"name": "issuer", "mountPath": ISSUER_CA, "readOnly": True})
    pod = pod_spec(
        names.service,
        [_container(proxy, mounts)],
        volumes,
        pull_secrets=settings.pull_secrets,
        topologySpreadConstraints=spread_over_domains(names.selector, settings.failure_domain_label),
        **priority_fields(settings.pod_priority),
        **_pod_names(proxy),
    )
    return names.rolling_spec(pod, REPLICAS)


def _container(proxy: SignOnProxy, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    args, upstream = proxy.args, f"https://{proxy.host}:{proxy.port}"
    return {
        "name": "sign-on",
        "image": args["sign_on_image"],
        "args": [
            *sign_on_arguments(
                args["sign_on"]["tokens"]["issuer"],
                args["client"],
                args["scope"],
                args["url"],
                upstream,
                proxy.session_s,
            ),
            *serving_arguments(SERVING_PORT, HEALTH_PORT, has_issuer_ca="issuer_ca" in args),
        ],
        # Whom it believes to be the chat or the desk.
        "env": [{"name": "SSL_CERT_FILE", "value": f"{TLS}/ca.crt"}],
        "ports": [
            {"name": "https", "containerPort": SERVING_PORT, "protocol": "TCP"},
            {"name": "health", "containerPort": HEALTH_PORT, "protocol": "TCP"},
        ],
        "volumeMounts": mounts,
        "resources": guaranteed_resources(CPU, MEMORY),
        "securityContext": container_security(),
        "readinessProbe": _probe("/ready"),
        "livenessProbe": _probe("/ping"),
        "lifecycle": {"preStop": {"sleep": {"seconds": 15}}},
    }


def _probe(path: str) -> dict[str, Any]:
    probe = health_probe(5, 3, path, SERVING_PORT)
    return {**probe, "httpGet": {**probe["httpGet"], "scheme": "HTTPS"}}


def _egress(proxy: SignOnProxy, names: WorkloadNames) -> list[dict[str, Any]]:
    """Egress: to the workload to which it leads, and to the organisation's sign-on."""
    args, upstream = proxy.args, proxy.upstream
    port = urlsplit(args["sign_on"]["tokens"]["issuer"]).port or 443
    place = names.sensitivity, args.get("site_cidrs", []), names.service
    return [
        serving_rule("to", upstream.namespace, upstream.role, names.sensitivity, proxy.port),
        *address_egress("issuer", args["issuer_address"], port, *place, "issuer_address"),
    ]


def _pod_names(proxy: SignOnProxy) -> dict[str, Any]:
    """Name resolution without DNS: the hosts file has the workload to which it leads, and the issuer."""
    issuer = urlsplit(proxy.args["sign_on"]["tokens"]["issuer"]).hostname or ""
    address = proxy.service.spec.apply(lambda spec: spec.cluster_ip)
    hosts: list[tuple[Any, str]] = [(address, proxy.host), (proxy.args["issuer_address"], issuer)]
    return with_host_aliases(hosts, no_dns())
