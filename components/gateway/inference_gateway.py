"""The component InferenceGateway: the only endpoint that applications of a class can reach at a site.

Network policies of its pods: `…-network` (`edge_workload`), `…-to-SERVER` for each model server (here), default deny
and DNS of the namespace (`cluster.class_namespace`), and the resolver's (`name_resolver`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import check_sensitivity, check_within, may_use_aws, without_outputs
from components.cluster.certificates import CertificateIssuer, gateway_certificate
from components.cluster.edge_files import config_map, gateway_config, with_trust_bundle
from components.cluster.objects import (
    CLASS_LABEL,
    ENDPOINT_LABEL,
    ROLE_LABEL,
    SERVING_PORT,
    class_namespace,
    dns_name,
    replicas_name,
)
from components.cluster.pod_defaults import (
    GATEWAY_USER,
    NO_RESOLVER,
    guaranteed_resources,
    share_security,
)
from components.cluster.workload_names import WorkloadNames
from components.gateway import sign_on
from components.gateway.callers import (
    GatewayDatabase,
    GatewayTeam,
    database_egress,
    known_callers,
    with_host_aliases,
)
from components.gateway.confidence import Calibrations
from components.gateway.edge_scaling import EdgeScaling
from components.gateway.edge_workload import EdgePods, PodSettings, create_edge_workload
from components.gateway.held_answers import GatewayHeld, HeldAnswers
from components.gateway.name_resolver import NameResolver, ResolverAccess, aws_names, create_name_resolver
from components.gateway.outside import GatewayAccess, Outside
from components.gateway.records import GatewayAudit, Records
from components.gateway.router import GatewayRouter, create_router, egress_to_router, route_through_router
from components.gateway.routes import GatewayFreeze, GatewayRoute, destinations_of, overflow_of, route_config
from components.gateway.screening import (
    DetectorParts,
    GatewayScreening,
    addresses_of,
    create_detector,
    servers_of,
)
from components.gateway.sign_on import GatewaySignOn
from components.gateway.traces import (
    GatewayTraces,
    collector_egress,
    host_of,
    mounts_and_volumes,
    traces_section,
)
from components.gateway.translator.translator import (
    NamedDestination,
    TranslatorSettings,
    create_translator,
    destination_egress,
)
from components.observability.pod_monitor import metrics_ingress
from edge.config import ModelProbes
from isthmus.contracts.vocabulary import CALLED_TARGETS, Target
from isthmus.core.errors import InputError


class InferenceGatewayArgs(TypedDict):
    """The gateway of one class at one site."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    site: str
    """Name of the site."""
    image: pulumi.Input[str]
    """Image of the edge, by digest."""
    routes: list[GatewayRoute]
    """The workloads that it serves, and their models."""
    callers_secret: str
    """Secret with `callers.yaml` (digests, workloads); for `database`: `password`, `ca.crt`, `salt`, `transit`."""
    releasers: NotRequired[list[str]]
    """Public keys, `ssh-ed25519 BASE64 NAME`, of people who may move releases. Needed for `canary.steps`."""
    release_freezes: NotRequired[list[GatewayFreeze]]
    """Times in which no release moves on. An abort is always possible."""
    database: NotRequired[GatewayDatabase]
    """Database of keys and usage counts. Absent: keys are in `callers.yaml`, and no limits apply."""
    teams: NotRequired[list[GatewayTeam]]
    """Limits that the workloads of a team share."""
    audit: NotRequired[GatewayAudit]
    """Its audit records, which an `AuditSealer` seals. Absent: no records."""
    model_probes: NotRequired[bool]
    """Whether it asks each of its models a question of one token once a minute (default false)."""
    traces: NotRequired[GatewayTraces]
    """Collector of its traces. Absent: no traces are sent."""
    sign_on: NotRequired[GatewaySignOn]
    """The sign-on whose access tokens it accepts beside keys and certificates. Absent: none."""
    screening: NotRequired[GatewayScreening]
    """The detector in its pods, which redacts what leaves the site. Absent: nothing is screened."""
    reviews: NotRequired[GatewayHeld]
    """Settings of held answers, on which people decide in `Reviews`. Absent: no route may require reviews."""
    replicas: NotRequired[int]
    """Number of replicas (default 2)."""
    scaling: NotRequired[EdgeScaling]
    """KEDA adds replicas by their CPU use. Absent: no autoscaling."""
    cpu: NotRequired[str]
    """CPUs of each replica (default 1)."""
    memory: NotRequired[str]
    """Memory of each replica (default 1Gi)."""
    issuer: NotRequired[CertificateIssuer]
    """The cert-manager issuer of its certificates."""
    certificate_secret: NotRequired[str]
    """TLS Secret to use instead of a cert-manager Certificate."""
    trust_bundle: NotRequired[str]
    """ConfigMap in the namespace with `ca.crt`: further CAs to trust, in addition to the Secret's own."""
    monitoring_namespace: str
    """The only namespace that may scrape its metrics."""
    pod_monitors: NotRequired[bool]
    """Whether to create PodMonitors (default true)."""
    monitor_labels: NotRequired[dict[str, str]]
    """Labels of PodMonitors, with which a Prometheus selects them."""
    failure_domain_label: NotRequired[str]
    """Node label of the failure domains over which replicas must be spread (default topology.kubernetes.io/zone)."""
    pull_secrets: NotRequired[list[str]]
    """Secrets of the image registry, in the namespace."""
    pod_priority: NotRequired[str]
    """PriorityClass of its pods. Absent: the cluster's default."""
    destinations: NotRequired[list[NamedDestination]]
    """Egress destinations by name: of the translator if there is one, else of the gateway."""
    site_cidrs: NotRequired[list[str]]
    """The site's networks. Destinations of a restricted gateway must be inside them."""
    resolvers: NotRequired[list[str]]
    """The site's own resolvers, the only ones that a restricted gateway may use."""
    names: NotRequired[NameResolver]
    """The class's own DNS resolver. Absent: the cluster's DNS. Not for restricted."""
    router: NotRequired[GatewayRouter]
    """Gateway API gateway between it and its model servers. Absent: it calls each Service directly."""
    translator: NotRequired[TranslatorSettings]
    """The translator behind it. Only for a class that may use AWS."""
    access: NotRequired[GatewayAccess]
    """Who outside the cluster may call it. Absent: nobody."""
    exception: NotRequired[str]
    """Reference of the recorded exception that allows a confidential class to use AWS."""


