"""The component Chat: Open WebUI with our proxy in its pod, and before it the proxy at which people sign on.

Both have a namespace of their own. The chat's pod reaches its database and the class's gateway, and nothing else. The
sign-on's pods reach the organisation's issuer and the chat, and hold no certificate for the gateway.
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict
from urllib.parse import urlsplit

import pulumi

from components.base.argument_checks import check_sensitivity, without_outputs
from components.cluster.certificates import CertificateIssuer, workload_certificate
from components.cluster.class_namespace import create_isolated_namespace, pods_quota
from components.cluster.edge_files import chat_config, config_map
from components.cluster.objects import (
    SERVING_PORT,
    chat_namespace,
    class_namespace,
    dns_name,
    serving_rule,
    sign_on_namespace,
)
from components.cluster.people_ingress import people_ingress
from components.cluster.pod_defaults import container_security, guaranteed_resources, no_dns
from components.cluster.quantities import amount
from components.cluster.workload_names import WorkloadNames
from components.gateway.callers import GatewayDatabase, database_egress, with_host_aliases
from components.gateway.edge_workload import EdgePods, PodSettings, create_edge_workload
from components.gateway.sign_on import GatewaySignOn, host_of, issuer_egress, mounts_and_volumes
from components.gateway.sign_on_proxy import SignOnProxy, create_sign_on_proxy
from components.observability.pod_monitor import metrics_ingress
from isthmus.contracts.platform.lookups.sign_on import chat_tokens_of
from isthmus.contracts.reference.open_webui import (
    DATA,
    MODELS_PORT,
    PORT,
    SECRETS,
    SESSION_S,
    START,
    OpenWebUi,
    database_variables,
    other_chat,
)
from isthmus.core.errors import InputError

_NOBODY = "Set from_namespaces to that of your ingress controller, or from_cidrs to people's networks"
_PROXY_CPU, _PROXY_MEMORY = "500m", "512Mi"


class ChatWorkload(TypedDict):
    """A workload that the chat offers."""

    name: str
    """Name of the workload."""
    model: NotRequired[str]
    """The model behind it, as people read it."""


class ChatHelp(TypedDict):
    """Whom people ask, on their start page."""

    name: str
    """As people read it."""
    workloads: NotRequired[list[str]]
    """The workloads that it helps with. Absent: all."""
    mail: NotRequired[str]
    """Mail address."""
    phone: NotRequired[str]
    """Phone number."""
    page: NotRequired[str]
    """Page with help."""


class ChatPlace(TypedDict):
    """Another chat, a desk or its board, on the start page of who may use it."""

    kind: str
    """`chat`, `desk` or `board`."""
    sensitivity: str
    """Its class."""
    url: str
    """Where people open it."""
    groups: list[str]
    """Groups whose people may use it."""


class ChatArgs(TypedDict):
    """The chat of one class at one site."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    site: str
    """Name of the site."""
    url: str
    """Where people open it."""
    image: pulumi.Input[str]
    """Image of the edge, by digest: our proxy in the chat's pod."""
    chat_image: pulumi.Input[str]
    """Image of Open WebUI, by digest, or of another chat."""
    other_chat: NotRequired[bool]
    """Whether `chat_image` is another chat, which gets no settings of Open WebUI (default false)."""
    sign_on_image: pulumi.Input[str]
    """Image of oauth2-proxy, by digest."""
    gateway: str
    """URL of the class's gateway."""
    gateway_ip: pulumi.Input[str]
    """Address of the gateway's Service. No pod of a chat uses the cluster's DNS."""
    workloads: list[ChatWorkload]
    """The workloads that it offers."""
    help: NotRequired[list[ChatHelp]]
    """Whom people ask, on their start page."""
    places: NotRequired[list[ChatPlace]]
    """Other chats, desks and boards, on the start page of who may use them."""
    sign_on: GatewaySignOn
    """Whose access tokens it accepts, as its gateway does."""
    client: str
    """Its client at the sign-on."""
    scope: str
    """Scopes with which people sign on, such as `openid email`."""
    issuer_address: str
    """IP address of the sign-on."""
    issuer_ca: NotRequired[str]
    """ConfigMap with `ca.crt` in the sign-on's namespace: who signed the issuer's certificate."""
    database: GatewayDatabase
    """Where conversations are kept."""
    history_days: int
    """Days for which conversations are kept. 0: chats are temporary."""
    secret: str
    """Secret in the chat's namespace: `password` and `ca.crt` of the database, `session.key`."""
    sign_on_secret: str
    """Secret in the sign-on's namespace: `client-secret` and `cookie-secret`."""
    from_cidrs: NotRequired[list[str]]
    """Networks of people. For a restricted class they must be inside the site's."""
    from_namespaces: NotRequired[list[str]]
    """Namespaces from which people come, such as that of an ingress controller."""
    site_cidrs: NotRequired[list[str]]
    """The site's networks."""
    cpu: NotRequired[str]
    """CPUs of the chat (default 1)."""
    memory: NotRequired[str]
    """Memory of the chat (default 2Gi)."""
    issuer: NotRequired[CertificateIssuer]
    """The cert-manager issuer of its certificates."""
    monitoring_namespace: str
    """The only namespace that may scrape its metrics."""
    pod_monitors: NotRequired[bool]
    """Whether to create PodMonitors (default true)."""
    monitor_labels: NotRequired[dict[str, str]]
    """Labels of PodMonitors, with which a Prometheus selects them."""
    failure_domain_label: NotRequired[str]
    """Node label of the failure domains over which replicas must be spread (default topology.kubernetes.io/zone)."""
    pull_secrets: NotRequired[list[str]]
    """Secrets of the image registry, in both namespaces."""
    pod_priority: NotRequired[str]
    """PriorityClass of its pods. Absent: the cluster's default."""


