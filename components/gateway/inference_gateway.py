"""The component InferenceGateway: the only endpoint that applications of a class can reach at a site."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import check_sensitivity, check_within, may_use_aws, without_outputs
from components.cluster.certificates import CertificateIssuer, certificate
from components.cluster.edge_files import config_map, gateway_config, with_trust_bundle
from components.cluster.objects import (
    CLASS_LABEL,
    ENDPOINT_LABEL,
    ROLE_LABEL,
    SERVING_PORT,
    class_namespace,
    common_labels,
    dns_name,
    metadata,
    workload_selector,
)
from components.cluster.pod_defaults import (
    GATEWAY_USER,
    NO_RESOLVER,
    guaranteed_resources,
    priority_fields,
    share_security,
)
from components.gateway.callers import (
    GatewayDatabase,
    GatewayTeam,
    database_egress,
    known_callers,
    with_host_aliases,
)
from components.gateway.confidence import Calibrations
from components.gateway.edge_workload import create_edge_workload
from components.gateway.held_answers import GatewayHeld, HeldAnswers
from components.gateway.name_resolver import NameResolver, ResolverAccess, aws_names, create_name_resolver
from components.gateway.records import GatewayAudit, Records
from components.gateway.router import GatewayRouter, create_router, egress_to_router, route_through_router
from components.gateway.routes import GatewayRoute, destinations_of, overflow_of, route_config
from components.gateway.screening import GatewayScreening, addresses_of, create_detector, servers_of
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
from components.serving.placement import ZONE
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
    """Which workloads it serves, and by what."""
    callers_secret: str
    """Secret with `callers.yaml`: SHA-256 of each key, its workload; for `database`: `password`, `ca.crt`, `salt`."""
    database: NotRequired[GatewayDatabase]
    """Where keys are looked up and use is counted; absent: keys are in the file, and nothing is limited."""
    teams: NotRequired[list[GatewayTeam]]
    """What each team's workloads may use together."""
    audit: NotRequired[GatewayAudit]
    """Where it writes its records, which an `AuditSealer` seals; absent: it keeps none."""
    traces: NotRequired[GatewayTraces]
    """Who takes its traces; absent: none leave it."""
    screening: NotRequired[GatewayScreening]
    """The detector beside it, which redacts what leaves the site; absent: nothing is looked through."""
    reviews: NotRequired[GatewayHeld]
    """How long answers are held for people, who decide in `Reviews`; absent: none is, and no route may ask for it."""
    replicas: NotRequired[int]
    """Copies (default 2)."""
    max_replicas: NotRequired[int]
    """A HorizontalPodAutoscaler adds copies by their CPU, from `replicas` to so many; absent: none does."""
    cpu: NotRequired[str]
    """CPUs of each copy (default 1)."""
    memory: NotRequired[str]
    """Memory of each copy (default 1Gi)."""
    issuer: NotRequired[CertificateIssuer]
    """The cert-manager issuer of its certificates."""
    certificate_secret: NotRequired[str]
    """A TLS Secret in place of a cert-manager Certificate."""
    trust_bundle: NotRequired[str]
    """ConfigMap in the namespace with `ca.crt`: CAs that are believed besides the Secret's own."""
    monitoring_namespace: str
    """The only namespace that may scrape it."""
    pod_monitors: NotRequired[bool]
    """Whether to make PodMonitors (default true)."""
    monitor_labels: NotRequired[dict[str, str]]
    """Labels of PodMonitors, by which a Prometheus selects them."""
    failure_domain_label: NotRequired[str]
    """Node label over whose values replicas are spread by force (default topology.kubernetes.io/zone)."""
    pull_secrets: NotRequired[list[str]]
    """Secrets of the image registry, in the namespace."""
    pod_priority: NotRequired[str]
    """PriorityClass of its pods; absent: the cluster's default."""
    destinations: NotRequired[list[NamedDestination]]
    """Named ways out: of the translator where there is one, else of the gateway."""
    site_cidrs: NotRequired[list[str]]
    """The site's networks: a restricted gateway's destinations lie within them."""
    resolvers: NotRequired[list[str]]
    """The site's own resolvers; a restricted gateway asks these and no others."""
    names: NotRequired[NameResolver]
    """The class's own resolver, for the names that the pods need; absent: the cluster's DNS. Not for restricted."""
    router: NotRequired[GatewayRouter]
    """A Gateway API gateway between it and its model servers; absent: it reaches each by its Service."""
    translator: NotRequired[TranslatorSettings]
    """The translator behind it; only for a class that may use AWS."""
    exception: NotRequired[str]
    """Reference of the recorded exception by which a confidential class may use AWS."""