class InferenceGateway(pulumi.ComponentResource):
    """The gateway of one class, and behind it a translator with the AWS identity if the class may use AWS."""

    address: pulumi.Output[str]
    """URL with which applications of the class call it."""
    service: pulumi.Output[str]
    """Its Service, as NAMESPACE/NAME."""
    cluster_ip: pulumi.Output[str]
    """Address of its Service."""

    def __init__(
        self,
        name: str,
        args: InferenceGatewayArgs,
        opts: pulumi.ResourceOptions | None = None,
        *,
        dependencies: Sequence[pulumi.Resource] = (),
    ) -> None:
        """`dependencies`: model servers that must be ready before the gateway's pods send requests to them."""
        # Pulumi registers a component when its inputs are known, and its children after that. Outputs of other
        # components among the inputs would delay the whole gateway, so they are left out.
        super().__init__("isthmus:index:InferenceGateway", name, without_outputs(dict(args)), opts)
        sensitivity = check_sensitivity(args["sensitivity"], name)
        _check_destinations(args, f"{sensitivity}-gateway")
        names = WorkloadNames(name, sensitivity, "gateway", class_namespace(sensitivity), self)
        settings = PodSettings.from_args(args)
        routing = _Routing.from_args(args, names)
        outside = Outside.from_args(sensitivity, args.get("access"))
        secret, certificates = self._certificates(names, args, routing)
        parts = _GatewayParts.create(names, args)
        config = config_map(
            name,
            names.service,
            names.namespace,
            names.labels,
            _configuration(args, routing, parts) | (outside.edge_section if outside is not None else {}),
            names.options,
        )
        resolver_access = self._resolver(names, args, routing.services, settings)
        if "translator" in args:
            create_translator(
                replace(names, name=f"{name}-translator", role="translator"),
                args["translator"],
                args.get("destinations", []),
                settings,
                resolver_access,
                issuer=args.get("issuer"),
                trust_bundle=args.get("trust_bundle"),
            )
        policies = self._egress_policies(names, routing.servers)
        waits_for = [
            *certificates,
            *parts.dependencies,
            *policies,
            *resolver_access.dependencies,
            *dependencies,
        ]
        pods = _edge_pods(args, names, parts, resolver_access, config, secret, waits_for)
        service = create_edge_workload(names, pods, settings)
        if outside is not None:
            outside.create_service(names, [outside.create_network_policy(names)])
        self.cluster_ip = service.spec.apply(lambda spec: spec.cluster_ip)
        self.address = pulumi.Output.from_input(
            f"https://{dns_name(names.service, names.namespace)}:{SERVING_PORT}"
        )
        self.service = pulumi.Output.from_input(f"{names.namespace}/{names.service}")
        self.register_outputs({"address": self.address, "service": self.service})

    def _certificates(
        self, names: WorkloadNames, args: InferenceGatewayArgs, routing: "_Routing"
    ) -> tuple[str, list[pulumi.Resource]]:
        """Create the gateway's certificate, and the router with its own. Returns the gateway's Secret and all of it."""
        secret, resources = gateway_certificate(
            names,
            [args["access"]["host"]] if "access" in args else [],
            args.get("issuer"),
            args.get("certificate_secret"),
        )
        if "router" in args:
            resources += create_router(
                names.name,
                names.sensitivity,
                names.namespace,
                args["router"],
                routing.local_routes,
                self,
                issuer=args.get("issuer"),
            )
        return secret, resources

    def _resolver(
        self, names: WorkloadNames, args: InferenceGatewayArgs, services: list[str], settings: PodSettings
    ) -> ResolverAccess:
        """The class's resolver, for the Services that the gateway calls and the hosts that the translator calls."""
        if "names" not in args:
            return ResolverAccess()
        services = [
            *services,
            *([args["router"]["service"]] if "router" in args else []),
            *([f"{names.sensitivity}-translator"] if "translator" in args else []),
        ]
        return create_name_resolver(
            replace(names, name=f"{names.name}-resolver", role="resolver"),
            args["names"],
            [dns_name(service, names.namespace) for service in services],
            aws_names(args.get("translator")),
            settings,
        )

    def _egress_policies(self, names: WorkloadNames, servers: list[str]) -> list[pulumi.Resource]:
        """One egress policy for each model server, and none for other pods of the cluster.

        Policies are additive. While a rollout moves the gateway from an old server to a new one, both are allowed:
        the new server's policy is created before the rollout, the old one's is deleted at the end.
        """
        from pulumi_kubernetes.networking.v1 import NetworkPolicy

        policies: list[pulumi.Resource] = []
        for server in servers:
            model = {ROLE_LABEL: "model", CLASS_LABEL: names.sensitivity, ENDPOINT_LABEL: server}
            spec: Any = {
                "podSelector": {"matchLabels": names.selector},
                "policyTypes": ["Egress"],
                "egress": [
                    {
                        "to": [{"podSelector": {"matchLabels": model}}],
                        "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
                    }
                ],
            }
            policies.append(
                NetworkPolicy(
                    f"{names.name}-to-{server}",
                    metadata=names.metadata(f"{names.service}-to-{server}"),
                    spec=spec,
                    opts=names.options,
                )
            )
        return policies