class Chat(pulumi.ComponentResource):
    """A chat for the staff of one class, and the proxy at which they sign on."""

    url: pulumi.Output[str]
    """Where people open it."""
    service: pulumi.Output[str]
    """The Service of the sign-on's proxy, as NAMESPACE/NAME: an ingress leads there."""

    def __init__(
        self,
        name: str,
        args: ChatArgs,
        opts: pulumi.ResourceOptions | None = None,
        *,
        dependencies: Sequence[pulumi.Resource] = (),
    ) -> None:
        """`dependencies`: resources that must exist before its pods start."""
        super().__init__("isthmus:index:Chat", name, without_outputs(dict(args)), opts)
        sensitivity = check_sensitivity(args["sensitivity"], name)
        _check_gateway(args, sensitivity)
        people = people_ingress(args, sensitivity, "chat", _NOBODY)
        namespace = chat_namespace(sensitivity)
        namespace_object, isolation = create_isolated_namespace(
            name, namespace, sensitivity, _quota(args), self
        )
        names = WorkloadNames(name, sensitivity, "chat", namespace, self, [namespace_object])
        settings = PodSettings.from_args(args)
        secret, certificates = workload_certificate(
            names,
            issuer=args.get("issuer"),
            secret=None,
            client=True,
        )
        config = config_map(
            name, names.service, namespace, names.labels, _config(args, sensitivity), names.options
        )
        waits_for = [*certificates, *isolation, *dependencies]
        chat_service = create_edge_workload(names, _pods(args, names, config, secret, waits_for), settings)
        proxy = create_sign_on_proxy(
            WorkloadNames(f"{name}-sign-on", sensitivity, "sign-on", sign_on_namespace(sensitivity), self),
            SignOnProxy(args, names, chat_service, people),
            settings,
        )
        self.url = pulumi.Output.from_input(args["url"])
        self.service = pulumi.Output.from_input(proxy)
        self.register_outputs({"url": self.url, "service": self.service})


def _pods(
    args: ChatArgs, names: WorkloadNames, config: Any, tls_secret: str, dependencies: list[pulumi.Resource]
) -> EdgePods:
    """The chat's pod: our proxy, and Open WebUI beside it."""
    sign_on_mounts, sign_on_volumes = mounts_and_volumes(args["sign_on"])
    return EdgePods(
        container="proxy",
        image=args["image"],
        # Without Redis one Open WebUI serves; a second one would not see the first one's sockets.
        replicas=1,
        resources=guaranteed_resources(_PROXY_CPU, _PROXY_MEMORY),
        config=config,
        tls_secret=tls_secret,
        ingress=[
            serving_rule("from", sign_on_namespace(names.sensitivity), "sign-on", names.sensitivity),
            metrics_ingress(args["monitoring_namespace"]),
        ],
        egress=_egress(args, names.sensitivity, names.service),
        dependencies=dependencies,
        mounts=[*sign_on_mounts, {"name": "chat", "mountPath": SECRETS, "readOnly": True}],
        volumes=[
            *sign_on_volumes,
            {"name": "chat", "secret": {"secretName": args["secret"], "defaultMode": 0o440}},
            {"name": "data", "emptyDir": {"sizeLimit": "2Gi"}},
        ],
        beside=[_chat_container(args)],
        pod_fields=_pod_names(args),
    )


