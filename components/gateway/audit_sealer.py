"""The sealer of one class at one site: a namespace, an account and keys of its own, and one way out, to the store."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict
from urllib.parse import urlsplit

import pulumi

from components.checks import sensitivity, within
from components.gateway.config import config_map, sealer_config
from components.gateway.records import folders, shared_claim
from components.gateway.translator import ways_out
from components.kube import GPU, labels, metadata, sealer_namespace, selector
from components.observability.pod_monitor import pod_monitor, scraped_from
from components.onprem.namespace import closed, pod_security
from components.pods import (
    NO_RESOLVER,
    POD_SECURITY,
    edge_container,
    edge_volumes,
    health_probe,
    pod,
    same,
)

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
    volume: str
    """A PersistentVolume that is the share on which the class's gateways write."""
    secret: str
    """Secret in its namespace with `sealer.key.pem`, `credentials` and `ca.crt`, which no gateway has."""
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
    pull_secrets: NotRequired[list[str]]
    """Secrets of the image registry, in its namespace."""


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
            "egress": ways_out(
                [{"name": "store", "cidr": f"{store['address']}/32", "port": where.port or 443}], service
            ),
        }
        policy = NetworkPolicy(
            f"{name}-network", metadata=metadata(service, own, namespace=space), spec=way, opts=inside
        )
        claim = shared_claim(f"{name}-records", "records", args["volume"], space, own, inside)
        config = config_map(name, service, space, own, self._config(args, held), inside)
        self._serve(
            name,
            args,
            held,
            config,
            [account, policy, claim, config, *shut, *after],
            {"ip": store["address"], "hostnames": [where.hostname or ""]},
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
            pod_monitor(name, service, space, own, selector(service, held), inside)
        self.namespace = made.metadata.apply(lambda m: str(m.name))
        self.register_outputs({"namespace": self.namespace})

    @staticmethod
    def _config(args: AuditSealerArgs, held: str) -> dict[str, Any]:
        store = args["store"]
        more = {"content_days": store["content_days"]} if "content_days" in store else {}
        earlier = {"earlier_keys": f"{_SECRET}/earlier.pem"} if args.get("earlier_keys", False) else {}
        return sealer_config(
            held,
            args["site"],
            {
                "endpoint": store["endpoint"],
                "region": store.get("region", "us-east-1"),
                "bucket": store["bucket"],
                "prefix": store["prefix"],
                "credentials": f"{_SECRET}/credentials",
                "ca": f"{_SECRET}/ca.crt",
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
        known: dict[str, Any],
    ) -> None:
        from pulumi_kubernetes.apps.v1 import Deployment

        space, service = sealer_namespace(held), f"{held}-sealer"
        own = labels(service, sensitivity=held, role="sealer")
        mounts, volumes = folders("records", seals=True)
        secret: Any = {"secretName": args["secret"], "defaultMode": 0o440}
        box = edge_container(
            "sealer",
            args["image"],
            [*mounts, {"name": "sealer", "mountPath": _SECRET, "readOnly": True}],
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
                "metadata": {"labels": own},
                "spec": pod(
                    service,
                    [box],
                    [
                        *edge_volumes(config.metadata["name"], None),
                        *volumes,
                        {"name": "sealer", "secret": secret},
                    ],
                    pull_secrets=args.get("pull_secrets"),
                    securityContext={**POD_SECURITY, "runAsUser": USER},
                    # It knows one name, by its hosts file.
                    dnsPolicy="None",
                    dnsConfig={"nameservers": [NO_RESOLVER]},
                    hostAliases=[known],
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
