"""The gateway of one class at one site: the only thing that applications of the class can reach."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import may_use_aws, sensitivity, within, without_outputs
from components.cluster.certificates import CertificateIssuer, certificate
from components.cluster.edge_files import config_map, gateway_config, trusting
from components.cluster.objects import (
    CLASS_LABEL,
    ENDPOINT_LABEL,
    ROLE_LABEL,
    SERVING_PORT,
    class_namespace,
    dns_name,
    labels,
    metadata,
    selector,
)
from components.cluster.pod_defaults import GATEWAY_USER, NO_RESOLVER, ranked, same, share_security
from components.gateway.callers import (
    GatewayDatabase,
    GatewayTeam,
    by_address,
    known_callers,
    way_to,
)
from components.gateway.confidence import Calibrations
from components.gateway.edge_workload import serve
from components.gateway.held_answers import GatewayHeld, Held
from components.gateway.name_resolver import NameResolver, Resolving, aws_names, name_resolver
from components.gateway.records import GatewayAudit, Records
from components.gateway.router import GatewayRouter, routed, through, to_router
from components.gateway.routes import GatewayRoute, beyond, direct, led_to
from components.gateway.screening import GatewayScreening, addresses_of, screened, servers_of
from components.gateway.traces import GatewayTraces, host_of, mounted, traced, way_to_collector
from components.gateway.translator.translator import (
    NamedDestination,
    TranslatorSettings,
    translator,
    ways_out,
)
from components.observability.pod_monitor import scraped_from
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
        after: Sequence[pulumi.Resource] = (),
    ) -> None:
        """`after`: model servers that must serve before its pods are told to send requests there."""
        # A component is registered once its inputs are known, and its children after it: were an address of
        # another component among them, all that the gateway is made of would wait for it.
        super().__init__("isthmus:index:InferenceGateway", name, without_outputs(dict(args)), opts)
        held = sensitivity(args["sensitivity"], name)
        space = class_namespace(held)
        service = f"{held}-gateway"
        own = labels(service, sensitivity=held, role="gateway")
        child = pulumi.ResourceOptions(parent=self)
        behind = args.get("translator")
        destinations = args.get("destinations", [])
        if behind is not None:
            for target in sorted({model.get("provider", "bedrock") for model in behind["models"]}):
                may_use_aws(
                    held, f"{service}.translator", args.get("exception", ""), _target(target, service)
                )
        if held == "restricted":
            for way in destinations:
                where = f"{service}.destinations.{way['name']}"
                within(way["cidr"], args.get("site_cidrs", []), where)

        cloud = {model["name"] for model in behind["models"]} if behind else set()
        router = args.get("router")
        local = [route for route in args["routes"] if route["endpoint"] not in cloud]
        servers = sorted({each["endpoint"] for route in args["routes"] for each in led_to(route)} - cloud)
        if router is not None:
            servers = []  # it reaches none of them
        servers = sorted({*servers, *servers_of(args.get("screening"))})
        routes = [
            through(router, route, space) | beyond(route, held, space, cloud)
            if router is not None and route["endpoint"] not in cloud
            else direct(route, held, space, cloud)
            for route in args["routes"]
        ]
        secret, before = certificate(
            name,
            service,
            space,
            own,
            child,
            issuer=args.get("issuer"),
            secret=args.get("certificate_secret"),
            client=True,
        )
        if router is not None:
            before += routed(name, held, space, router, local, self, issuer=args.get("issuer"))
        database = args.get("database")
        scored = Calibrations(name, service, space, own, [dict(route) for route in args["routes"]], child)
        callers = known_callers(database, args.get("teams", []), scored.routes)
        trust_bundle = args.get("trust_bundle")
        told = trusting(gateway_config(held, args["site"], routes, callers), trust_bundle)
        traces = args.get("traces")
        known = [(database["address"], database["host"])] if database is not None else []
        known += [(traces["address"], host_of(traces))] if traces is not None else []
        told |= traced(traces)
        seen, believed = mounted(traces)
        looked = screened(name, held, space, own, args.get("screening"), args["monitoring_namespace"], child)
        told |= looked.told
        held_answers = Held(name, service, space, own, args, child)
        told |= held_answers.section
        records = Records(name, service, space, own, args["audit"], child) if "audit" in args else None
        if records is not None:
            told["audit"] = records.section(told)
        config = config_map(name, service, space, own, told, child)
        resolving = self._resolver(name, held, space, args, servers)
        if behind is not None:
            translator(
                f"{name}-translator",
                held,
                space,
                behind,
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
        serve(
            name,
            service,
            space,
            own,
            selector(service, held),
            self,
            container="edge",
            image=args["image"],
            replicas=args.get("replicas", 2),
            max_replicas=args.get("max_replicas"),
            resources=same(args.get("cpu", "1"), args.get("memory", "1Gi")),
            config=config,
            tls_secret=secret,
            trust_bundle=trust_bundle,
            ingress=[_applications(held), scraped_from(args["monitoring_namespace"]), *looked.ingress],
            egress=[
                *way_to(database, held, args.get("site_cidrs", []), service),
                *way_to_collector(traces, held, args.get("site_cidrs", []), service),
                *([to_router(held)] if router is not None else []),
                *([_to_translator(held)] if behind is not None else ways_out(destinations, service)),
            ],
            before=[
                *before,
                *(records.before if records is not None else []),
                *looked.before,
                *held_answers.before,
                *scored.before,
                *self._ways_to_models(name, held, space, service, own, servers),
                *resolving.before,
                *after,
            ],
            annotations={},
            pod_monitors=args.get("pod_monitors", True),
            pull_secrets=args.get("pull_secrets"),
            securityContext=share_security(GATEWAY_USER),
            **ranked(args.get("pod_priority")),
            monitor_labels=args.get("monitor_labels"),
            failure_domain_label=args.get("failure_domain_label", ZONE),
            mounts=[
                {"name": "callers", "mountPath": "/etc/isthmus/callers", "readOnly": True},
                *(records.mounts if records is not None else []),
                *held_answers.mounts,
                *scored.mounts,
                *seen,
            ],
            volumes=[
                {"name": "callers", "secret": {"secretName": args["callers_secret"], "defaultMode": 0o440}},
                *(records.volumes if records is not None else []),
                *held_answers.volumes,
                *scored.volumes,
                *believed,
                *looked.volumes,
            ],
            measured=looked.measured,
            **looked.pod,
            **by_address(known, _own_names(args, space) if held == "restricted" else resolving.pod),
        )
        self.address = pulumi.Output.from_input(f"https://{dns_name(service, space)}:{SERVING_PORT}")
        self.service = pulumi.Output.from_input(f"{space}/{service}")
        self.register_outputs({"address": self.address, "service": self.service})

    def _resolver(
        self, name: str, held: str, space: str, args: InferenceGatewayArgs, servers: list[str]
    ) -> Resolving:
        """The class's resolver, for the Services that the gateway calls and the hosts that the translator calls."""
        names, router, behind = args.get("names"), args.get("router"), args.get("translator")
        if names is None:
            return Resolving()
        called = [
            *servers,
            *([router["service"]] if router is not None else []),
            *([f"{held}-translator"] if behind is not None else []),
        ]
        return name_resolver(
            f"{name}-resolver",
            held,
            space,
            names,
            [dns_name(each, space) for each in called],
            aws_names(behind),
            self,
            monitoring_namespace=args["monitoring_namespace"],
            pod_monitors=args.get("pod_monitors", True),
            pull_secrets=args.get("pull_secrets"),
            pod_priority=args.get("pod_priority"),
            monitor_labels=args.get("monitor_labels"),
            failure_domain_label=args.get("failure_domain_label", ZONE),
        )

    def _ways_to_models(
        self, name: str, held: str, space: str, service: str, own: dict[str, str], servers: list[str]
    ) -> list[pulumi.Resource]:
        """A policy for each of its model servers, and nothing else of the cluster.

        Policies add up, so while the gateway's pods are rolled from an old server to a new one both ways are
        open: the new one's is there before the roll, the old one's goes with what is deleted last.
        """
        from pulumi_kubernetes.networking.v1 import NetworkPolicy

        made: list[pulumi.Resource] = []
        for server in servers:
            model = {ROLE_LABEL: "model", CLASS_LABEL: held, ENDPOINT_LABEL: server}
            spec: Any = {
                "podSelector": {"matchLabels": selector(service, held)},
                "policyTypes": ["Egress"],
                "egress": [
                    {
                        "to": [{"podSelector": {"matchLabels": model}}],
                        "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
                    }
                ],
            }
            made.append(
                NetworkPolicy(
                    f"{name}-to-{server}",
                    metadata=metadata(f"{service}-to-{server}", own, namespace=space),
                    spec=spec,
                    opts=pulumi.ResourceOptions(parent=self),
                )
            )
        return made


