"""The component Reviews: the service where people decide on held answers.

It has its own namespace, account, database user and keys, separate from the gateways that hold the answers.
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import check_sensitivity, check_within, parse_network
from components.cluster.certificates import CertificateIssuer, certificate
from components.cluster.class_namespace import create_isolated_namespace, pods_quota
from components.cluster.edge_files import RECORDS, SEALS, config_map, reviews_config
from components.cluster.objects import (
    NAMESPACE_LABEL,
    SERVING_PORT,
    dns_name,
    reviews_namespace,
)
from components.cluster.pod_defaults import (
    GATEWAY_USER,
    NO_RESOLVER,
    guaranteed_resources,
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
from components.observability.pod_monitor import metrics_ingress
from isthmus.core.errors import InputError

_SECRET = "/etc/isthmus/reviews"  # noqa: S105 (where it is mounted)
_REVIEWERS_CA = "/etc/isthmus/reviewers"
_REPLICAS = 2
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
    claim_s: NotRequired[int]
    """Seconds for which a claimed answer is reserved for one reviewer (default 900)."""
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
        namespace = reviews_namespace(sensitivity)
        replicas = args.get("replicas", _REPLICAS)
        namespace_object, isolation = create_isolated_namespace(
            name, namespace, sensitivity, _quota(replicas), self
        )
        names = WorkloadNames(name, sensitivity, "reviews", namespace, self, [namespace_object])
        settings = PodSettings.from_args(args)
        secret, certificate_resources = certificate(
            name,
            names.service,
            namespace,
            names.labels,
            names.options,
            issuer=args.get("issuer"),
            secret=args.get("certificate_secret"),
            client=False,
        )
        records, claims = _create_claims(names, args)
        config = config_map(
            name, names.service, namespace, names.labels, _config(args, sensitivity), names.options
        )
        create_edge_workload(
            names,
            EdgePods(
                container="reviews",
                image=args["image"],
                replicas=replicas,
                resources=guaranteed_resources(CPU, MEMORY),
                config=config,
                tls_secret=secret,
                ingress=[_reviewers(args, sensitivity), metrics_ingress(settings.monitoring_namespace)],
                egress=database_egress(
                    args["database"], sensitivity, args.get("site_cidrs", []), names.service
                ),
                dependencies=[*certificate_resources, *claims, *isolation, *dependencies],
                mounts=_mounts(records),
                volumes=_volumes(args, records),
                pod_fields={"securityContext": share_security(GATEWAY_USER), **_pod_names(args)},
            ),
            settings,
        )
        address = f"https://{dns_name(names.service, namespace)}:{SERVING_PORT}"
        self.address = pulumi.Output.from_input(address)
        self.namespace = namespace_object.metadata.apply(lambda meta: str(meta.name))
        self.register_outputs({"address": self.address, "namespace": self.namespace})


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
    """Fields of the pod's spec for name resolution. The hosts file contains the only name that it resolves."""
    database = args["database"]
    return with_host_aliases(
        [(database["address"], database["host"])],
        {"dnsPolicy": "None", "dnsConfig": {"nameservers": [NO_RESOLVER]}},
    )


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
        },
    )
    return {**config, "audit": {**audit, "policy": args.get("policy") or config_version(config)}}


def _reviewers(args: ReviewsArgs, sensitivity: str) -> dict[str, Any]:
    """Ingress: the serving port, from named networks and namespaces. A rule without peers would admit everybody."""
    cidrs, spaces = args.get("from_cidrs", []), args.get("from_namespaces", [])
    if not cidrs and not spaces:
        raise InputError(
            "no network and no namespace may reach the reviews",
            where=f"{sensitivity}-reviews.from_cidrs",
            fix="Set from_cidrs to the reviewers' networks, or set from_namespaces",
        )
    for cidr in cidrs:
        if sensitivity == "restricted":
            check_within(cidr, args.get("site_cidrs", []), f"{sensitivity}-reviews.from_cidrs")
    return {
        "from": [
            *(
                {"ipBlock": {"cidr": str(parse_network(cidr, f"{sensitivity}-reviews.from_cidrs"))}}
                for cidr in cidrs
            ),
            *({"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: namespace}}} for namespace in spaces),
        ],
        "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
    }
