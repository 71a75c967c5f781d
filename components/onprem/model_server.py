"""One model on one pool for one class: vLLM behind mutual TLS, reached by its class's gateway only."""

from typing import Any

import pulumi

from components.certificates import certificate
from components.checks import one_of, sensitivity
from components.gateway.config import config_map, sidecar_config
from components.kube import (
    CLASS_LABEL,
    PRIORITY_LABEL,
    QUEUE_LABEL,
    ROLE_LABEL,
    SERVING_PORT,
    class_namespace,
    dns_name,
    labels,
    metadata,
    selector,
)
from components.observability.pod_monitor import pod_monitor, scraped_from
from components.onprem.model_args import ModelServerArgs
from components.onprem.model_pod import model_pod
from components.onprem.spread import SURVIVE
from components.onprem.weights import WEIGHTS_DIGEST, claim


class ModelServer(pulumi.ComponentResource):
    """vLLM as a Deployment, with a sidecar that lets its class's gateway in and no one else."""

    service: pulumi.Output[str]
    """DNS name and port by which the gateway calls it."""
    cluster_ip: pulumi.Output[str]
    """Address of its Service."""
    weights_digest: pulumi.Output[str]
    """Digest of the weights that it serves."""

    def __init__(self, name: str, args: ModelServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:ModelServer", name, dict(args), opts)
        endpoint = args["id"]
        held = sensitivity(args["sensitivity"], endpoint)
        one_of(args.get("survive", "none"), SURVIVE, f"{endpoint}.survive")
        space = class_namespace(held)
        own = labels(endpoint, sensitivity=held, role="model", endpoint=endpoint)
        chosen = selector(endpoint, held)
        child = pulumi.ResourceOptions(parent=self)

        secret, before = certificate(
            name,
            endpoint,
            space,
            own,
            child,
            issuer=args.get("issuer"),
            secret=args.get("certificate_secret"),
            client=False,
        )
        gateway = dns_name(f"{held}-gateway", space)
        config = config_map(name, endpoint, space, own, sidecar_config(held, gateway), child)
        claimed = claim(f"{name}-weights", args["weights"], space, own, child)
        before += [claimed] if claimed is not None else []
        before += self._network(name, args, space, own, chosen)
        service = self._service(name, args, space, own, chosen)
        self._deploy(name, args, space, own, chosen, secret, config, before)
        self._disruption(name, args, space, own, chosen)
        if args.get("pod_monitors", True):
            pod_monitor(name, endpoint, space, own, chosen, child)

        self.service = pulumi.Output.from_input(f"{dns_name(endpoint, space)}:{SERVING_PORT}")
        self.cluster_ip = service.spec.apply(lambda spec: spec.cluster_ip)
        self.weights_digest = pulumi.Output.from_input(args["weights"]["digest"])
        self.register_outputs(
            {"service": self.service, "cluster_ip": self.cluster_ip, "weights_digest": self.weights_digest}
        )

    def _network(
        self, name: str, args: ModelServerArgs, space: str, own: dict[str, str], chosen: dict[str, str]
    ) -> list[pulumi.Resource]:
        """Its class's gateway in, the monitoring namespace to the health port, nothing out: no DNS either."""
        from pulumi_kubernetes.networking.v1 import NetworkPolicy

        gateway = {ROLE_LABEL: "gateway", CLASS_LABEL: args["sensitivity"]}
        spec: Any = {
            "podSelector": {"matchLabels": chosen},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [{"podSelector": {"matchLabels": gateway}}],
                    "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
                },
                scraped_from(args["monitoring_namespace"]),
            ],
        }
        meta = metadata(args["id"], own, namespace=space)
        return [
            NetworkPolicy(
                f"{name}-network", metadata=meta, spec=spec, opts=pulumi.ResourceOptions(parent=self)
            )
        ]

    def _service(
        self, name: str, args: ModelServerArgs, space: str, own: dict[str, str], chosen: dict[str, str]
    ) -> Any:
        from pulumi_kubernetes.core.v1 import Service

        spec: Any = {
            "type": "ClusterIP",
            "selector": chosen,
            "ports": [{"name": "https", "port": SERVING_PORT, "targetPort": SERVING_PORT, "protocol": "TCP"}],
        }
        # It is ready when a pod is: it waits as long as the Deployment does.
        patience = _seconds(_deadline(args) + 120)
        return Service(
            f"{name}-service",
            metadata=metadata(args["id"], own, namespace=space),
            spec=spec,
            opts=pulumi.ResourceOptions(
                parent=self, custom_timeouts=pulumi.CustomTimeouts(create=patience, update=patience)
            ),
        )

    def _deploy(
        self,
        name: str,
        args: ModelServerArgs,
        space: str,
        own: dict[str, str],
        chosen: dict[str, str],
        secret: str,
        config: Any,
        before: list[pulumi.Resource],
    ) -> None:
        from pulumi_kubernetes.apps.v1 import Deployment
        from pulumi_kubernetes.core.v1 import ServiceAccount

        endpoint = args["id"]
        replicas = args.get("replicas", 1)
        child = pulumi.ResourceOptions(parent=self)
        account = ServiceAccount(
            f"{name}-account",
            metadata=metadata(endpoint, own, namespace=space),
            automount_service_account_token=False,
            opts=child,
        )
        queued = {}
        if args.get("queue"):
            queued[QUEUE_LABEL] = args.get("queue", "")
            if args.get("priority_class"):
                queued[PRIORITY_LABEL] = args.get("priority_class", "")
        surge = args.get("surge", False)
        deadline = _deadline(args)
        spec: Any = {
            "replicas": replicas,
            "selector": {"matchLabels": chosen},
            "strategy": {
                "type": "RollingUpdate",
                # A pool whose GPUs are all in use has no room for one replica more.
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}
                if surge
                else {"maxSurge": 0, "maxUnavailable": 1},
            },
            "progressDeadlineSeconds": deadline,
            "revisionHistoryLimit": 3,
            "template": {
                "metadata": {
                    "labels": {**own, **queued},
                    "annotations": {WEIGHTS_DIGEST: args["weights"]["digest"]},
                },
                "spec": model_pod(args, endpoint, secret, config.metadata["name"], chosen),
            },
        }
        patience = pulumi.CustomTimeouts(
            create=_seconds(deadline + 120),
            # Without surge the replicas are rolled one by one, each loading anew.
            update=_seconds(deadline * replicas + 120),
            delete="10m",
        )
        Deployment(
            f"{name}-server",
            metadata=metadata(endpoint, {**own, **queued}, namespace=space),
            spec=spec,
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[account, config, *before], custom_timeouts=patience
            ),
        )

    def _disruption(
        self, name: str, args: ModelServerArgs, space: str, own: dict[str, str], chosen: dict[str, str]
    ) -> None:
        from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

        spec: Any = {
            "maxUnavailable": 1,
            "selector": {"matchLabels": chosen},
            # A replica that never became ready must not hold up a drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }
        PodDisruptionBudget(
            f"{name}-disruption",
            metadata=metadata(args["id"], own, namespace=space),
            spec=spec,
            opts=pulumi.ResourceOptions(parent=self),
        )


def _deadline(args: ModelServerArgs) -> int:
    """Seconds until a rollout that makes no progress counts as failed: more than loading takes."""
    return args.get("load_timeout_s", 1800) + 300


def _seconds(seconds: int) -> str:
    return f"{seconds}s"
