"""The sealer of one class at one site: a namespace, an account and keys of its own, and one way out, to the store."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict
from urllib.parse import urlsplit

import pulumi

from components.base.argument_checks import sensitivity, within
from components.cluster.class_namespace import closed, pod_security
from components.cluster.edge_files import config_map, sealer_config
from components.cluster.objects import GPU, labels, metadata, sealer_namespace, selector
from components.cluster.pod_defaults import (
    NO_RESOLVER,
    edge_container,
    edge_volumes,
    health_probe,
    pod,
    ranked,
    same,
    share_security,
)
from components.gateway.records import Share, SharedFolders, share
from components.gateway.translator.translator import ROLE_ANNOTATION, NamedDestination, ways_out
from components.observability.pod_monitor import pod_monitor, scraped_from
from isthmus.contracts.platform.model.aws.eks import AGENT
from isthmus.core.errors import Refused

USER = 2001
"""Another than the gateways': on a share that knows users, neither writes the other's folder."""
QUOTA = {
    "pods": "4",
    "requests.cpu": "2",
    "limits.cpu": "2",
    "requests.memory": "4Gi",
    "limits.memory": "4Gi",
    f"requests.{GPU}": "0",
}
"""Of its namespace: one copy, and one that is ending."""
_SECRET = "/etc/isthmus/sealer"  # noqa: S105 (where it is mounted)


class SealerStore(TypedDict):
    """An S3-compatible store with Object Lock."""

    endpoint: str
    """Its https address, by the name that its certificate bears."""
    address: str
    """By which it is reached."""
    more_addresses: NotRequired[list[str]]
    """Further ones, in other zones."""
    region: NotRequired[str]
    """What its requests are signed for (default us-east-1)."""
    bucket: str
    """The bucket, with Object Lock."""
    prefix: str
    """Folder of the class and site in it."""
    retention_days: int
    """How long nobody can delete a seal."""
    content_days: NotRequired[int]
    """How long nobody can delete what was encrypted (default 30)."""


class AuditSealerArgs(TypedDict):
    """The sealer of one class at one site."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    site: str
    """Name of the site."""
    image: pulumi.Input[str]
    """Image of the translator, by digest: it has what speaks to the store."""
    volume: NotRequired[str]
    """A PersistentVolume that is the share on which the class's gateways write."""
    folders: NotRequired[SharedFolders]
    """In place of it, in an EKS cluster: the folders of a `RecordsShare`, by the sealer's access points."""
    secret: str
    """Secret in its namespace with `sealer.key.pem`, `credentials` and `ca.crt`, which no gateway has."""
    pod_identity: NotRequired[pulumi.Input[str]]
    """In an EKS cluster: ARN of the role that its pod bears; its Secret needs no `credentials` and no `ca.crt` then."""
    earlier_keys: NotRequired[bool]
    """Whether that Secret has `earlier.pem` too: public keys of the signing keys before this one."""
    store: SealerStore
    """Where seals are put."""
    site_cidrs: NotRequired[list[str]]
    """The site's networks: a restricted sealer's store lies within them."""
    monitoring_namespace: str
    """The only namespace that may scrape it."""
    pod_monitors: NotRequired[bool]
    """Whether to make PodMonitors (default true)."""
    monitor_labels: NotRequired[dict[str, str]]
    """Labels of PodMonitors, by which a Prometheus selects them."""
    pull_secrets: NotRequired[list[str]]
    """Secrets of the image registry, in its namespace."""
    pod_priority: NotRequired[str]
    """PriorityClass of its pods; absent: the cluster's default."""