@dataclass(frozen=True)
class _Routing:
    """The targets of the gateway's requests."""

    routes: list[dict[str, Any]]
    """Routes of the edge's configuration."""
    local_routes: list[GatewayRoute]
    """Routes to a model server of the site."""
    servers: list[str]
    """Model servers that the gateway calls directly. With a router, it calls none for its routes."""
    services: list[str]
    """Names of Services that the gateway looks up to call them."""

    @classmethod
    def from_args(cls, args: InferenceGatewayArgs, names: WorkloadNames) -> "_Routing":
        translator, router = args.get("translator"), args.get("router")
        cloud_models = {model["name"] for model in translator["models"]} if translator is not None else set()
        destinations = {place["endpoint"] for route in args["routes"] for place in destinations_of(route)}
        called = destinations - cloud_models if router is None else set()
        listed = {
            replicas_name(place["endpoint"])
            for route in args["routes"]
            for place in destinations_of(route)
            if place.get("place", {}).get("by_replica")
        }

        def configured(route: GatewayRoute) -> dict[str, Any]:
            if router is None or route["endpoint"] in cloud_models:
                return route_config(route, names.sensitivity, names.namespace, cloud_models)
            overflow = overflow_of(route, names.sensitivity, names.namespace, cloud_models)
            return route_through_router(router, route, names.namespace) | overflow

        servers = sorted({*called, *servers_of(args.get("screening"))})
        return cls(
            [configured(route) for route in args["routes"]],
            [route for route in args["routes"] if route["endpoint"] not in cloud_models],
            servers,
            [*servers, *sorted(listed)],
        )