def _check_gateway(args: ChatArgs, sensitivity: str) -> None:
    """A chat asks the gateway of its own class."""
    host = urlsplit(args["gateway"]).hostname or ""
    expected = dns_name(f"{sensitivity}-gateway", class_namespace(sensitivity))
    if host != expected:
        raise InputError(
            f"the chat of class {sensitivity} would ask {host or 'no gateway'}, which is not its class's gateway",
            where=f"{sensitivity}-chat.gateway",
            fix=f"Set gateway to https://{expected}:{SERVING_PORT}",
        )


def _quota(args: ChatArgs) -> dict[str, str]:
    """Quota of its namespace: its pod, one more during a rollout, and one that is ending."""
    cpu = amount(args.get("cpu", "1")) + amount(_PROXY_CPU)
    memory = amount(args.get("memory", "2Gi")) + amount(_PROXY_MEMORY)
    return pods_quota(3, f"{int(cpu * 1000)}m", f"{int(memory / 2**20)}Mi")


def _config(args: ChatArgs, sensitivity: str) -> dict[str, Any]:
    names = {workload["name"]: workload["model"] for workload in args["workloads"] if "model" in workload}
    return chat_config(
        sensitivity,
        args["site"],
        {
            "inner": {"host": "127.0.0.1", "port": MODELS_PORT},
            "chat": f"http://127.0.0.1:{PORT}",
            "gateway": args["gateway"],
            "tokens": chat_tokens_of(args["sign_on"]["tokens"]),
            "model_names": names,
            **({"help": list(args["help"])} if "help" in args else {}),
            **({"places": [_place(place) for place in args["places"]]} if "places" in args else {}),
            "max_session_s": SESSION_S,
            "open_webui": not args.get("other_chat", False),
            "history": {
                "days": args["history_days"],
                "database": {
                    "host": args["database"]["host"],
                    "port": args["database"].get("port", 5432),
                    "name": args["database"].get("name", "chat"),
                    "user": args["database"].get("user", "chat"),
                    "password": f"{SECRETS}/password",
                    "ca": f"{SECRETS}/ca.crt",
                },
            },
        },
    )


def _place(place: ChatPlace) -> dict[str, Any]:
    """As the edge's settings have it."""
    return {
        "kind": place["kind"],
        "class": place["sensitivity"],
        "url": place["url"],
        "groups": place["groups"],
    }


def _chat_container(args: ChatArgs) -> dict[str, Any]:
    """The container of Open WebUI. Only our proxy reaches it: it listens on the pod's loopback."""
    database = args["database"]
    if args.get("other_chat", False):
        values = other_chat()
    else:
        names = [workload["name"] for workload in args["workloads"]]
        chat = OpenWebUi(args["sensitivity"], args["url"], names, keeps_history=args["history_days"] > 0)
        values = chat.environment()
    values |= database_variables(
        database["host"],
        database.get("port", 5432),
        database.get("name", "chat"),
        database.get("user", "chat"),
    )
    return {
        "name": "chat",
        "image": args["chat_image"],
        **({} if args.get("other_chat", False) else {"command": list(START)}),
        "env": [{"name": name, "value": value} for name, value in sorted(values.items())],
        "volumeMounts": [
            {"name": "chat", "mountPath": SECRETS, "readOnly": True},
            {"name": "data", "mountPath": DATA},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 (a volume of the pod)
        ],
        "resources": guaranteed_resources(args.get("cpu", "1"), args.get("memory", "2Gi")),
        "securityContext": container_security(),
    }


def _egress(args: ChatArgs, sensitivity: str, service: str) -> list[dict[str, Any]]:
    """Egress: to the class's gateway, the database, and the issuer's keys where they are fetched."""
    place = sensitivity, args.get("site_cidrs", []), service
    return [
        serving_rule("to", class_namespace(sensitivity), "gateway", sensitivity),
        *database_egress(args["database"], *place),
        *issuer_egress(args["sign_on"], *place),
    ]


def _pod_names(args: ChatArgs) -> dict[str, Any]:
    """Name resolution without DNS: the hosts file has the gateway, the database and the issuer's keys."""
    database, sign_on = args["database"], args["sign_on"]
    hosts: list[tuple[Any, str]] = [
        (args["gateway_ip"], urlsplit(args["gateway"]).hostname or ""),
        (database["address"], database["host"]),
    ]
    if "keys_address" in sign_on:
        hosts.append((sign_on["keys_address"], host_of(sign_on)))
    return with_host_aliases(hosts, no_dns())
