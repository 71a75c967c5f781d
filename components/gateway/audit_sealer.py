"""The component AuditSealer: seals a class's records from its own namespace, with its own keys."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict
from urllib.parse import urlsplit

import pulumi

from components.base.argument_checks import check_sensitivity, check_within
from components.cluster.class_namespace import create_isolated_namespace, pods_quota
from components.cluster.edge_files import config_map, sealer_config
from components.cluster.objects import sealer_namespace
from components.cluster.pod_defaults import (
    edge_container,
    edge_probes,
    edge_volumes,
    guaranteed_resources,
    no_dns,
    pod_spec,
    priority_fields,
    share_security,
)
from components.cluster.workload_names import WorkloadNames
from components.gateway.edge_workload import PodSettings
from components.gateway.records import SharedFolders, ShareParts, create_share
from components.gateway.translator.translator import ROLE_ANNOTATION, NamedDestination, destination_egress
from components.observability.pod_monitor import metrics_ingress
from isthmus.contracts.platform.model.aws.eks import POD_IDENTITY_AGENT_CIDR
from isthmus.core.errors import Refused

USER = 2001
"""User id of the sealer. It differs from the gateways', so on a share that enforces users neither can write the
other's folder."""
CPU, MEMORY = "500m", "1Gi"
"""Resources of the sealer's only pod."""
QUOTA = pods_quota(4, CPU, MEMORY)
"""Quota of its namespace: one pod, one that is ending, and spare room."""
_SECRET = "/etc/isthmus/sealer"  # noqa: S105 (where it is mounted)


class SealerStore(TypedDict):
    """An S3-compatible store with Object Lock."""

    endpoint: str
    """Its https address, with the host name in its certificate."""
    address: str
    """Its IP address."""
    more_addresses: NotRequired[list[str]]
    """Further IP addresses, in other zones."""
    region: NotRequired[str]
    """Region with which requests are signed (default us-east-1)."""
    bucket: str
    """The bucket, with Object Lock."""
    prefix: str
    """Folder of the class and site in the bucket."""
    retention_days: int
    """Days for which nobody can delete a seal."""
    content_days: NotRequired[int]
    """Days for which nobody can delete encrypted content (default 30)."""


class AuditSealerArgs(TypedDict):
    """The sealer of one class at one site."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    site: str
    """Name of the site."""
    image: pulumi.Input[str]
    """Image of the translator, by digest: it contains the S3 client."""
    volume: NotRequired[str]
    """PersistentVolume of the share to which the class's gateways write their records."""
    folders: NotRequired[SharedFolders]
    """Instead of `volume`, in an EKS cluster: the folders of a `RecordsShare`, by the sealer's access points."""
    secret: str
    """Secret in its namespace with `sealer.key.pem`, `credentials` and `ca.crt`. No gateway has it."""
    pod_identity: NotRequired[pulumi.Input[str]]
    """In an EKS cluster: ARN of the role of its pod. The Secret then needs no `credentials` and no `ca.crt`."""
    earlier_keys: NotRequired[bool]
    """Whether the Secret also has `earlier.pem`: the public keys of earlier signing keys."""
    store: SealerStore
    """The store of the seals."""
    site_cidrs: NotRequired[list[str]]
    """The site's networks. The store of a restricted class must be inside them."""
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


class AuditSealer(pulumi.ComponentResource):
    """A separate namespace with one process that reads the records and seals them. No other pods or roles are in
    it.
    """

    namespace: pulumi.Output[str]
    """Name of the namespace: `isthmus-CLASS-sealer`."""

    def __init__(
        self,
        name: str,
        args: AuditSealerArgs,
        opts: pulumi.ResourceOptions | None = None,
        *,
        dependencies: Sequence[pulumi.Resource] = (),
    ) -> None:
        """`dependencies`: resources that must exist before its pod starts."""
        super().__init__("isthmus:index:AuditSealer", name, dict(args), opts)
        sensitivity = check_sensitivity(args["sensitivity"], name)
        _check_store(args, sensitivity, name)
        namespace = sealer_namespace(sensitivity)
        namespace_object, isolation = create_isolated_namespace(name, namespace, sensitivity, QUOTA, self)
        names = WorkloadNames(name, sensitivity, "sealer", namespace, self, [namespace_object])
        account = names.create_account()
        policy = _create_network_policy(names, args)
        records = create_share(
            f"{name}-records",
            "records",
            args,
            namespace,
            names.labels,
            names.options,
            is_sealer=True,
            where=f"{name}.volume",
        )
        config = config_map(
            name, names.service, namespace, names.labels, self._config(args, sensitivity), names.options
        )
        names.create_deployment(
            _deployment_spec(names, args, config, records),
            [account, policy, *records.made, config, *isolation, *dependencies],
        )
        names.create_disruption_budget()
        PodSettings.from_args(args).create_pod_monitor(names)
        self.namespace = namespace_object.metadata.apply(lambda meta: str(meta.name))
        self.register_outputs({"namespace": self.namespace})

    @staticmethod
    def _config(args: AuditSealerArgs, sensitivity: str) -> dict[str, Any]:
        store = args["store"]
        content_settings = {"content_days": store["content_days"]} if "content_days" in store else {}
        earlier = {"earlier_keys": f"{_SECRET}/earlier.pem"} if args.get("earlier_keys", False) else {}
        credential_files = {"credentials": f"{_SECRET}/credentials", "ca": f"{_SECRET}/ca.crt"}
        return sealer_config(
            sensitivity,
            args["site"],
            {
                "endpoint": store["endpoint"],
                "region": store.get("region", "us-east-1"),
                "bucket": store["bucket"],
                "prefix": store["prefix"],
                **({} if "pod_identity" in args else credential_files),
                "retention_days": store["retention_days"],
                **content_settings,
            },
            {"signing_key": f"{_SECRET}/sealer.key.pem", **earlier},
        )


