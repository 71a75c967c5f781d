"""The component Reviews: the service where people decide on held answers, the proxy at which they sign on, and the
notifier that tells them what waits.

It has its own namespace, account, database user and keys, separate from the gateways that hold the answers. With a desk
it has a second port for people's pages, which only the proxy reaches. The proxy has a namespace of its own.
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import check_sensitivity
from components.cluster.certificates import CertificateIssuer, workload_certificate
from components.cluster.class_namespace import create_isolated_namespace, pods_quota
from components.cluster.edge_files import RECORDS, SEALS, config_map, reviews_config
from components.cluster.objects import (
    SERVING_PORT,
    dns_name,
    reviews_namespace,
    reviews_sign_on_namespace,
    serving_rule,
)
from components.cluster.people_ingress import people_ingress
from components.cluster.pod_defaults import (
    GATEWAY_USER,
    guaranteed_resources,
    no_dns,
    share_security,
)
from components.cluster.workload_names import WorkloadNames
from components.gateway.callers import GatewayDatabase, database_egress, with_host_aliases
from components.gateway.edge_workload import EdgePods, PodSettings, create_edge_workload
from components.gateway.records import (
    CONTENT_KEYS,
    SharedFolders,
    ShareParts,
    config_version,
    create_share,
    create_shared_claim,
)
from components.gateway.sign_on import (
    GatewaySignOn,
    host_of,
    issuer_egress,
    mounts_and_volumes,
    tokens_section,
)
from components.gateway.sign_on_proxy import SignOnProxy, create_sign_on_proxy
from components.observability.pod_monitor import metrics_ingress
from components.reviews.notifier import create_notifier
from edge.config.desk import SESSION_S
from isthmus.contracts.platform.lookups.desk import DESK_PORT

_SECRET = "/etc/isthmus/reviews"  # noqa: S105 (where it is mounted)
_REVIEWERS_CA = "/etc/isthmus/reviewers"
_REPLICAS = 2
_SIGN_ON = "reviews-sign-on"
"""Role of the pods at which reviewers sign on."""
_NOBODY = "Set from_cidrs to the reviewers' networks, or set from_namespaces"
_NOBODY_AT_DESK = (
    "Set from_namespaces to that of your ingress controller, or from_cidrs to reviewers' networks"
)
CPU, MEMORY = "500m", "512Mi"
"""Resources of each replica."""


class GatewayReviewer(TypedDict):
    """A reviewer who authenticates with a certificate instead of a key."""

    name: str
    """Name of the person in lower case. One person has one name."""
    client: str
    """DNS name or SPIFFE id in the certificate."""
    workloads: NotRequired[list[str]]
    """Workloads of the gateway that this person may review. Absent: all."""
    senior: NotRequired[bool]
    """Whether this person may decide escalated answers."""


class ReviewDeskArgs(TypedDict):
    """The pages of a review service for people who sign on."""

    url: str
    """Where people open it."""
    settings: dict[str, Any]
    """Section `desk` of the edge's configuration without `listen` (docs/desk.md)."""
    sign_on_image: pulumi.Input[str]
    """Image of oauth2-proxy, by digest."""
    sign_on: GatewaySignOn
    """Whose access tokens it accepts."""
    client: str
    """Its client at the sign-on."""
    scope: str
    """Scopes with which people sign on, such as `openid email`."""
    issuer_address: str
    """IP address of the sign-on."""
    issuer_ca: NotRequired[str]
    """ConfigMap with `ca.crt` in the proxy's namespace: who signed the issuer's certificate."""
    sign_on_secret: str
    """Secret in the proxy's namespace: `client-secret` and `cookie-secret`."""
    from_cidrs: NotRequired[list[str]]
    """Networks of the reviewers. For a restricted class they must be inside the site's."""
    from_namespaces: NotRequired[list[str]]
    """Namespaces from which reviewers come, such as that of an ingress controller."""


class NotifierExit(TypedDict):
    """A mail relay or a service that the notifier reaches."""

    host: str
    """Host name in its certificate."""
    address: str
    """Its IP address."""
    port: int
    """Its port."""