def _target(provider: str, service: str) -> Target:
    """The target that a translator's model is called on."""
    for known in CALLED_TARGETS:
        if provider == known:
            return known
    raise InputError(
        f"'{provider}' is no provider",
        where=f"{service}.translator",
        fix=f"Known: {', '.join(CALLED_TARGETS)}",
    )


def _applications(held: str) -> dict[str, Any]:
    """Ingress: the serving port, from namespaces of the same class."""
    return {
        "from": [{"namespaceSelector": {"matchLabels": {CLASS_LABEL: held}}}],
        "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
    }


def _to_translator(held: str) -> dict[str, Any]:
    """Egress: to its own translator."""
    behind = {"podSelector": {"matchLabels": {ROLE_LABEL: "translator", CLASS_LABEL: held}}}
    return {"to": [behind], "ports": [{"protocol": "TCP", "port": SERVING_PORT}]}


def _own_names(args: InferenceGatewayArgs, space: str) -> dict[str, Any]:
    """Names without the cluster's DNS, which forwards what it does not know: its servers by address, the
    rest by the site's own resolvers."""
    hosts: dict[str, Any] = {}
    for route in args["routes"]:
        for place in led_to(route):
            if "cluster_ip" not in place:
                raise InputError(
                    f"route '{route['workload']}' of a restricted gateway names no address",
                    where=f"routes.{route['workload']}.cluster_ip",
                    fix="Give the model server's cluster_ip: a restricted gateway asks no cluster DNS",
                )
            hosts[place["endpoint"]] = place["cluster_ip"]
    for judge, address in addresses_of(args.get("screening")):
        if address is None:
            raise InputError(
                f"guard model '{judge}' of a restricted gateway has no address",
                where="screening.guards",
                fix="Give the model server's cluster_ip: a restricted gateway asks no cluster DNS",
            )
        hosts[judge] = address
    return {
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": args.get("resolvers", [])[:3] or [NO_RESOLVER]},
        "hostAliases": [
            {"ip": address, "hostnames": [dns_name(endpoint, space)]}
            for endpoint, address in sorted(hosts.items())
        ],
    }
