"""A Gateway API gateway between a class's own gateway and its model servers, for teams that run one.

Ours still knows the caller and the workload, and names the workload in a header; what stands behind chooses: by
weight between versions, and through an InferencePool's picker the replica that has the prompt's prefix already and
the shortest queue. TLS is mutual on both ways: the proxies show one certificate to model servers, which let in no
other, and take requests of nobody but who shows one of the same authority and is let through by policy.
"""

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import pulumi

from components.cluster.certificates import CertificateIssuer, certificate
from components.cluster.dns import DnsPeer, dns_egress
from components.cluster.objects import (
    CLASS_LABEL,
    ENDPOINT_LABEL,
    GATEWAY_LABEL,
    NAMESPACE_LABEL,
    ROLE_LABEL,
    SERVING_PORT,
    custom,
    dns_name,
    labels,
    metadata,
    router_name,
    selector,
)
from components.serving.arguments import ModelPicker
from isthmus.core.errors import InputError, Refused

if TYPE_CHECKING:
    from components.gateway.routes import GatewayRoute

HEADER = "x-isthmus-workload"
"""By which the router knows the workload: our gateway sets it, and passes on no header of a caller's."""
_API = "gateway.networking.k8s.io/v1"
_WHOLE = 100_000
"""Weights in thousandths of a percent."""


_INSIDE = {"networking.istio.io/service-type": "ClusterIP"}
"""Istio makes a LoadBalancer otherwise, which would open the class's router to whoever reaches the balancer. It reads
the annotation of the Gateway itself (`deploymentcontroller.go`)."""


class RouterParameters(TypedDict):
    """An object of the Gateway API's implementation with settings of one Gateway, in the class's namespace."""

    group: str
    """Its API group; empty: core, as of a ConfigMap."""
    kind: str
    """Its kind, e.g. ConfigMap (Istio) or EnvoyProxy (Envoy Gateway)."""
    name: str
    """Its name."""


class GatewayRouter(TypedDict):
    """A Gateway API gateway between a class's own gateway and its model servers."""

    gateway_class: str
    """GatewayClass of an implementation that puts its proxies into the Gateway's own namespace."""
    service: str
    """The Service that it makes for them there, e.g. `internal-router-istio`."""
    ca: str
    """ConfigMap in the namespace with `ca.crt`: who signs gateways and model servers."""
    control_namespace: str
    """Where its control plane runs: the proxies may reach it."""
    control_port: int
    """At which port."""
    certificate_secret: NotRequired[str]
    """A TLS Secret in place of a cert-manager Certificate."""
    parameters: NotRequired[RouterParameters]
    """How the implementation makes Service and proxies; absent: Istio's annotation asks for a ClusterIP Service."""
    dns: NotRequired[list[DnsPeer]]
    """Who resolves names in the cluster: the proxies look up their control plane. Absent: the pods of kube-dns."""


def through(router: GatewayRouter, route: "GatewayRoute", space: str) -> dict[str, Any]:
    """A route of the edge's file that leads to the router: the same request for every version."""
    server = dns_name(router["service"], space)
    canary = route.get("canary")
    if canary is not None and canary["model"] != route["model"]:
        raise InputError(
            f"a router sends the same request to both, asked for as {route['model']} and {canary['model']}",
            where=f"routes.{route['workload']}.canary.model",
            fix="Serve the new version under the same model, or leave the router out",
        )
    if "also" in route:
        raise InputError(
            "a router chooses among the replicas of one endpoint, and there are others",
            where=f"routes.{route['workload']}.also",
            fix="Leave the router out, or the others",
        )
    made: dict[str, Any] = {
        "workload": route["workload"],
        "url": f"https://{server}:{SERVING_PORT}",
        "server_name": server,
        "model": route["model"],
        "named": True,
        **route.get("place", {}),
    }
    return made | {key: value for key, value in route.items() if key in ("task", "cache_salt")}


def routed(
    name: str,
    held: str,
    space: str,
    router: GatewayRouter,
    routes: "list[GatewayRoute]",
    parent: pulumi.Resource,
    *,
    issuer: CertificateIssuer | None,
) -> list[pulumi.Resource]:
    """Gateway, a route for each workload, TLS to each backend, and the ways around the proxies."""
    if held == "restricted":
        raise Refused(
            "a router would open restricted requests, and they are opened by our own programs only",
            where=f"{held}-gateway.router",
            fix="Leave it out: the gateway splits by itself",
        )
    called = router_name(held)
    own = labels(called, sensitivity=held, role="router")
    child = pulumi.ResourceOptions(parent=parent)
    secret, before = certificate(
        f"{name}-router",
        router["service"],
        space,
        own,
        child,
        issuer=issuer,
        secret=router.get("certificate_secret"),
        client=True,
    )
    ca = {"group": "", "kind": "ConfigMap", "name": router["ca"]}
    shown = {"group": "", "kind": "Secret", "name": secret}
    gateway = custom(
        f"{name}-router",
        _API,
        "Gateway",
        metadata(called, own, namespace=space, annotations=_INSIDE),
        {
            "spec": {
                "gatewayClassName": router["gateway_class"],
                "infrastructure": _infrastructure(held, router),
                "listeners": [
                    {
                        "name": "https",
                        "port": SERVING_PORT,
                        "protocol": "HTTPS",
                        "tls": {"mode": "Terminate", "certificateRefs": [shown]},
                        "allowedRoutes": {"namespaces": {"from": "Same"}},
                    }
                ],
                "tls": {
                    "frontend": {
                        "default": {"validation": {"caCertificateRefs": [ca], "mode": "AllowValidOnly"}}
                    },
                    "backend": {"clientCertificateRef": shown},
                },
            }
        },
        child,
    )
    backends = _backends(routes)
    made: list[pulumi.Resource] = [*before, gateway, _ways(name, held, space, router, backends, own, child)]
    for endpoint, picker in sorted(backends.items()):
        spec = {
            "targetRefs": [{**_kind(picker), "name": endpoint}],
            "validation": {"caCertificateRefs": [ca], "hostname": dns_name(endpoint, space)},
        }
        meta = metadata(f"{called}-{endpoint}", own, namespace=space)
        made.append(
            custom(f"{name}-router-tls-{endpoint}", _API, "BackendTLSPolicy", meta, {"spec": spec}, child)
        )
    for route in routes:
        meta = metadata(f"{called}-{route['workload']}", own, namespace=space)
        spec = _http_route(called, route, backends)
        made.append(
            custom(f"{name}-router-{route['workload']}", _API, "HTTPRoute", meta, {"spec": spec}, child)
        )
    return made