class ReviewNotifierArgs(TypedDict):
    """What tells people that answers wait for them."""

    image: pulumi.Input[str]
    """Image of the notifier, by digest."""
    settings: dict[str, Any]
    """The edge's configuration of `mode: notifier` without `health` (docs/deadlines.md)."""
    exits: list[NotifierExit]
    """What its network policy opens beside the database. For a restricted class: inside the site's networks."""
    secret: str
    """Secret in its namespace with `password` and `ca.crt` of the database."""
    target_secrets: NotRequired[dict[str, str]]
    """By target: the Secret in its namespace with `password` or `url`."""
    webhook_secrets: NotRequired[dict[str, str]]
    """By webhook: the Secret in its namespace with `secret`."""
    webhook_authorities: NotRequired[dict[str, str]]
    """By webhook: the ConfigMap in its namespace with `ca.crt` of the application's authority."""
    calendars: NotRequired[dict[str, str]]
    """By file name: calendars of who is on call, beside its configuration."""
    calendar_config_maps: NotRequired[dict[str, str]]
    """By target: the ConfigMap in its namespace with `on-call.yaml`."""
    relay_ca: NotRequired[str]
    """ConfigMap in its namespace with `ca.crt`: the CA of mail relays."""


class ReviewsArgs(TypedDict):
    """The review service of one class at one site."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    site: str
    """Name of the site."""
    image: pulumi.Input[str]
    """Image of the edge, by digest."""
    database: GatewayDatabase
    """The gateway's database, with a database user of its own that may decide."""
    secret: str
    """Secret in its namespace: `password` and `ca.crt` of the database, `sealer.pem`, `site.key`, `wrapping.key`."""
    reviewers_ca: str
    """ConfigMap in its namespace with `ca.crt`: the CA of reviewers' certificates."""
    records_volume: NotRequired[str]
    """PersistentVolume of the share to which the class's gateways write their records."""
    folders: NotRequired[SharedFolders]
    """Instead of `records_volume`, in EKS: the folders of a `RecordsShare`, by the gateway's access points."""
    keys_volume: str
    """PersistentVolume of the share with the keys of held answers."""
    policy: NotRequired[str]
    """Version of the policy, which its records name. Absent: a digest of its own configuration."""
    max_unsealed_s: NotRequired[int]
    """Maximum age in seconds of an unsealed record before decisions are refused. At most the class's own maximum."""
    from_cidrs: NotRequired[list[str]]
    """Networks of the reviewers. For a restricted class they must be inside the site's."""
    from_namespaces: NotRequired[list[str]]
    """Namespaces of the reviewers."""
    reviewers: NotRequired[list[GatewayReviewer]]
    """Reviewers with certificates. Reviewers with keys are in the database."""
    desk: NotRequired[ReviewDeskArgs]
    """The pages for reviewers who sign on. Absent: there is the API alone."""
    notifier: NotRequired[ReviewNotifierArgs]
    """What tells people that answers wait. Absent: nobody is told."""
    claim_s: NotRequired[int]
    """Seconds for which a claimed answer is reserved for one reviewer (default 900)."""
    domains: NotRequired[list[dict[str, Any]]]
    """Deadlines in working time, the same as those of the gateways (docs/deadlines.md)."""
    site_cidrs: NotRequired[list[str]]
    """The site's networks. Database and reviewers of a restricted class must be inside them."""
    replicas: NotRequired[int]
    """Number of replicas (default 2)."""
    issuer: NotRequired[CertificateIssuer]
    """The cert-manager issuer of its certificate."""
    certificate_secret: NotRequired[str]
    """TLS Secret in its namespace to use instead of a cert-manager Certificate."""
    monitoring_namespace: str
    """The only namespace that may scrape its metrics."""
    pod_monitors: NotRequired[bool]
    """Whether to create PodMonitors (default true)."""
    monitor_labels: NotRequired[dict[str, str]]
    """Labels of PodMonitors, with which a Prometheus selects them."""
    failure_domain_label: NotRequired[str]
    """Node label of the failure domains over which replicas must be spread (default topology.kubernetes.io/zone)."""
    pull_secrets: NotRequired[list[str]]
    """Secrets of the image registry, in its namespace."""
    pod_priority: NotRequired[str]
    """PriorityClass of its pods. Absent: the cluster's default."""


