"""Fetches weights from an S3-compatible store: the cache, the job or DaemonSet that fetches, and its egress.

A job fills a volume of the cluster once. On the nodes' own disks (`node_cache`), a DaemonSet fetches on each node
that may run the endpoint. Only the fetching container has the store's credentials. Serving pods mount the claim
read-only, and have no egress. The job's name contains a digest of what it fetches and from where. A change creates
a new job, which keeps existing files and fetches the missing ones.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pulumi

from components.cluster.objects import GPU_TOLERATION, common_labels, metadata, workload_selector
from components.cluster.pod_defaults import (
    TMP_MOUNT,
    TMP_VOLUME,
    container_security,
    guaranteed_resources,
    no_dns,
    pod_spec,
    priority_fields,
)
from components.serving.arguments import ModelServerArgs, ModelWeightCache, ModelWeightStore
from components.serving.node_selection import node_selector
from components.serving.weights import compile_cache, node_cache
from components.serving.weights import paths as weights_paths
from components.serving.weights.claims import WEIGHTS_DIGEST
from components.serving.weights.paths import MODELS
from components.serving.weights.verification import cache_claim, key_flag, key_mount, key_volume
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from components.serving.arguments import StoreAddress

FETCH_CPU, FETCH_MEMORY = "2", "4Gi"
"""Limits for fetching: eight files at a time, each in parts of some MiB. A job requests all of it."""
BESIDE_CPU, BESIDE_MEMORY = "250m", "512Mi"
"""Requests of a fetching pod on a serving node. The pod exists as long as the endpoint, but fetches for minutes
only."""
IDLE_AMOUNTS = ("10m", "32Mi")
"""Requests of that pod's other container, which does nothing."""
_STORE = "/etc/isthmus/store"


def check(args: ModelServerArgs) -> tuple[ModelWeightStore | None, ModelWeightCache | None, str | None]:
    """Store, cache and image for fetched weights. None for others. Raises `InputError` if one is missing."""
    weights, where = args["weights"], f"{args['id']}.weights"
    if not weights["uri"].startswith("s3://"):
        return None, None, None
    sources = (weights.get("store"), weights.get("cache"), args.get("fetch_image"))
    missing = [
        name
        for name, setting in zip(("store", "cache", "fetch_image"), sources, strict=True)
        if setting is None
    ]
    if missing:
        raise InputError(
            f"weights from s3:// need {' and '.join(missing)}",
            where=where,
            fix=f"Set {' and '.join(missing)}",
        )
    if sources[0] is not None:
        _store_address(sources[0], where)
    node_cache.check(args)
    return sources


def create_cache(
    name: str, args: ModelServerArgs, namespace: str, parent: pulumi.Resource
) -> list[pulumi.Resource]:
    """Create claim and fetcher for weights from `s3://`. None for others. Raises the errors of `check`."""
    store, cache, image = check(args)
    if store is None or cache is None or image is None:
        return []
    from pulumi_kubernetes.core.v1 import ServiceAccount

    labels = _labels(args["id"], args["sensitivity"])
    child = pulumi.ResourceOptions(parent=parent)
    is_on_node_disks = weights_paths.node_path(args) is not None
    if is_on_node_disks:
        storage = node_cache.volume_and_claim(name, args, labels, parent)
    else:
        storage = [_claim(name, args, cache, namespace, labels, child)]
    account = ServiceAccount(
        f"{name}-fetch-account",
        metadata=metadata(f"{args['id']}-fetch", labels, namespace=namespace),
        automount_service_account_token=False,
        opts=child,
    )
    # If another stack creates the network, it also creates this egress.
    policies = (
        []
        if "door" in args
        else [create_fetch_policy(name, args["id"], args["sensitivity"], store, namespace, parent)]
    )
    patience = args.get("load_timeout_s", 1800) + 120
    fetcher: Any
    fetcher, workload_name, spec = (_daemon_set if is_on_node_disks else _job)(args, store, image, labels)
    annotations = {WEIGHTS_DIGEST: args["weights"]["digest"]}
    workload = fetcher(
        f"{name}-fetch",
        metadata=metadata(workload_name, labels, namespace=namespace, annotations=annotations),
        spec=spec,
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=[*storage, account, *policies],
            custom_timeouts=pulumi.CustomTimeouts(create=f"{patience}s", update=f"{patience}s"),
        ),
    )
    return [*storage, workload]


