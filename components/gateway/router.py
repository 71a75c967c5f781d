"""A router: a Gateway API gateway between a class's own gateway and its model servers, for teams that run one.

The class's gateway still identifies caller and workload, and names the workload in a header. The router selects the
server: by weight between versions, and through an InferencePool's endpoint picker the replica with the prompt's
prefix in its cache and the shortest queue. TLS is mutual on both sides. The proxies present one certificate to
model servers, which accept no other. The proxies accept only clients with a certificate of the same CA that the
network policy allows.
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
    common_labels,
    custom_resource,
    dns_name,
    metadata,
    router_name,
    workload_selector,
)
from components.serving.arguments import ModelPicker
from isthmus.core.errors import InputError, Refused

if TYPE_CHECKING:
    from components.gateway.routes import GatewayRoute

HEADER = "x-isthmus-workload"
"""Header with the workload for the router. The class's gateway sets it, and forwards no header of a caller."""
_API = "gateway.networking.k8s.io/v1"
_FULL_WEIGHT = 100_000
"""Sum of weights, in thousandths of a percent."""


_CLUSTER_IP_ONLY = {"networking.istio.io/service-type": "ClusterIP"}
"""Without this annotation Istio creates a LoadBalancer, which would expose the class's router. Istio reads the
annotation of the Gateway itself (`deploymentcontroller.go`)."""


class RouterParameters(TypedDict):
    """An object of the Gateway API's implementation with settings of one Gateway, in the class's namespace."""

    group: str
    """API group of the object. Empty: core, as for a ConfigMap."""
    kind: str
    """Kind of the object, e.g. ConfigMap (Istio) or EnvoyProxy (Envoy Gateway)."""
    name: str
    """Name of the object."""


class GatewayRouter(TypedDict):
    """A Gateway API gateway between a class's own gateway and its model servers."""

    gateway_class: str
    """GatewayClass of an implementation that runs its proxies in the Gateway's own namespace."""
    service: str
    """Service that the implementation creates for the proxies, e.g. `internal-router-istio`."""
    ca: str
    """ConfigMap in the namespace with `ca.crt`: the CA of gateways and model servers."""
    control_namespace: str
    """Namespace of the implementation's control plane, which the proxies may reach."""
    control_port: int
    """Port of the control plane."""
    certificate_secret: NotRequired[str]
    """TLS Secret to use instead of a cert-manager Certificate."""
    parameters: NotRequired[RouterParameters]
    """How the implementation creates Service and proxies. Absent: Istio's annotation requests a ClusterIP Service."""
    dns: NotRequired[list[DnsPeer]]
    """The cluster's resolvers, with which the proxies find their control plane. Absent: the pods of kube-dns."""


def route_through_router(router: GatewayRouter, route: "GatewayRoute", namespace: str) -> dict[str, Any]:
    """A route of the edge's configuration to the router. The request is the same for every version."""
    server = dns_name(router["service"], namespace)
    canary = route.get("canary")
    if canary is not None and "steps" in canary:
        raise InputError(
            "a router splits the requests, and no move of the release changes its weights",
            where=f"routes.{route['workload']}.canary.steps",
            fix="Set percent instead of steps, or remove router",
        )
    if canary is not None and canary["model"] != route["model"]:
        raise InputError(
            f"with a router the canary must serve model {route['model']}, but it serves {canary['model']}",
            where=f"routes.{route['workload']}.canary.model",
            fix="Serve the new version under the same model name, or remove the router",
        )
    if canary is not None and canary.get("shadow_percent"):
        raise InputError(
            "behind a router no copies of requests are sent to the canary",
            where=f"routes.{route['workload']}.canary.shadow_percent",
            fix="Remove shadow_percent, or remove the router",
        )
    if canary is not None and "judge" in canary:
        raise InputError(
            "behind a router no answers are judged",
            where=f"routes.{route['workload']}.canary.judge",
            fix="Remove judge, or remove the router",
        )
    if "also" in route:
        raise InputError(
            "a router chooses among the replicas of one endpoint, but `also` lists other endpoints",
            where=f"routes.{route['workload']}.also",
            fix="Remove the router, or remove `also`",
        )
    config: dict[str, Any] = {
        "workload": route["workload"],
        "url": f"https://{server}:{SERVING_PORT}",
        "server_name": server,
        "model": route["model"],
        "named": True,
        **route.get("place", {}),
    }
    return config | {
        key: value for key, value in route.items() if key in ("task", "cache_salt", "interfaces")
    }


