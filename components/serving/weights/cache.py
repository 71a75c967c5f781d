"""Weights from an S3-compatible store: where they are kept, what fetches them, and the one way that it has.

Kept in a volume of the cluster, a job fills it once; on the machines' own disks (`node_cache`), a DaemonSet does, on
each machine that may run the endpoint. The store's credentials are a file of the container that fetches and of no
other: the pods that serve mount the claim, read-only, and reach nothing. The job is named after what it fetches, by
what and from where; a change makes a new job, which finds what is there already and fetches the rest beside it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pulumi

from components.cluster.objects import GPU_TOLERATION, labels, metadata, selector
from components.cluster.pod_defaults import (
    NO_RESOLVER,
    TMP_MOUNT,
    TMP_VOLUME,
    container_security,
    pod,
    ranked,
    same,
)
from components.serving import compile_cache
from components.serving.arguments import ModelServerArgs, ModelWeightCache, ModelWeightStore
from components.serving.node_selection import machines
from components.serving.vllm_arguments import MODELS
from components.serving.weights import node_cache
from components.serving.weights.claims import WEIGHTS_DIGEST
from components.serving.weights.verification import cache_claim, key_flag, key_mount, key_volume
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from components.serving.arguments import StoreAddress

FETCH_CPU, FETCH_MEMORY = "2", "4Gi"
"""What fetching may take: eight files at a time, each in pieces of some MiB. The job asks for all of it."""
BESIDE_CPU, BESIDE_MEMORY = "250m", "512Mi"
"""What a pod that fetches asks for on a machine that serves: it has its pod for as long as the endpoint stands, and
fetches for minutes of it."""
STAY = ("10m", "32Mi")
"""What the same pod's other container asks for: it does nothing."""
_STORE = "/etc/isthmus/store"


def check(args: ModelServerArgs) -> tuple[ModelWeightStore | None, ModelWeightCache | None, str | None]:
    """Store, cache and image where weights are fetched. Raises `InputError` where one of them is not said."""
    weights, where = args["weights"], f"{args['id']}.weights"
    if not weights["uri"].startswith("s3://"):
        return None, None, None
    found = (weights.get("store"), weights.get("cache"), args.get("fetch_image"))
    lacks = [
        name for name, given in zip(("store", "cache", "fetch_image"), found, strict=True) if given is None
    ]
    if lacks:
        raise InputError(
            f"weights from s3:// are fetched, and nothing says {' or '.join(lacks)}",
            where=where,
            fix="Say store, cache and fetch_image",
        )
    if found[0] is not None:
        _place(found[0], where)
    node_cache.check(args)
    return found


def cached(
    name: str, args: ModelServerArgs, namespace: str, parent: pulumi.Resource
) -> list[pulumi.Resource]:
    """What must be there before pods read weights of `s3://`; nothing for others. Raises what `check` does."""
    store, cache, image = check(args)
    if store is None or cache is None or image is None:
        return []
    from pulumi_kubernetes.core.v1 import ServiceAccount

    own = _labels(args["id"], args["sensitivity"])
    child = pulumi.ResourceOptions(parent=parent)
    on_disks = node_cache.node_path(args) is not None
    if on_disks:
        kept = node_cache.volume_and_claim(name, args, own, parent)
    else:
        kept = [_claim(name, args, cache, namespace, own, child)]
    account = ServiceAccount(
        f"{name}-fetch-account",
        metadata=metadata(f"{args['id']}-fetch", own, namespace=namespace),
        automount_service_account_token=False,
        opts=child,
    )
    # A door that another stack made has its way out already.
    ways = (
        [] if "door" in args else [way_out(name, args["id"], args["sensitivity"], store, namespace, parent)]
    )
    patience = args.get("load_timeout_s", 1800) + 120
    fetcher: Any
    fetcher, called, spec = (_daemon_set if on_disks else _job)(args, store, image, own)
    notes = {WEIGHTS_DIGEST: args["weights"]["digest"]}
    made = fetcher(
        f"{name}-fetch",
        metadata=metadata(called, own, namespace=namespace, annotations=notes),
        spec=spec,
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=[*kept, account, *ways],
            custom_timeouts=pulumi.CustomTimeouts(create=f"{patience}s", update=f"{patience}s"),
        ),
    )
    return [*kept, made]


def _claim(
    name: str,
    args: ModelServerArgs,
    cache: ModelWeightCache,
    namespace: str,
    own: dict[str, str],
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
        metadata=metadata(cache_claim(args), own, namespace=namespace),
        spec=claimed,
        opts=opts,
    )