@dataclass(frozen=True)
class _GatewayParts:
    """Optional parts of a gateway: calibrations, detector, held answers, records, traces and sign-on."""

    calibrations: Calibrations
    detector: DetectorParts
    held_answers: HeldAnswers
    records: Records | None
    traces: GatewayTraces | None
    trace_mounts: list[dict[str, Any]]
    trace_volumes: list[dict[str, Any]]
    sign_on_mounts: list[dict[str, Any]]
    sign_on_volumes: list[dict[str, Any]]

    @classmethod
    def create(cls, names: WorkloadNames, args: InferenceGatewayArgs) -> "_GatewayParts":
        owner = (names.name, names.service, names.namespace, names.labels)
        calibrations = Calibrations(*owner, [dict(route) for route in args["routes"]], names.options)
        detector = create_detector(
            names.name,
            names.sensitivity,
            names.namespace,
            names.labels,
            args.get("screening"),
            args["monitoring_namespace"],
            names.options,
        )
        held_answers = HeldAnswers(*owner, args, names.options)
        records = Records(*owner, args["audit"], names.options) if "audit" in args else None
        traces = args.get("traces")
        signing_on = sign_on.mounts_and_volumes(args.get("sign_on"))
        return cls(
            *(calibrations, detector, held_answers, records, traces),
            *(*mounts_and_volumes(traces), *signing_on),
        )

    @property
    def dependencies(self) -> list[pulumi.Resource]:
        return [
            *(self.records.dependencies if self.records is not None else []),
            *self.detector.dependencies,
            *self.held_answers.dependencies,
            *self.calibrations.dependencies,
        ]

    def mounts(self) -> list[dict[str, Any]]:
        return [
            {"name": "callers", "mountPath": "/etc/isthmus/callers", "readOnly": True},
            *(self.records.mounts if self.records is not None else []),
            *self.held_answers.mounts,
            *self.calibrations.mounts,
            *self.trace_mounts,
            *self.sign_on_mounts,
        ]

    def volumes(self, callers_secret: str) -> list[dict[str, Any]]:
        return [
            {"name": "callers", "secret": {"secretName": callers_secret, "defaultMode": 0o440}},
            *(self.records.volumes if self.records is not None else []),
            *self.held_answers.volumes,
            *self.calibrations.volumes,
            *self.trace_volumes,
            *self.sign_on_volumes,
            *self.detector.volumes,
        ]


def _configuration(args: InferenceGatewayArgs, routing: "_Routing", parts: _GatewayParts) -> dict[str, Any]:
    """The edge's configuration."""
    callers = known_callers(args.get("database"), args.get("teams", []), parts.calibrations.routes)
    configuration = with_trust_bundle(
        gateway_config(args["sensitivity"], args["site"], routing.routes, callers), args.get("trust_bundle")
    )
    configuration |= sign_on.tokens_section(args.get("sign_on"))
    if "releasers" in args:
        configuration["releasers"] = list(args["releasers"])
    if "release_freezes" in args:
        configuration["release_freezes"] = [dict(freeze) for freeze in args["release_freezes"]]
    if args.get("model_probes", False):
        configuration["model_probes"] = ModelProbes().model_dump()
    configuration |= traces_section(parts.traces) | parts.detector.config | parts.held_answers.section
    if parts.records is not None:
        configuration["audit"] = parts.records.section(configuration)
    return configuration


def _edge_pods(
    args: InferenceGatewayArgs,
    names: WorkloadNames,
    parts: _GatewayParts,
    resolver_access: ResolverAccess,
    config: Any,
    tls_secret: str,
    dependencies: list[pulumi.Resource],
) -> EdgePods:
    """The gateway's pods. `dependencies`: resources that must exist before they start."""
    return EdgePods(
        container="edge",
        image=args["image"],
        replicas=args.get("replicas", 2),
        scaling=args.get("scaling"),
        resources=guaranteed_resources(args.get("cpu", "1"), args.get("memory", "1Gi")),
        config=config,
        tls_secret=tls_secret,
        trust_bundle=args.get("trust_bundle"),
        ingress=[
            _applications(names.sensitivity),
            metrics_ingress(args["monitoring_namespace"]),
            *parts.detector.ingress,
        ],
        egress=_egress_besides_servers(args, names),
        dependencies=dependencies,
        mounts=parts.mounts(),
        volumes=parts.volumes(args["callers_secret"]),
        metric_ports=parts.detector.metric_ports,
        pod_fields={
            "securityContext": share_security(GATEWAY_USER),
            **parts.detector.pod,
            **_names_of_pod(args, names, resolver_access),
        },
    )