def create_router(
    name: str,
    sensitivity: str,
    namespace: str,
    router: GatewayRouter,
    routes: "list[GatewayRoute]",
    parent: pulumi.Resource,
    *,
    issuer: CertificateIssuer | None,
) -> list[pulumi.Resource]:
    """Create Gateway, one route for each workload, TLS to each backend, and the network policy of the proxies."""
    if sensitivity == "restricted":
        raise Refused(
            "a router would decrypt restricted requests, which only Isthmus programs may decrypt",
            where=f"{sensitivity}-gateway.router",
            fix="Remove the router: the gateway splits requests itself",
        )
    gateway_name = router_name(sensitivity)
    labels = common_labels(gateway_name, sensitivity=sensitivity, role="router")
    child = pulumi.ResourceOptions(parent=parent)
    secret, dependencies = certificate(
        f"{name}-router",
        router["service"],
        namespace,
        labels,
        child,
        issuer=issuer,
        secret=router.get("certificate_secret"),
        client=True,
    )
    ca = {"group": "", "kind": "ConfigMap", "name": router["ca"]}
    gateway = custom_resource(
        f"{name}-router",
        _API,
        "Gateway",
        metadata(gateway_name, labels, namespace=namespace, annotations=_CLUSTER_IP_ONLY),
        {"spec": _gateway_spec(sensitivity, router, secret, ca)},
        child,
    )
    backends = _backends(routes)
    policy = _create_network_policy(name, sensitivity, namespace, router, backends, labels, child)
    resources: list[pulumi.Resource] = [*dependencies, gateway, policy]
    resources += _create_backend_tls(name, gateway_name, namespace, backends, labels, ca, child)
    for route in routes:
        meta = metadata(f"{gateway_name}-{route['workload']}", labels, namespace=namespace)
        spec = _http_route(gateway_name, route, backends)
        resources.append(
            custom_resource(
                f"{name}-router-{route['workload']}", _API, "HTTPRoute", meta, {"spec": spec}, child
            )
        )
    return resources