def _claim(
    name: str,
    args: ModelServerArgs,
    cache: ModelWeightCache,
    namespace: str,
    labels: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    from pulumi_kubernetes.core.v1 import PersistentVolumeClaim

    claimed: Any = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": cache.get("storage_class"),
        "resources": {"requests": {"storage": f"{args['weights'].get('size_gib', 200)}Gi"}},
    }
    return PersistentVolumeClaim(
        f"{name}-cache",
        metadata=metadata(cache_claim(args), labels, namespace=namespace),
        spec=claimed,
        opts=opts,
    )


def _job(
    args: ModelServerArgs, store: ModelWeightStore, image: str, labels: dict[str, str]
) -> tuple[type[pulumi.CustomResource], str, dict[str, Any]]:
    """The job that fills a shared volume: its kind, its name and its spec."""
    from pulumi_kubernetes.batch.v1 import Job

    container = _fetch_container(args, store, image, guaranteed_resources(FETCH_CPU, FETCH_MEMORY), MODELS)
    body = _pod(args, store, [container], restartPolicy="Never")
    fingerprint = json.dumps([body, args["weights"]["digest"]], sort_keys=True)
    spec = {
        "backoffLimit": 3,
        "activeDeadlineSeconds": args.get("load_timeout_s", 1800),
        "template": {"metadata": {"labels": labels}, "spec": body},
    }
    return Job, f"{args['id']}-fetch-{hashlib.sha256(fingerprint.encode()).hexdigest()[:10]}", spec


def _daemon_set(
    args: ModelServerArgs, store: ModelWeightStore, image: str, labels: dict[str, str]
) -> tuple[type[pulumi.CustomResource], str, dict[str, Any]]:
    """The DaemonSet that fills the folder of each node, also of nodes that join the pool later: its kind, name and
    spec.

    An init container fetches. So the pod is ready when the weights are complete, a failed fetch is retried, and the
    container that keeps running has no credentials.
    """
    from pulumi_kubernetes.apps.v1 import DaemonSet

    name = f"{args['id']}-fetch"
    resources = guaranteed_resources(FETCH_CPU, FETCH_MEMORY) | {
        "requests": {"cpu": BESIDE_CPU, "memory": BESIDE_MEMORY}
    }
    container = _fetch_container(
        args, store, image, resources, f"--keep={node_cache.KEPT}", f"{MODELS}/{args['id']}"
    )
    idle_container = {
        "name": "stay",
        "image": image,
        "command": ["python", "-m", "edge.stay"],
        "resources": guaranteed_resources(*IDLE_AMOUNTS),
        "securityContext": container_security(),
    }
    body = _pod(
        args,
        store,
        [idle_container],
        initContainers=[container],
        # An interrupted fetch continues where it stopped, so no grace period is needed.
        grace_s=10,
        nodeSelector=node_selector(args),
        tolerations=[GPU_TOLERATION],
    )
    annotations = {WEIGHTS_DIGEST: args["weights"]["digest"]}
    spec = node_cache.fetcher_spec(labels, workload_selector(name, args["sensitivity"]), body, annotations)
    return DaemonSet, name, spec