def _job(
    args: ModelServerArgs, store: ModelWeightStore, image: str, own: dict[str, str]
) -> tuple[type[pulumi.CustomResource], str, dict[str, Any]]:
    """Fills a volume that many machines mount: what it is, its name and its spec."""
    from pulumi_kubernetes.batch.v1 import Job

    box = _box(args, store, image, same(FETCH_CPU, FETCH_MEMORY), MODELS)
    body = _pod(args, store, [box], restartPolicy="Never")
    made_of = json.dumps([body, args["weights"]["digest"]], sort_keys=True)
    spec = {
        "backoffLimit": 3,
        "activeDeadlineSeconds": args.get("load_timeout_s", 1800),
        "template": {"metadata": {"labels": own}, "spec": body},
    }
    return Job, f"{args['id']}-fetch-{hashlib.sha256(made_of.encode()).hexdigest()[:10]}", spec


def _daemon_set(
    args: ModelServerArgs, store: ModelWeightStore, image: str, own: dict[str, str]
) -> tuple[type[pulumi.CustomResource], str, dict[str, Any]]:
    """Fills the folder of each machine, also of one that joins the pool later: what it is, its name and its spec.

    An init container fetches, so the pod is ready when the weights are there, a fetch that failed is begun again,
    and what stays for the rest of its time has no credentials.
    """
    from pulumi_kubernetes.apps.v1 import DaemonSet

    called = f"{args['id']}-fetch"
    resources = same(FETCH_CPU, FETCH_MEMORY) | {"requests": {"cpu": BESIDE_CPU, "memory": BESIDE_MEMORY}}
    box = _box(args, store, image, resources, f"--keep={node_cache.KEPT}", f"{MODELS}/{args['id']}")
    stays = {
        "name": "stay",
        "image": image,
        "command": ["python", "-m", "edge.stay"],
        "resources": same(*STAY),
        "securityContext": container_security(),
    }
    body = _pod(
        args,
        store,
        [stays],
        initContainers=[box],
        # What was cut off goes on where it was, so there is nothing to wait for.
        grace_s=10,
        nodeSelector=machines(args),
        tolerations=[GPU_TOLERATION],
    )
    notes = {WEIGHTS_DIGEST: args["weights"]["digest"]}
    spec = node_cache.fetcher_spec(own, selector(called, args["sensitivity"]), body, notes)
    return DaemonSet, called, spec


def way_out(
    name: str,
    endpoint: str,
    held: str,
    store: ModelWeightStore | StoreAddress,
    namespace: str,
    parent: pulumi.Resource,
) -> pulumi.Resource:
    """The one way of an endpoint's job: to the store, by its address."""
    from pulumi_kubernetes.networking.v1 import NetworkPolicy

    own = _labels(endpoint, held)
    _, port = _place(store, f"{endpoint}.weights")
    spec: Any = {
        "podSelector": {"matchLabels": own},
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
        metadata=metadata(f"{endpoint}-fetch", own, namespace=namespace),
        spec=spec,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _labels(endpoint: str, held: str) -> dict[str, str]:
    return labels(f"{endpoint}-fetch", sensitivity=held, role="fetch", endpoint=endpoint)


def _place(store: ModelWeightStore | StoreAddress, where: str) -> tuple[str, int]:
    """Host and port of the store."""
    scheme, _, rest = store["endpoint"].partition("://")
    host, _, port = rest.rstrip("/").partition(":")
    if scheme != "https" or not host or "/" in rest.rstrip("/") or "@" in rest:
        raise InputError(
            "the store's endpoint is no plain https address",
            where=f"{where}.store.endpoint",
            fix="Write it like https://s3.fra1.bank.example:9000; credentials never stand here",
        )
    return host, int(port or 443)


def _box(
    args: ModelServerArgs, store: ModelWeightStore, image: str, resources: dict[str, Any], *into: str
) -> dict[str, Any]:
    """The container that fetches. `into`: the last of its words, the folder and what is done there besides."""
    weights = args["weights"]
    bucket, _, prefix = weights["uri"].removeprefix("s3://").partition("/")
    told = {
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
        "args": [*(f"--{key}={value}" for key, value in told.items()), *key_flag(args), *into],
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
    args: ModelServerArgs, store: ModelWeightStore, boxes: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """A pod that reaches the store, has its credentials, and mounts what it fills."""
    host, _ = _place(store, f"{args['id']}.weights")
    volumes: list[dict[str, Any]] = [
        {"name": "store", "secret": {"secretName": store["credentials_secret"], "defaultMode": 0o440}}
    ]
    if store.get("ca_bundle"):
        volumes.append({"name": "ca", "configMap": {"name": store.get("ca_bundle"), "defaultMode": 0o440}})
    return pod(
        f"{args['id']}-fetch",
        boxes,
        [
            {"name": "weights", "persistentVolumeClaim": {"claimName": cache_claim(args)}},
            *volumes,
            *key_volume(args),
            TMP_VOLUME,
        ],
        pull_secrets=args.get("pull_secrets"),
        **ranked(args.get("pod_priority")),
        # It asks no resolver: the store's address is given.
        dnsPolicy="None",
        dnsConfig={"nameservers": [NO_RESOLVER]},
        hostAliases=[{"ip": store["address"], "hostnames": [host]}],
        **more,
    )
