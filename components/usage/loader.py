"""The component UsageLoader: loads the usage ledger of a class from its sealed records, from a namespace of its own."""

from typing import Any, NotRequired, TypedDict
from urllib.parse import urlsplit

import pulumi

from components.base.argument_checks import check_sensitivity, check_within
from components.cluster.class_namespace import create_isolated_namespace, pods_quota
from components.cluster.edge_files import config_map, with_health
from components.cluster.objects import loader_namespace
from components.cluster.pod_defaults import (
    edge_container,
    edge_probes,
    edge_volumes,
    guaranteed_resources,
    no_dns,
    pod_spec,
    priority_fields,
)
from components.cluster.workload_names import WorkloadNames
from components.gateway.callers import with_host_aliases
from components.gateway.edge_workload import PodSettings
from components.gateway.translator.translator import NamedDestination, destination_egress
from isthmus.contracts.platform.lookups.usage import LEDGER_FOLDER, STORE_FOLDER
from isthmus.core.errors import InputError

ROLE = "loader"
"""Role of its pods."""
CPU, MEMORY = "500m", "512Mi"
"""Resources of its only pod. It needs about 0.13 s of CPU for 1,000 requests."""
_QUOTA = pods_quota(3, CPU, MEMORY)
"""Quota of its namespace: one pod, one more during a rollout, and one that is ending."""


class UsageLoaderArgs(TypedDict):
    """The loader of the usage ledger of one class at one site."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    image: pulumi.Input[str]
    """Image of the translator, by digest: it contains the S3 client."""
    settings: dict[str, Any]
    """The edge's configuration of `mode: loader` without `health` (docs/usage.md)."""
    ledger_address: str
    """IP address of the ledger's database."""
    store_address: str
    """IP address of the store with the sealed records."""
    secret: str
    """Secret in its namespace with `password` and `ca.crt` of the database."""
    store_secret: str
    """Secret in its namespace with `credentials` that may only read the store, its `ca.crt`, and `sealer.pem`."""
    site_cidrs: NotRequired[list[str]]
    """The site's networks. Ledger and store of a restricted class must be inside them."""
    monitoring_namespace: str
    """The only namespace that may scrape its metrics."""
    pod_monitors: NotRequired[bool]
    """Whether to create PodMonitors (default true)."""
    monitor_labels: NotRequired[dict[str, str]]
    """Labels of PodMonitors, with which a Prometheus selects them."""
    pull_secrets: NotRequired[list[str]]
    """Secrets of the image registry, in its namespace."""
    pod_priority: NotRequired[str]
    """PriorityClass of its pods. Absent: the cluster's default."""


class UsageLoader(pulumi.ComponentResource):
    """A separate namespace with one process that reads sealed records and writes sums into the usage ledger."""

    namespace: pulumi.Output[str]
    """Name of the namespace: `isthmus-CLASS-loader`."""

    def __init__(self, name: str, args: UsageLoaderArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:UsageLoader", name, dict(args), opts)
        sensitivity = check_sensitivity(args["sensitivity"], name)
        if sensitivity == "restricted":
            networks = args.get("site_cidrs", [])
            check_within(f"{args['ledger_address']}/32", networks, f"{name}.ledger_address")
            check_within(f"{args['store_address']}/32", networks, f"{name}.store_address")
        namespace = loader_namespace(sensitivity)
        namespace_object, isolation = create_isolated_namespace(name, namespace, sensitivity, _QUOTA, self)
        names = WorkloadNames(name, sensitivity, ROLE, namespace, self, [namespace_object])
        settings = PodSettings.from_args(args)
        destinations = _destinations(args, name)
        config = config_map(
            name, names.service, namespace, names.labels, with_health(args["settings"]), names.options
        )
        hosts = [(place["cidr"].removesuffix("/32"), host) for host, place in destinations]
        egress = destination_egress([place for _, place in destinations], names.service)
        settings.deploy_alone(names, _pod(names, args, config, settings, hosts), config, egress, isolation)
        self.namespace = namespace_object.metadata.apply(lambda meta: str(meta.name))
        self.register_outputs({"namespace": self.namespace})


def _destinations(args: UsageLoaderArgs, name: str) -> list[tuple[str, NamedDestination]]:
    """Host name and destination of the ledger and of the store. Raises `InputError` if the settings name neither."""
    try:
        database, store = args["settings"]["database"], urlsplit(args["settings"]["store"]["endpoint"])
        ledger = (str(database["host"]), int(database.get("port", 5432)))
    except (KeyError, TypeError):
        raise InputError(
            "the loader's settings name no database or no endpoint of the store",
            where=f"{name}.settings",
            fix="State `database.host` and `store.endpoint` (docs/usage.md, Run a loader)",
        ) from None
    return [
        (ledger[0], {"name": "ledger", "cidr": f"{args['ledger_address']}/32", "port": ledger[1]}),
        (
            store.hostname or "",
            {"name": "store", "cidr": f"{args['store_address']}/32", "port": store.port or 443},
        ),
    ]


def _pod(
    names: WorkloadNames,
    args: UsageLoaderArgs,
    config: Any,
    settings: PodSettings,
    hosts: list[tuple[str, str]],
) -> dict[str, Any]:
    secrets = {"ledger": (LEDGER_FOLDER, args["secret"]), "store": (STORE_FOLDER, args["store_secret"])}
    mounts = [
        {"name": volume, "mountPath": folder, "readOnly": True} for volume, (folder, _) in secrets.items()
    ]
    volumes: list[dict[str, Any]] = [
        {"name": volume, "secret": {"secretName": secret, "defaultMode": 0o440}}
        for volume, (_, secret) in secrets.items()
    ]
    container = edge_container(ROLE, args["image"], mounts, guaranteed_resources(CPU, MEMORY), serves=False)
    container |= edge_probes()
    return pod_spec(
        names.service,
        [container],
        [*edge_volumes(config.metadata["name"], None), *volumes],
        pull_secrets=settings.pull_secrets,
        **priority_fields(settings.pod_priority),
        # The hosts file has both names: the pod asks no DNS, and certificates are checked against the names.
        **with_host_aliases(list(dict.fromkeys(hosts)), no_dns()),
    )