def _check_store(args: AuditSealerArgs, sensitivity: str, where: str) -> None:
    """Raise `Refused` if restricted records would leave the site or be sealed with an AWS identity."""
    if sensitivity != "restricted":
        return
    check_within(f"{args['store']['address']}/32", args.get("site_cidrs", []), f"{where}.store.address")
    if "pod_identity" in args:
        raise Refused(
            "the sealer of restricted records may not have an AWS identity",
            where=f"{where}.pod_identity",
            fix="Remove pod_identity and use a store of the site, with its own credentials",
        )


def _create_network_policy(names: WorkloadNames, args: AuditSealerArgs) -> pulumi.Resource:
    """The network policy: egress to the store only."""
    port = urlsplit(args["store"]["endpoint"]).port or 443
    destinations = _destinations(args["store"], port, agent="pod_identity" in args)
    return names.create_network_policy(
        [metrics_ingress(args["monitoring_namespace"])], destination_egress(destinations, names.service)
    )


def _deployment_spec(
    names: WorkloadNames, args: AuditSealerArgs, config: Any, records: ShareParts
) -> dict[str, Any]:
    # A pod gets the role that is associated when it starts, so another role needs a new pod.
    annotations = {"annotations": {ROLE_ANNOTATION: args["pod_identity"]}} if "pod_identity" in args else {}
    return {
        "replicas": 1,
        "selector": {"matchLabels": names.selector},
        # Never two pods at once: the second would find its seal's name taken, and start again.
        "strategy": {"type": "Recreate"},
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 3,
        "template": {
            "metadata": {"labels": names.labels, **annotations},
            "spec": _pod_spec(names, args, config, records),
        },
    }


def _pod_spec(
    names: WorkloadNames, args: AuditSealerArgs, config: Any, records: ShareParts
) -> dict[str, Any]:
    store = args["store"]
    host = urlsplit(store["endpoint"]).hostname or ""
    secret: Any = {"secretName": args["secret"], "defaultMode": 0o440}
    container = edge_container(
        "sealer",
        args["image"],
        [*records.mounts, {"name": "sealer", "mountPath": _SECRET, "readOnly": True}],
        guaranteed_resources(CPU, MEMORY),
        serves=False,
    )
    # Readiness means that it can seal, so a first rollout completes only when the store accepts seals.
    container |= edge_probes()
    return pod_spec(
        names.service,
        [container],
        [
            *edge_volumes(config.metadata["name"], None),
            *records.volumes,
            {"name": "sealer", "secret": secret},
        ],
        pull_secrets=args.get("pull_secrets"),
        **priority_fields(args.get("pod_priority")),
        securityContext=share_security(USER),
        # The hosts file contains the only name that it resolves.
        **no_dns(),
        hostAliases=[{"ip": address, "hostnames": [host]} for address in addresses_of(store)],
    )


def addresses_of(store: SealerStore) -> list[str]:
    """All addresses of the store, the main one first."""
    return [store["address"], *store.get("more_addresses", [])]


def _destinations(store: SealerStore, port: int, *, agent: bool) -> list[NamedDestination]:
    """Egress to the store's addresses and, in an EKS cluster, to the pod identity agent on its node."""
    destinations: list[NamedDestination] = [
        {"name": "store", "cidr": f"{address}/32", "port": port} for address in addresses_of(store)
    ]
    return (
        [*destinations, {"name": "pod-identity", "cidr": POD_IDENTITY_AGENT_CIDR, "port": 80}]
        if agent
        else destinations
    )