class AuditSealer(pulumi.ComponentResource):
    """A namespace that nobody else's pods or roles are in, and in it one process that reads records and seals them."""

    namespace: pulumi.Output[str]
    """Name of the namespace: `isthmus-CLASS-sealer`."""

    def __init__(
        self,
        name: str,
        args: AuditSealerArgs,
        opts: pulumi.ResourceOptions | None = None,
        *,
        after: Sequence[pulumi.Resource] = (),
    ) -> None:
        """`after`: what its pod waits for."""
        super().__init__("isthmus:index:AuditSealer", name, dict(args), opts)
        from pulumi_kubernetes.core.v1 import Namespace, ServiceAccount
        from pulumi_kubernetes.networking.v1 import NetworkPolicy
        from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

        held = sensitivity(args["sensitivity"], name)
        store = args["store"]
        if held == "restricted":
            within(f"{store['address']}/32", args.get("site_cidrs", []), f"{name}.store.address")
            if "pod_identity" in args:
                raise Refused(
                    "an AWS identity for the sealer of restricted records",
                    where=f"{name}.pod_identity",
                    fix="Seal into a store of the site, with credentials of its own",
                )
        space, service = sealer_namespace(held), f"{held}-sealer"
        own = labels(service, sensitivity=held, role="sealer")
        child = pulumi.ResourceOptions(parent=self)
        made = Namespace(
            f"{name}-namespace",
            metadata=metadata(space, {**labels(space, sensitivity=held), **pod_security()}),
            opts=child,
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[made])
        shut = closed(name, space, labels(space, sensitivity=held), QUOTA, inside)
        account = ServiceAccount(
            f"{name}-account",
            metadata=metadata(service, own, namespace=space),
            automount_service_account_token=False,
            opts=inside,
        )
        where = urlsplit(store["endpoint"])
        way: Any = {
            "podSelector": {"matchLabels": selector(service, held)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [scraped_from(args["monitoring_namespace"])],
            "egress": ways_out(_ways(store, where.port or 443, agent="pod_identity" in args), service),
        }
        policy = NetworkPolicy(
            f"{name}-network", metadata=metadata(service, own, namespace=space), spec=way, opts=inside
        )
        where_named = f"{name}.volume"
        found = share(f"{name}-records", "records", args, space, own, inside, seals=True, where=where_named)
        config = config_map(name, service, space, own, self._config(args, held), inside)
        self._serve(
            name,
            args,
            held,
            config,
            [account, policy, *found.made, config, *shut, *after],
            [{"ip": each, "hostnames": [where.hostname or ""]} for each in addresses_of(store)],
            found,
        )
        budget: Any = {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(service, held)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }
        PodDisruptionBudget(
            f"{name}-disruption", metadata=metadata(service, own, namespace=space), spec=budget, opts=inside
        )
        if args.get("pod_monitors", True):
            pod_monitor(
                name,
                service,
                space,
                own,
                selector(service, held),
                inside,
                monitor_labels=args.get("monitor_labels"),
            )
        self.namespace = made.metadata.apply(lambda m: str(m.name))
        self.register_outputs({"namespace": self.namespace})

    @staticmethod
    def _config(args: AuditSealerArgs, held: str) -> dict[str, Any]:
        store = args["store"]
        more = {"content_days": store["content_days"]} if "content_days" in store else {}
        earlier = {"earlier_keys": f"{_SECRET}/earlier.pem"} if args.get("earlier_keys", False) else {}
        by_file = {"credentials": f"{_SECRET}/credentials", "ca": f"{_SECRET}/ca.crt"}
        return sealer_config(
            held,
            args["site"],
            {
                "endpoint": store["endpoint"],
                "region": store.get("region", "us-east-1"),
                "bucket": store["bucket"],
                "prefix": store["prefix"],
                **({} if "pod_identity" in args else by_file),
                "retention_days": store["retention_days"],
                **more,
            },
            {"signing_key": f"{_SECRET}/sealer.key.pem", **earlier},
        )

    def _serve(
        self,
        name: str,
        args: AuditSealerArgs,
        held: str,
        config: Any,
        before: list[pulumi.Resource],
        known: list[dict[str, Any]],
        found: Share,
    ) -> None:
        from pulumi_kubernetes.apps.v1 import Deployment

        space, service = sealer_namespace(held), f"{held}-sealer"
        own = labels(service, sensitivity=held, role="sealer")
        secret: Any = {"secretName": args["secret"], "defaultMode": 0o440}
        box = edge_container(
            "sealer",
            args["image"],
            [*found.mounts, {"name": "sealer", "mountPath": _SECRET, "readOnly": True}],
            same("500m", "1Gi"),
            serves=False,
        )
        box["startupProbe"] = health_probe(2, 60, "/live")
        box["livenessProbe"] = health_probe(10, 6, "/live")
        # Whether it can seal: a first rollout ends only when the store takes what it must.
        box["readinessProbe"] = health_probe(5, 3)
        spec: Any = {
            "replicas": 1,
            "selector": {"matchLabels": selector(service, held)},
            # Never two at once: the second would find its seal's name taken and begin anew.
            "strategy": {"type": "Recreate"},
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 3,
            "template": {
                # A pod bears what is associated when it comes: another role needs another pod.
                "metadata": {
                    "labels": own,
                    **(
                        {"annotations": {ROLE_ANNOTATION: args["pod_identity"]}}
                        if "pod_identity" in args
                        else {}
                    ),
                },
                "spec": pod(
                    service,
                    [box],
                    [
                        *edge_volumes(config.metadata["name"], None),
                        *found.volumes,
                        {"name": "sealer", "secret": secret},
                    ],
                    pull_secrets=args.get("pull_secrets"),
                    **ranked(args.get("pod_priority")),
                    securityContext=share_security(USER),
                    # It knows one name, by its hosts file.
                    dnsPolicy="None",
                    dnsConfig={"nameservers": [NO_RESOLVER]},
                    hostAliases=known,
                ),
            },
        }
        Deployment(
            f"{name}-server",
            metadata=metadata(service, own, namespace=space),
            spec=spec,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=before,
                custom_timeouts=pulumi.CustomTimeouts(create="12m", update="12m", delete="10m"),
            ),
        )


def addresses_of(store: SealerStore) -> list[str]:
    """Every address of the store, the first one first."""
    return [store["address"], *store.get("more_addresses", [])]


def _ways(store: SealerStore, port: int, *, agent: bool) -> list[NamedDestination]:
    """The store's addresses, and in an EKS cluster what hands out the pod's identity on its own machine."""
    ways: list[NamedDestination] = [
        {"name": "store", "cidr": f"{each}/32", "port": port} for each in addresses_of(store)
    ]
    return [*ways, {"name": "pod-identity", "cidr": AGENT, "port": 80}] if agent else ways
