"""Where people decide upon held answers: a namespace, an account, a database user and keys of its own, apart from the
gateways whose answers they are."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import network, sensitivity, within
from components.cluster.certificates import CertificateIssuer, certificate
from components.cluster.class_namespace import closed, pod_security
from components.cluster.edge_files import config_map, reviews_config
from components.cluster.objects import (
    GPU,
    NAMESPACE_LABEL,
    SERVING_PORT,
    dns_name,
    labels,
    metadata,
    reviews_namespace,
    selector,
)
from components.cluster.pod_defaults import GATEWAY_USER, NO_RESOLVER, ranked, same, share_security
from components.gateway.callers import GatewayDatabase, by_address, way_to
from components.gateway.edge_workload import serve
from components.gateway.records import (
    CONTENT_KEYS,
    RECORDS,
    SEALS,
    SharedFolders,
    share,
    shared_claim,
    version,
)
from components.observability.pod_monitor import scraped_from
from components.serving.placement import ZONE
from isthmus.core.errors import InputError

_SECRET = "/etc/isthmus/reviews"  # noqa: S105 (where it is mounted)
_PEOPLE = "/etc/isthmus/reviewers"
_REPLICAS = 2


class GatewayReviewer(TypedDict):
    """A person who shows a certificate in place of a key."""

    name: str
    """One name for one person, in lower case."""
    client: str
    """A DNS name or SPIFFE id of the certificate."""
    workloads: NotRequired[list[str]]
    """Absent: all of the gateway's."""
    senior: NotRequired[bool]
    """Whether this person decides what was escalated."""


class ReviewsArgs(TypedDict):
    """Where people decide upon the held answers of one class at one site."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    site: str
    """Name of the site."""
    image: pulumi.Input[str]
    """Image of the edge, by digest."""
    database: GatewayDatabase
    """The gateway's database, with a user of its own: one that may decide."""
    secret: str
    """Secret in its namespace: `password` and `ca.crt` of the database, `sealer.pem`, `site.key`, `wrapping.key`."""
    reviewers_ca: str
    """ConfigMap in its namespace with `ca.crt`: who signs reviewers' certificates."""
    records_volume: NotRequired[str]
    """A PersistentVolume that is the share on which the class's gateways write records."""
    folders: NotRequired[SharedFolders]
    """In place of it, in an EKS cluster: the folders of a `RecordsShare`, by the gateway's access points."""
    keys_volume: str
    """A PersistentVolume that is the share with the keys of held answers."""
    policy: NotRequired[str]
    """What its records name as the policy's version; absent: a digest of its own configuration."""
    max_unsealed_s: NotRequired[int]
    """Seconds that a record may wait for its seal before nothing is decided; never more than the class's own."""
    from_cidrs: NotRequired[list[str]]
    """Networks from which reviewers reach it; of a restricted class within the site's."""
    from_namespaces: NotRequired[list[str]]
    """Namespaces from which they do."""
    reviewers: NotRequired[list[GatewayReviewer]]
    """Known by their certificates, beside those whose keys are in the database."""
    claim_s: NotRequired[int]
    """For how many seconds an answer is one reviewer's to decide, once taken (default 900)."""
    site_cidrs: NotRequired[list[str]]
    """The site's networks: what a restricted class reaches, and who reaches it, lies within them."""
    replicas: NotRequired[int]
    """Copies (default 2)."""
    issuer: NotRequired[CertificateIssuer]
    """The cert-manager issuer of its certificate."""
    certificate_secret: NotRequired[str]
    """A TLS Secret in its namespace in place of a cert-manager Certificate."""
    monitoring_namespace: str
    """The only namespace that may scrape it."""
    pod_monitors: NotRequired[bool]
    """Whether to make PodMonitors (default true)."""
    monitor_labels: NotRequired[dict[str, str]]
    """Labels of PodMonitors, by which a Prometheus selects them."""
    failure_domain_label: NotRequired[str]
    """Node label over whose values replicas are spread by force (default topology.kubernetes.io/zone)."""
    pull_secrets: NotRequired[list[str]]
    """Secrets of the image registry, in its namespace."""
    pod_priority: NotRequired[str]
    """PriorityClass of its pods; absent: the cluster's default."""