def create_fetch_policy(
    name: str,
    endpoint: str,
    sensitivity: str,
    store: ModelWeightStore | StoreAddress,
    namespace: str,
    parent: pulumi.Resource,
) -> pulumi.Resource:
    """Create the network policy of the fetcher: egress to the store's address only."""
    from pulumi_kubernetes.networking.v1 import NetworkPolicy

    labels = _labels(endpoint, sensitivity)
    _, port = _store_address(store, f"{endpoint}.weights")
    spec: Any = {
        "podSelector": {"matchLabels": labels},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [
            {
                "to": [{"ipBlock": {"cidr": f"{store['address']}/32"}}],
                "ports": [{"protocol": "TCP", "port": port}],
            }
        ],
    }
    return NetworkPolicy(
        f"{name}-fetch-network",
        metadata=metadata(f"{endpoint}-fetch", labels, namespace=namespace),
        spec=spec,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _labels(endpoint: str, sensitivity: str) -> dict[str, str]:
    return common_labels(f"{endpoint}-fetch", sensitivity=sensitivity, role="fetch", endpoint=endpoint)


def _store_address(store: ModelWeightStore | StoreAddress, where: str) -> tuple[str, int]:
    """Host and port of the store."""
    scheme, _, authority = store["endpoint"].partition("://")
    host, _, port = authority.rstrip("/").partition(":")
    if scheme != "https" or not host or "/" in authority.rstrip("/") or "@" in authority:
        raise InputError(
            "the store's endpoint is not a plain https address",
            where=f"{where}.store.endpoint",
            fix="Write it like https://s3.fra1.bank.example:9000, without credentials",
        )
    return host, int(port or 443)


def _fetch_container(
    args: ModelServerArgs,
    store: ModelWeightStore,
    image: str,
    resources: dict[str, Any],
    *target_arguments: str,
) -> dict[str, Any]:
    """The container that fetches. `target_arguments`: its last arguments, the target folder and options."""
    weights = args["weights"]
    bucket, _, prefix = weights["uri"].removeprefix("s3://").partition("/")
    flags = {
        "endpoint": store["endpoint"],
        "region": store.get("region", "us-east-1"),
        "bucket": bucket,
        "prefix": prefix,
        "digest": weights["digest"],
        "credentials": f"{_STORE}/secret/credentials",
        **({"ca": f"{_STORE}/ca/ca.crt"} if store.get("ca_bundle") else {}),
    }
    mounts = [{"name": "store", "mountPath": f"{_STORE}/secret", "readOnly": True}]
    if store.get("ca_bundle"):
        mounts.append({"name": "ca", "mountPath": f"{_STORE}/ca", "readOnly": True})
    return {
        "name": "fetch",
        "image": image,
        "command": ["python", "-m", "edge.fetch"],
        "args": [*(f"--{key}={value}" for key, value in flags.items()), *key_flag(args), *target_arguments],
        "volumeMounts": [
            {"name": "weights", "mountPath": MODELS},
            *compile_cache.fetcher_mounts(args),
            *mounts,
            *key_mount(args),
            TMP_MOUNT,
        ],
        "resources": resources,
        "securityContext": container_security(),
    }


def _pod(
    args: ModelServerArgs, store: ModelWeightStore, containers: list[dict[str, Any]], **extra: Any
) -> dict[str, Any]:
    """A pod with egress to the store, its credentials, and the volume that it fills."""
    host, _ = _store_address(store, f"{args['id']}.weights")
    volumes: list[dict[str, Any]] = [
        {"name": "store", "secret": {"secretName": store["credentials_secret"], "defaultMode": 0o440}}
    ]
    if store.get("ca_bundle"):
        volumes.append({"name": "ca", "configMap": {"name": store.get("ca_bundle"), "defaultMode": 0o440}})
    return pod_spec(
        f"{args['id']}-fetch",
        containers,
        [
            {"name": "weights", "persistentVolumeClaim": {"claimName": cache_claim(args)}},
            *volumes,
            *key_volume(args),
            TMP_VOLUME,
        ],
        pull_secrets=args.get("pull_secrets"),
        **priority_fields(args.get("pod_priority")),
        # It uses no resolver, because the store's address is given.
        **no_dns(),
        hostAliases=[{"ip": store["address"], "hostnames": [host]}],
        **extra,
    )