class InferenceGateway(pulumi.ComponentResource):
    """The edge of one class, and behind it a translator with the AWS identity where the class may use AWS."""

    address: pulumi.Output[str]
    """URL by which applications of the class call it."""
    service: pulumi.Output[str]
    """Its Service, as NAMESPACE/NAME."""

    def __init__(
        self,
        name: str,
        args: InferenceGatewayArgs,
        opts: pulumi.ResourceOptions | None = None,
        *,
        dependencies: Sequence[pulumi.Resource] = (),
    ) -> None:
        """`dependencies`: model servers that must serve before its pods are told to send requests there."""
        # A component is registered once its inputs are known, and its children after it: were an address of
        # another component among them, all that the gateway is made of would wait for it.
        super().__init__("isthmus:index:InferenceGateway", name, without_outputs(dict(args)), opts)
        sensitivity = check_sensitivity(args["sensitivity"], name)
        namespace = class_namespace(sensitivity)
        service = f"{sensitivity}-gateway"
        labels = common_labels(service, sensitivity=sensitivity, role="gateway")
        child = pulumi.ResourceOptions(parent=self)
        translator_settings = args.get("translator")
        destinations = args.get("destinations", [])
        if translator_settings is not None:
            for target in sorted(
                {model.get("provider", "bedrock") for model in translator_settings["models"]}
            ):
                may_use_aws(
                    sensitivity, f"{service}.translator", args.get("exception", ""), _target(target, service)
                )
        if sensitivity == "restricted":
            for destination in destinations:
                where = f"{service}.destinations.{destination['name']}"
                check_within(destination["cidr"], args.get("site_cidrs", []), where)

        cloud_models = (
            {model["name"] for model in translator_settings["models"]} if translator_settings else set()
        )
        router = args.get("router")
        local = [route for route in args["routes"] if route["endpoint"] not in cloud_models]
        servers = sorted(
            {target_route["endpoint"] for route in args["routes"] for target_route in destinations_of(route)}
            - cloud_models
        )
        if router is not None:
            servers = []  # it reaches none of them
        servers = sorted({*servers, *servers_of(args.get("screening"))})
        routes = [
            route_through_router(router, route, namespace)
            | overflow_of(route, sensitivity, namespace, cloud_models)
            if router is not None and route["endpoint"] not in cloud_models
            else route_config(route, sensitivity, namespace, cloud_models)
            for route in args["routes"]
        ]
        secret, certificate_resources = certificate(
            name,
            service,
            namespace,
            labels,
            child,
            issuer=args.get("issuer"),
            secret=args.get("certificate_secret"),
            client=True,
        )
        if router is not None:
            certificate_resources += create_router(
                name, sensitivity, namespace, router, local, self, issuer=args.get("issuer")
            )
        database = args.get("database")
        calibrations = Calibrations(
            name, service, namespace, labels, [dict(route) for route in args["routes"]], child
        )
        callers = known_callers(database, args.get("teams", []), calibrations.routes)
        trust_bundle = args.get("trust_bundle")
        config_data = with_trust_bundle(
            gateway_config(sensitivity, args["site"], routes, callers), trust_bundle
        )
        traces = args.get("traces")
        hosts = [(database["address"], database["host"])] if database is not None else []
        hosts += [(traces["address"], host_of(traces))] if traces is not None else []
        config_data |= traces_section(traces)
        trace_mounts, trace_volumes = mounts_and_volumes(traces)
        detector = create_detector(
            name, sensitivity, namespace, labels, args.get("screening"), args["monitoring_namespace"], child
        )
        config_data |= detector.config
        held_answers = HeldAnswers(name, service, namespace, labels, args, child)
        config_data |= held_answers.section
        records = Records(name, service, namespace, labels, args["audit"], child) if "audit" in args else None
        if records is not None:
            config_data["audit"] = records.section(config_data)
        config = config_map(name, service, namespace, labels, config_data, child)
        resolving = self._resolver(name, sensitivity, namespace, args, servers)
        if translator_settings is not None:
            create_translator(
                f"{name}-translator",
                sensitivity,
                namespace,
                translator_settings,
                destinations,
                self,
                issuer=args.get("issuer"),
                monitoring_namespace=args["monitoring_namespace"],
                pod_monitors=args.get("pod_monitors", True),
                pull_secrets=args.get("pull_secrets"),
                resolving=resolving,
                trust_bundle=trust_bundle,
                pod_priority=args.get("pod_priority"),
                monitor_labels=args.get("monitor_labels"),
                failure_domain_label=args.get("failure_domain_label", ZONE),
            )
        create_edge_workload(
            name,
            service,
            namespace,
            labels,
            workload_selector(service, sensitivity),
            self,
            container="edge",
            image=args["image"],
            replicas=args.get("replicas", 2),
            max_replicas=args.get("max_replicas"),
            resources=guaranteed_resources(args.get("cpu", "1"), args.get("memory", "1Gi")),
            config=config,
            tls_secret=secret,
            trust_bundle=trust_bundle,
            ingress=[
                _applications(sensitivity),
                metrics_ingress(args["monitoring_namespace"]),
                *detector.ingress,
            ],
            egress=[
                *database_egress(database, sensitivity, args.get("site_cidrs", []), service),
                *collector_egress(traces, sensitivity, args.get("site_cidrs", []), service),
                *([egress_to_router(sensitivity)] if router is not None else []),
                *(
                    [_to_translator(sensitivity)]
                    if translator_settings is not None
                    else destination_egress(destinations, service)
                ),
            ],
            dependencies=[
                *certificate_resources,
                *(records.dependencies if records is not None else []),
                *detector.dependencies,
                *held_answers.dependencies,
                *calibrations.dependencies,
                *self._egress_policies(name, sensitivity, namespace, service, labels, servers),
                *resolving.dependencies,
                *dependencies,
            ],
            annotations={},
            pod_monitors=args.get("pod_monitors", True),
            pull_secrets=args.get("pull_secrets"),
            securityContext=share_security(GATEWAY_USER),
            **priority_fields(args.get("pod_priority")),
            monitor_labels=args.get("monitor_labels"),
            failure_domain_label=args.get("failure_domain_label", ZONE),
            mounts=[
                {"name": "callers", "mountPath": "/etc/isthmus/callers", "readOnly": True},
                *(records.mounts if records is not None else []),
                *held_answers.mounts,
                *calibrations.mounts,
                *trace_mounts,
            ],
            volumes=[
                {"name": "callers", "secret": {"secretName": args["callers_secret"], "defaultMode": 0o440}},
                *(records.volumes if records is not None else []),
                *held_answers.volumes,
                *calibrations.volumes,
                *trace_volumes,
                *detector.volumes,
            ],
            metric_ports=detector.metric_ports,
            **detector.pod,
            **with_host_aliases(
                hosts, _restricted_names(args, namespace) if sensitivity == "restricted" else resolving.pod
            ),
        )
        self.address = pulumi.Output.from_input(f"https://{dns_name(service, namespace)}:{SERVING_PORT}")
        self.service = pulumi.Output.from_input(f"{namespace}/{service}")
        self.register_outputs({"address": self.address, "service": self.service})

    def _resolver(
        self, name: str, sensitivity: str, namespace: str, args: InferenceGatewayArgs, servers: list[str]
    ) -> ResolverAccess:
        """The class's resolver, for the Services that the gateway calls and the hosts that the translator calls."""
        names, router, translator_settings = args.get("names"), args.get("router"), args.get("translator")
        if names is None:
            return ResolverAccess()
        services = [
            *servers,
            *([router["service"]] if router is not None else []),
            *([f"{sensitivity}-translator"] if translator_settings is not None else []),
        ]
        return create_name_resolver(
            f"{name}-resolver",
            sensitivity,
            namespace,
            names,
            [dns_name(service_name, namespace) for service_name in services],
            aws_names(translator_settings),
            self,
            monitoring_namespace=args["monitoring_namespace"],
            pod_monitors=args.get("pod_monitors", True),
            pull_secrets=args.get("pull_secrets"),
            pod_priority=args.get("pod_priority"),
            monitor_labels=args.get("monitor_labels"),
            failure_domain_label=args.get("failure_domain_label", ZONE),
        )

    def _egress_policies(
        self,
        name: str,
        sensitivity: str,
        namespace: str,
        service: str,
        labels: dict[str, str],
        servers: list[str],
    ) -> list[pulumi.Resource]:
        """A policy for each of its model servers, and nothing else of the cluster.

        Policies add up, so while the gateway's pods are rolled from an old server to a new one both ways are
        open: the new one's is there before the roll, the old one's goes with what is deleted last.
        """
        from pulumi_kubernetes.networking.v1 import NetworkPolicy

        policies: list[pulumi.Resource] = []
        for server in servers:
            model = {ROLE_LABEL: "model", CLASS_LABEL: sensitivity, ENDPOINT_LABEL: server}
            spec: Any = {
                "podSelector": {"matchLabels": workload_selector(service, sensitivity)},
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
                    f"{name}-to-{server}",
                    metadata=metadata(f"{service}-to-{server}", labels, namespace=namespace),
                    spec=spec,
                    opts=pulumi.ResourceOptions(parent=self),
                )
            )
        return policies


def _target(provider: str, service: str) -> Target:
    """The target that a translator's model is called on."""
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
    """Names without the cluster's DNS, which forwards what it does not know: its servers by address, the
    rest by the site's own resolvers."""
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