class Reviews(pulumi.ComponentResource):
    """The API by which people decide: let in are reviewers by named ways, let out is the database's alone."""

    address: pulumi.Output[str]
    """URL by which reviewers call it."""
    namespace: pulumi.Output[str]
    """Name of the namespace: `isthmus-CLASS-reviews`."""

    def __init__(
        self,
        name: str,
        args: ReviewsArgs,
        opts: pulumi.ResourceOptions | None = None,
        *,
        after: Sequence[pulumi.Resource] = (),
    ) -> None:
        """`after`: what its pods wait for."""
        super().__init__("isthmus:index:Reviews", name, dict(args), opts)
        from pulumi_kubernetes.core.v1 import Namespace

        held = sensitivity(args["sensitivity"], name)
        space, service = reviews_namespace(held), f"{held}-reviews"
        own = labels(service, sensitivity=held, role="reviews")
        known = labels(space, sensitivity=held)
        made = Namespace(
            f"{name}-namespace",
            metadata=metadata(space, {**known, **pod_security()}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[made])
        replicas = args.get("replicas", _REPLICAS)
        shut = closed(name, space, known, _quota(replicas), inside)
        secret, signed = certificate(
            name,
            service,
            space,
            own,
            inside,
            issuer=args.get("issuer"),
            secret=args.get("certificate_secret"),
            client=False,
        )
        given = {"folders": args["folders"]} if "folders" in args else {}
        if "records_volume" in args:
            given |= {"volume": args["records_volume"]}
        where = f"{service}.records_volume"
        records = share(f"{name}-records", "records", given, space, own, inside, seals=False, where=where)
        claims = [
            *records.made,
            shared_claim(f"{name}-held-keys", "held-keys", args["keys_volume"], space, own, inside),
        ]
        config = config_map(name, service, space, own, _config(args, held), inside)
        database = args["database"]
        serve(
            name,
            service,
            space,
            own,
            selector(service, held),
            self,
            container="reviews",
            image=args["image"],
            replicas=replicas,
            resources=same("500m", "512Mi"),
            config=config,
            tls_secret=secret,
            ingress=[_reviewers(args, held), scraped_from(args["monitoring_namespace"])],
            egress=way_to(database, held, args.get("site_cidrs", []), service),
            before=[*signed, *claims, *shut, *after],
            annotations={},
            pod_monitors=args.get("pod_monitors", True),
            pull_secrets=args.get("pull_secrets"),
            securityContext=share_security(GATEWAY_USER),
            **ranked(args.get("pod_priority")),
            monitor_labels=args.get("monitor_labels"),
            failure_domain_label=args.get("failure_domain_label", ZONE),
            mounts=[
                *records.mounts,
                {"name": "held-keys", "mountPath": CONTENT_KEYS},
                {"name": "reviews", "mountPath": _SECRET, "readOnly": True},
                {"name": "reviewers", "mountPath": _PEOPLE, "readOnly": True},
            ],
            volumes=[
                *records.volumes,
                {"name": "held-keys", "persistentVolumeClaim": {"claimName": "held-keys"}},
                {"name": "reviews", "secret": {"secretName": args["secret"], "defaultMode": 0o440}},
                {"name": "reviewers", "configMap": {"name": args["reviewers_ca"], "defaultMode": 0o440}},
            ],
            inside=[made],
            # It knows one name, by its hosts file.
            **by_address(
                [(database["address"], database["host"])],
                {"dnsPolicy": "None", "dnsConfig": {"nameservers": [NO_RESOLVER]}},
            ),
        )
        self.address = pulumi.Output.from_input(f"https://{dns_name(service, space)}:{SERVING_PORT}")
        self.namespace = made.metadata.apply(lambda m: str(m.name))
        self.register_outputs({"address": self.address, "namespace": self.namespace})


def _quota(replicas: int) -> dict[str, str]:
    """Of its namespace: its copies, one more while they are rolled, and as many that are ending."""
    pods = 2 * replicas + 1
    cpu, memory = f"{pods * 500}m", f"{pods * 512}Mi"
    return {
        "pods": str(pods),
        "requests.cpu": cpu,
        "limits.cpu": cpu,
        "requests.memory": memory,
        "limits.memory": memory,
        f"requests.{GPU}": "0",
    }


def _config(args: ReviewsArgs, held: str) -> dict[str, Any]:
    database = args["database"]
    audit: dict[str, Any] = {
        "records": RECORDS,
        "seals": SEALS,
        "seal_key": f"{_SECRET}/sealer.pem",
        "site_key": f"{_SECRET}/site.key",
    }
    if "max_unsealed_s" in args:
        audit["max_unsealed_s"] = args["max_unsealed_s"]
    made = reviews_config(
        held,
        args["site"],
        f"{_PEOPLE}/ca.crt",
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
            "reviewers": [dict(each) for each in args.get("reviewers", [])],
            "claim_s": args.get("claim_s", 900),
        },
    )
    return {**made, "audit": {**audit, "policy": args.get("policy") or version(made)}}


def _reviewers(args: ReviewsArgs, held: str) -> dict[str, Any]:
    """Ingress: the serving port, from named networks and namespaces. No name at all would be everybody."""
    cidrs, spaces = args.get("from_cidrs", []), args.get("from_namespaces", [])
    if not cidrs and not spaces:
        raise InputError(
            "nobody is named who may reach it",
            where=f"{held}-reviews.from_cidrs",
            fix="Name the reviewers' networks, or from_namespaces",
        )
    for cidr in cidrs:
        if held == "restricted":
            within(cidr, args.get("site_cidrs", []), f"{held}-reviews.from_cidrs")
    return {
        "from": [
            *({"ipBlock": {"cidr": str(network(cidr, f"{held}-reviews.from_cidrs"))}} for cidr in cidrs),
            *({"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: each}}} for each in spaces),
        ],
        "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
    }
