"""The pod of a model server: vLLM on the loopback, and the edge as a sidecar before it."""

from typing import Any

from components.kube import GPU_TOLERATION, POOL_LABEL, PRODUCT_LABEL
from components.onprem.model_args import ModelServerArgs
from components.onprem.spread import placement, probes_within
from components.onprem.vllm import CACHE, ENVIRONMENT, MODELS, arguments
from components.pods import (
    NO_RESOLVER,
    container_security,
    edge_container,
    edge_volumes,
    health_probe,
    pod,
    same,
)
from isthmus.contracts.errors import InputError

WEIGHTS_DIGEST = "isthmus.dev/weights-digest"
_DRAIN_S = 15
"""Until every gateway knows that the pod takes no more requests."""
_SHARED_MEMORY = "16Gi"
"""Workers of a replica exchange tensors through it; it counts against the pod's memory as it is used."""


def model_pod(
    args: ModelServerArgs, account: str, tls_secret: str, config_name: Any, chosen: dict[str, str]
) -> dict[str, Any]:
    """The pod's spec.

    The edge is a sidecar in Kubernetes' sense (an init container that keeps running): it is up before
    vLLM, and ends after it, so that answers under way are finished through it.
    """
    gpus = args.get("tensor_parallel", 1)
    load = args.get("load_timeout_s", 1800)
    engine: dict[str, Any] = {
        "name": "vllm",
        "image": args["vllm_image"],
        "command": ["vllm", "serve"],
        "args": arguments(args, args["id"]),
        "env": [{"name": key, "value": value} for key, value in ENVIRONMENT.items()],
        "volumeMounts": [
            {"name": "weights", "mountPath": MODELS, "readOnly": True},
            {"name": "cache", "mountPath": CACHE},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 (a volume of the pod)
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108
        ],
        "resources": same(args.get("cpu", "8"), args.get("memory", "64Gi"), gpus),
        "securityContext": container_security(read_only_root=False),
        "startupProbe": health_probe(10, probes_within(load, 10)),
        "readinessProbe": health_probe(10, 3),
        "livenessProbe": health_probe(20, 6),
        "lifecycle": {"preStop": {"sleep": {"seconds": _DRAIN_S}}},
    }
    sidecar = edge_container("edge", args["edge_image"], [], same("500m", "512Mi"))
    sidecar["restartPolicy"] = "Always"
    nodes = {PRODUCT_LABEL: args["product"]}
    if args.get("pool"):
        nodes[POOL_LABEL] = args.get("pool", "")
    return pod(
        account,
        [engine],
        [
            *edge_volumes(config_name, tls_secret),
            weights_volume(args),
            {"name": "cache", "emptyDir": {"sizeLimit": "20Gi"}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "2Gi"}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": _SHARED_MEMORY}},
        ],
        pull_secrets=args.get("pull_secrets"),
        initContainers=[sidecar],
        nodeSelector=nodes,
        tolerations=[GPU_TOLERATION],
        # It calls no one, so it asks no one.
        dnsPolicy="None",
        dnsConfig={"nameservers": [NO_RESOLVER]},
        **placement(
            args.get("survive", "none"),
            chosen,
            replicas=args.get("replicas", 1),
            failure_domains=args.get("failure_domains", 1),
            surge=args.get("surge", False),
        ),
    )


def weights_volume(args: ModelServerArgs) -> dict[str, Any]:
    """A claim, or an image whose file system is the weights."""
    uri = args["weights"]["uri"]
    if uri.startswith("pvc://"):
        claim = uri.removeprefix("pvc://").partition("/")[0]
        return {"name": "weights", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    if uri.startswith("oci://") and "@sha256:" in uri:
        reference = uri.removeprefix("oci://")
        return {"name": "weights", "image": {"reference": reference, "pullPolicy": "IfNotPresent"}}
    raise InputError(
        f"'{uri}' names no weights",
        where=f"{args['id']}.weights.uri",
        todo="Write pvc://CLAIM[/PATH] or oci://REFERENCE@sha256:DIGEST",
    )