def _infrastructure(held: str, router: GatewayRouter) -> dict[str, Any]:
    """What the implementation gives to Service and proxies: class and role, and no way in from outside the cluster."""
    found: dict[str, Any] = {
        "labels": {CLASS_LABEL: held, ROLE_LABEL: "router"},
        "annotations": dict(_INSIDE),
    }
    if "parameters" in router:
        found["parametersRef"] = dict(router["parameters"])
    return found


def _backends(routes: "list[GatewayRoute]") -> dict[str, ModelPicker | None]:
    """Every endpoint that the routes lead to, and its picker."""
    found: dict[str, ModelPicker | None] = {}
    for route in routes:
        found[route["endpoint"]] = route.get("picker")
        if "canary" in route:
            found[route["canary"]["endpoint"]] = route["canary"].get("picker")
    return found


def _kind(picker: ModelPicker | None) -> dict[str, Any]:
    """What stands for an endpoint: its InferencePool where it has a picker, else its Service."""
    if picker:
        return {"group": "inference.networking.k8s.io", "kind": "InferencePool"}
    return {"group": "", "kind": "Service"}


def _http_route(
    called: str, route: "GatewayRoute", backends: dict[str, ModelPicker | None]
) -> dict[str, Any]:
    shares = {route["endpoint"]: _WHOLE}
    if "canary" in route:
        canary = round(route["canary"]["percent"] * 1000)
        shares = {route["endpoint"]: _WHOLE - canary, route["canary"]["endpoint"]: canary}
    refs: list[dict[str, Any]] = []
    for endpoint, weight in shares.items():
        picker = backends[endpoint]
        port = {} if picker else {"port": SERVING_PORT}
        refs.append({**_kind(picker), **port, "name": endpoint, "weight": weight})
    header = {"type": "Exact", "name": HEADER, "value": route["workload"]}
    return {
        "parentRefs": [{"name": called, "sectionName": "https"}],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/v1"}, "headers": [header]}],
                "backendRefs": refs,
                # The edge on either side ends a request by itself; a proxy's own default would cut answers.
                "timeouts": {"request": "310s"},
            }
        ],
    }


def _ways(
    name: str,
    held: str,
    space: str,
    router: GatewayRouter,
    backends: dict[str, ModelPicker | None],
    own: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """The proxies: asked by the class's gateway, asking its model servers, pickers and their control plane."""
    from pulumi_kubernetes.networking.v1 import NetworkPolicy

    def to(pods: dict[str, str], port: int) -> dict[str, Any]:
        return {
            "to": [{"podSelector": {"matchLabels": pods}}],
            "ports": [{"protocol": "TCP", "port": port}],
        }

    control = {"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: router["control_namespace"]}}}
    models = [
        to({ROLE_LABEL: "model", CLASS_LABEL: held, ENDPOINT_LABEL: endpoint}, SERVING_PORT)
        for endpoint in sorted(backends)
    ]
    pickers = {picker["service"]: picker for picker in backends.values() if picker}
    spec: Any = {
        "podSelector": {"matchLabels": {GATEWAY_LABEL: router_name(held)}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [{"podSelector": {"matchLabels": selector(f"{held}-gateway", held)}}],
                "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
            }
        ],
        "egress": [
            *models,
            *(to(dict(each["labels"]), each.get("port", 9002)) for _, each in sorted(pickers.items())),
            {"to": [control], "ports": [{"protocol": "TCP", "port": router["control_port"]}]},
            *dns_egress(router.get("dns"), f"{router_name(held)}.dns"),
        ],
    }
    return NetworkPolicy(
        f"{name}-router-network",
        metadata=metadata(router_name(held), own, namespace=space),
        spec=spec,
        opts=opts,
    )


def to_router(held: str) -> dict[str, Any]:
    """Egress of the class's gateway: to its router's proxies."""
    return {
        "to": [{"podSelector": {"matchLabels": {GATEWAY_LABEL: router_name(held)}}}],
        "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
    }