def _check_destinations(args: InferenceGatewayArgs, service: str) -> None:
    """Raise `Refused` if a destination or a model in AWS is not allowed for the class."""
    sensitivity = args["sensitivity"]
    if "translator" in args:
        providers = {model.get("provider", "bedrock") for model in args["translator"]["models"]}
        for provider in sorted(providers):
            may_use_aws(
                sensitivity, f"{service}.translator", args.get("exception", ""), _target(provider, service)
            )
    if sensitivity == "restricted":
        for destination in args.get("destinations", []):
            where = f"{service}.destinations.{destination['name']}"
            check_within(destination["cidr"], args.get("site_cidrs", []), where)


def _egress_besides_servers(args: InferenceGatewayArgs, names: WorkloadNames) -> list[dict[str, Any]]:
    """Egress rules of the gateway's own policy. Its model servers have a policy each."""
    site_cidrs = args.get("site_cidrs", [])
    return [
        *database_egress(args.get("database"), names.sensitivity, site_cidrs, names.service),
        *collector_egress(args.get("traces"), names.sensitivity, site_cidrs, names.service),
        *sign_on.issuer_egress(args.get("sign_on"), names.sensitivity, site_cidrs, names.service),
        *([egress_to_router(names.sensitivity)] if "router" in args else []),
        *(
            [_to_translator(names.sensitivity)]
            if "translator" in args
            else destination_egress(args.get("destinations", []), names.service)
        ),
    ]


def _names_of_pod(
    args: InferenceGatewayArgs, names: WorkloadNames, resolver_access: ResolverAccess
) -> dict[str, Any]:
    """Fields of the pod's spec for name resolution. Host aliases contain the addresses of database and collector."""
    hosts: list[tuple[str, str]] = []
    if "database" in args:
        hosts.append((args["database"]["address"], args["database"]["host"]))
    if "traces" in args:
        hosts.append((args["traces"]["address"], host_of(args["traces"])))
    if "sign_on" in args and "keys_address" in args["sign_on"]:
        hosts.append((args["sign_on"]["keys_address"], sign_on.host_of(args["sign_on"])))
    is_restricted = names.sensitivity == "restricted"
    own = _restricted_names(args, names.namespace) if is_restricted else resolver_access.pod
    return with_host_aliases(hosts, own)


def _target(provider: str, service: str) -> Target:
    """The target platform on which a translator's model is called."""
    for target in CALLED_TARGETS:
        if provider == target:
            return target
    raise InputError(
        f"'{provider}' is not a known provider",
        where=f"{service}.translator",
        fix=f"Use one of: {', '.join(CALLED_TARGETS)}",
    )


def _applications(sensitivity: str) -> dict[str, Any]:
    """Ingress: the serving port, from namespaces of the same class."""
    return {
        "from": [{"namespaceSelector": {"matchLabels": {CLASS_LABEL: sensitivity}}}],
        "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
    }


def _to_translator(sensitivity: str) -> dict[str, Any]:
    """Egress: to its own translator."""
    translator_pods = {"podSelector": {"matchLabels": {ROLE_LABEL: "translator", CLASS_LABEL: sensitivity}}}
    return {"to": [translator_pods], "ports": [{"protocol": "TCP", "port": SERVING_PORT}]}


def _restricted_names(args: InferenceGatewayArgs, namespace: str) -> dict[str, Any]:
    """Name resolution without the cluster's DNS, which forwards unknown names: host aliases for its servers, and
    the site's own resolvers for the rest.
    """
    hosts: dict[str, Any] = {}
    for route in args["routes"]:
        for place in destinations_of(route):
            if "cluster_ip" not in place:
                raise InputError(
                    f"route '{route['workload']}' of a restricted gateway has no cluster_ip",
                    where=f"routes.{route['workload']}.cluster_ip",
                    fix="Set the model server's cluster_ip: a restricted gateway does not use cluster DNS",
                )
            hosts[place["endpoint"]] = place["cluster_ip"]
    for judge, address in addresses_of(args.get("screening")):
        if address is None:
            raise InputError(
                f"guard model '{judge}' of a restricted gateway has no cluster_ip",
                where="screening.guards",
                fix="Set the model server's cluster_ip: a restricted gateway does not use cluster DNS",
            )
        hosts[judge] = address
    return {
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": args.get("resolvers", [])[:3] or [NO_RESOLVER]},
        "hostAliases": [
            {"ip": address, "hostnames": [dns_name(endpoint, namespace)]}
            for endpoint, address in sorted(hosts.items())
        ],
    }