class Reviews(pulumi.ComponentResource):
    """The API for reviewers. Ingress comes from named networks and namespaces, egress goes to the database only."""

    address: pulumi.Output[str]
    """URL with which reviewers call it."""
    namespace: pulumi.Output[str]
    """Name of the namespace: `isthmus-CLASS-reviews`."""

    def __init__(
        self,
        name: str,
        args: ReviewsArgs,
        opts: pulumi.ResourceOptions | None = None,
        *,
        dependencies: Sequence[pulumi.Resource] = (),
    ) -> None:
        """`dependencies`: resources that must exist before its pods start."""
        super().__init__("isthmus:index:Reviews", name, dict(args), opts)
        sensitivity = check_sensitivity(args["sensitivity"], name)
        people = people_ingress(args, sensitivity, "reviews", _NOBODY)
        namespace = reviews_namespace(sensitivity)
        replicas = args.get("replicas", _REPLICAS)
        namespace_object, isolation = create_isolated_namespace(
            name, namespace, sensitivity, _quota(replicas), self
        )
        names = WorkloadNames(name, sensitivity, "reviews", namespace, self, [namespace_object])
        settings = PodSettings.from_args(args)
        secret, certificate_resources = workload_certificate(
            names,
            issuer=args.get("issuer"),
            secret=args.get("certificate_secret"),
            client=False,
        )
        records, claims = _create_claims(names, args)
        config = config_map(
            name, names.service, namespace, names.labels, _config(args, sensitivity), names.options
        )
        waits_for = [*certificate_resources, *claims, *isolation, *dependencies]
        pods = _pods(args, names, people, (config, secret, records), waits_for)
        service = create_edge_workload(names, pods, settings)
        if "desk" in args:
            _create_sign_on(names, args, args["desk"], service, settings)
        if "notifier" in args:
            create_notifier(names, args, settings)
        address = f"https://{dns_name(names.service, namespace)}:{SERVING_PORT}"
        self.address = pulumi.Output.from_input(address)
        self.namespace = namespace_object.metadata.apply(lambda meta: str(meta.name))
        self.register_outputs({"address": self.address, "namespace": self.namespace})


def _pods(
    args: ReviewsArgs,
    names: WorkloadNames,
    people: dict[str, Any],
    files: tuple[Any, str, ShareParts],
    dependencies: list[pulumi.Resource],
) -> EdgePods:
    """`files`: the ConfigMap of its configuration, the Secret of its certificate and the share of its records."""
    config, secret, records = files
    sign_on = _sign_on_of(args)
    sign_on_mounts, sign_on_volumes = mounts_and_volumes(sign_on)
    place = names.sensitivity, args.get("site_cidrs", []), names.service
    from_proxy = serving_rule(
        "from", reviews_sign_on_namespace(names.sensitivity), _SIGN_ON, names.sensitivity, DESK_PORT
    )
    return EdgePods(
        container="reviews",
        image=args["image"],
        replicas=args.get("replicas", _REPLICAS),
        resources=guaranteed_resources(CPU, MEMORY),
        config=config,
        tls_secret=secret,
        ingress=[people, *([from_proxy] if sign_on else []), metrics_ingress(args["monitoring_namespace"])],
        egress=[*database_egress(args["database"], *place), *issuer_egress(sign_on, *place)],
        dependencies=dependencies,
        mounts=[*_mounts(records), *sign_on_mounts],
        volumes=[*_volumes(args, records), *sign_on_volumes],
        ports={"desk": DESK_PORT} if sign_on else {},
        pod_fields={"securityContext": share_security(GATEWAY_USER), **_pod_names(args)},
    )


def _sign_on_of(args: ReviewsArgs) -> GatewaySignOn | None:
    return args["desk"]["sign_on"] if "desk" in args else None


def _create_sign_on(
    names: WorkloadNames, args: ReviewsArgs, desk: ReviewDeskArgs, service: Any, settings: PodSettings
) -> None:
    """Create the proxy at which reviewers sign on to the desk."""
    shared: dict[str, Any] = {key: value for key, value in args.items() if key in ("issuer", "site_cidrs")}
    people = people_ingress({**shared, **desk}, names.sensitivity, "desk", _NOBODY_AT_DESK)
    proxy_names = WorkloadNames(
        f"{names.name}-sign-on",
        names.sensitivity,
        _SIGN_ON,
        reviews_sign_on_namespace(names.sensitivity),
        names.parent,
    )
    session_s = desk["settings"].get("max_session_s", SESSION_S)
    create_sign_on_proxy(
        proxy_names, SignOnProxy({**shared, **desk}, names, service, people, DESK_PORT, session_s), settings
    )