def _create_backend_tls(
    name: str,
    gateway_name: str,
    namespace: str,
    backends: dict[str, ModelPicker | None],
    labels: dict[str, str],
    ca: dict[str, str],
    child: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """A BackendTLSPolicy for each backend."""
    resources: list[pulumi.Resource] = []
    for endpoint, picker in sorted(backends.items()):
        spec = {
            "targetRefs": [{**_backend_kind(picker), "name": endpoint}],
            "validation": {"caCertificateRefs": [ca], "hostname": dns_name(endpoint, namespace)},
        }
        meta = metadata(f"{gateway_name}-{endpoint}", labels, namespace=namespace)
        resources.append(
            custom_resource(
                f"{name}-router-tls-{endpoint}", _API, "BackendTLSPolicy", meta, {"spec": spec}, child
            )
        )
    return resources


def _gateway_spec(sensitivity: str, router: GatewayRouter, secret: str, ca: dict[str, str]) -> dict[str, Any]:
    """Spec of the Gateway, with mutual TLS to its clients and its backends."""
    certificate_ref = {"group": "", "kind": "Secret", "name": secret}
    listener = {
        "name": "https",
        "port": SERVING_PORT,
        "protocol": "HTTPS",
        "tls": {"mode": "Terminate", "certificateRefs": [certificate_ref]},
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    }
    client_validation = {"caCertificateRefs": [ca], "mode": "AllowValidOnly"}
    return {
        "gatewayClassName": router["gateway_class"],
        "infrastructure": _infrastructure(sensitivity, router),
        "listeners": [listener],
        "tls": {
            "frontend": {"default": {"validation": client_validation}},
            "backend": {"clientCertificateRef": certificate_ref},
        },
    }


def _infrastructure(sensitivity: str, router: GatewayRouter) -> dict[str, Any]:
    """Labels and annotations of Service and proxies: class, role, and no access from outside the cluster."""
    infrastructure: dict[str, Any] = {
        "labels": {CLASS_LABEL: sensitivity, ROLE_LABEL: "router"},
        "annotations": dict(_CLUSTER_IP_ONLY),
    }
    if "parameters" in router:
        infrastructure["parametersRef"] = dict(router["parameters"])
    return infrastructure


def _backends(routes: "list[GatewayRoute]") -> dict[str, ModelPicker | None]:
    """Every endpoint of the routes, and its endpoint picker."""
    pickers: dict[str, ModelPicker | None] = {}
    for route in routes:
        pickers[route["endpoint"]] = route.get("picker")
        if "canary" in route:
            pickers[route["canary"]["endpoint"]] = route["canary"].get("picker")
    return pickers


def _backend_kind(picker: ModelPicker | None) -> dict[str, Any]:
    """Kind of the backend of an endpoint: its InferencePool if it has a picker, else its Service."""
    if picker:
        return {"group": "inference.networking.k8s.io", "kind": "InferencePool"}
    return {"group": "", "kind": "Service"}


def _paths(route: "GatewayRoute") -> list[dict[str, str]]:
    """The paths that a route may send. `count_tokens` of the interface `messages` asks the tokenizer, too."""
    paths = [{"type": "PathPrefix", "value": "/v1"}]
    if {"messages", "tokenize"}.intersection(route.get("interfaces", [])):
        paths.append({"type": "Exact", "value": "/tokenize"})
    return paths


def _http_route(
    gateway_name: str, route: "GatewayRoute", backends: dict[str, ModelPicker | None]
) -> dict[str, Any]:
    weights = {route["endpoint"]: _FULL_WEIGHT}
    if "canary" in route:
        canary = round(route["canary"]["percent"] * 1000)
        weights = {route["endpoint"]: _FULL_WEIGHT - canary, route["canary"]["endpoint"]: canary}
    refs: list[dict[str, Any]] = []
    for endpoint, weight in weights.items():
        picker = backends[endpoint]
        port = {} if picker else {"port": SERVING_PORT}
        refs.append({**_backend_kind(picker), **port, "name": endpoint, "weight": weight})
    header = {"type": "Exact", "name": HEADER, "value": route["workload"]}
    return {
        "parentRefs": [{"name": gateway_name, "sectionName": "https"}],
        "rules": [
            {
                "matches": [{"path": path, "headers": [header]} for path in _paths(route)],
                "backendRefs": refs,
                # Longer than the edge's own time limits. A proxy's default would cut answers.
                "timeouts": {"request": "310s"},
            }
        ],
    }


def _create_network_policy(
    name: str,
    sensitivity: str,
    namespace: str,
    router: GatewayRouter,
    backends: dict[str, ModelPicker | None],
    labels: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """The proxies' network policy: ingress from the class's gateway, egress to its model servers, pickers and
    control plane.
    """
    from pulumi_kubernetes.networking.v1 import NetworkPolicy

    def egress_to(pods: dict[str, str], port: int) -> dict[str, Any]:
        return {
            "to": [{"podSelector": {"matchLabels": pods}}],
            "ports": [{"protocol": "TCP", "port": port}],
        }

    control = {"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: router["control_namespace"]}}}
    models = [
        egress_to({ROLE_LABEL: "model", CLASS_LABEL: sensitivity, ENDPOINT_LABEL: endpoint}, SERVING_PORT)
        for endpoint in sorted(backends)
    ]
    pickers = {picker["service"]: picker for picker in backends.values() if picker}
    spec: Any = {
        "podSelector": {"matchLabels": {GATEWAY_LABEL: router_name(sensitivity)}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [
                    {"podSelector": {"matchLabels": workload_selector(f"{sensitivity}-gateway", sensitivity)}}
                ],
                "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
            }
        ],
        "egress": [
            *models,
            *(
                egress_to(dict(picker["labels"]), picker.get("port", 9002))
                for _, picker in sorted(pickers.items())
            ),
            {"to": [control], "ports": [{"protocol": "TCP", "port": router["control_port"]}]},
            *dns_egress(router.get("dns"), f"{router_name(sensitivity)}.dns"),
        ],
    }
    return NetworkPolicy(
        f"{name}-router-network",
        metadata=metadata(router_name(sensitivity), labels, namespace=namespace),
        spec=spec,
        opts=opts,
    )


def egress_to_router(sensitivity: str) -> dict[str, Any]:
    """Egress of the class's gateway to the router's proxies."""
    return {
        "to": [{"podSelector": {"matchLabels": {GATEWAY_LABEL: router_name(sensitivity)}}}],
        "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
    }