def _create_claims(names: WorkloadNames, args: ReviewsArgs) -> tuple[ShareParts, list[pulumi.Resource]]:
    """Create the share of the records and the claim of the keys of held answers. Returns the share, and all of it."""
    share_arguments: dict[str, Any] = {"folders": args["folders"]} if "folders" in args else {}
    if "records_volume" in args:
        share_arguments["volume"] = args["records_volume"]
    records = create_share(
        f"{names.name}-records",
        "records",
        share_arguments,
        names.namespace,
        names.labels,
        names.options,
        is_sealer=False,
        where=f"{names.service}.records_volume",
    )
    keys = create_shared_claim(
        f"{names.name}-held-keys",
        "held-keys",
        args["keys_volume"],
        names.namespace,
        names.labels,
        names.options,
    )
    return records, [*records.made, keys]


def _mounts(records: ShareParts) -> list[dict[str, Any]]:
    return [
        *records.mounts,
        {"name": "held-keys", "mountPath": CONTENT_KEYS},
        {"name": "reviews", "mountPath": _SECRET, "readOnly": True},
        {"name": "reviewers", "mountPath": _REVIEWERS_CA, "readOnly": True},
    ]


def _volumes(args: ReviewsArgs, records: ShareParts) -> list[dict[str, Any]]:
    return [
        *records.volumes,
        {"name": "held-keys", "persistentVolumeClaim": {"claimName": "held-keys"}},
        {"name": "reviews", "secret": {"secretName": args["secret"], "defaultMode": 0o440}},
        {"name": "reviewers", "configMap": {"name": args["reviewers_ca"], "defaultMode": 0o440}},
    ]


def _pod_names(args: ReviewsArgs) -> dict[str, Any]:
    """Name resolution without DNS: the hosts file has the database, and the issuer's keys where a desk reads them."""
    database, sign_on = args["database"], _sign_on_of(args)
    hosts: list[tuple[Any, str]] = [(database["address"], database["host"])]
    if sign_on is not None and "keys_address" in sign_on:
        hosts.append((sign_on["keys_address"], host_of(sign_on)))
    return with_host_aliases(hosts, no_dns())


def _quota(replicas: int) -> dict[str, str]:
    """Quota of its namespace: its replicas, one more during a rollout, and as many that are ending."""
    return pods_quota(2 * replicas + 1, CPU, MEMORY)


def _config(args: ReviewsArgs, sensitivity: str) -> dict[str, Any]:
    database = args["database"]
    audit: dict[str, Any] = {
        "records": RECORDS,
        "seals": SEALS,
        "seal_key": f"{_SECRET}/sealer.pem",
        "site_key": f"{_SECRET}/site.key",
    }
    if "max_unsealed_s" in args:
        audit["max_unsealed_s"] = args["max_unsealed_s"]
    config = reviews_config(
        sensitivity,
        args["site"],
        f"{_REVIEWERS_CA}/ca.crt",
        {
            "database": {
                "host": database["host"],
                "port": database.get("port", 5432),
                "name": database.get("name", "isthmus"),
                "user": database.get("user", "reviews"),
                "password": f"{_SECRET}/password",
                "ca": f"{_SECRET}/ca.crt",
            },
            "audit": audit,
            "held": {"keys": CONTENT_KEYS, "wrapping_key": f"{_SECRET}/wrapping.key"},
            "reviewers": [dict(reviewer) for reviewer in args.get("reviewers", [])],
            "claim_s": args.get("claim_s", 900),
            **({"domains": args["domains"]} if "domains" in args else {}),
            **tokens_section(_sign_on_of(args)),
            **({"desk": args["desk"]["settings"]} if "desk" in args else {}),
        },
    )
    return {**config, "audit": {**audit, "policy": args.get("policy") or config_version(config)}}
