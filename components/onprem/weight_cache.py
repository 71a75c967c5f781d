"""Weights from an S3-compatible store: a claim, a job that fills it once, and the one way that the job has.

The store's credentials are a file in the job's pod and nowhere else: the pods that serve mount the claim, read-only,
and reach nothing. The job is named after what it fetches, by what and from where; a change makes a new job, which
finds what is there already and fetches the rest beside it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pulumi

from components.kube import labels, metadata
from components.onprem.model_args import ModelServerArgs, ModelWeightCache, ModelWeightStore
from components.onprem.verified import cache_claim, key_flag, key_mount, key_volume
from components.onprem.vllm import MODELS
from components.onprem.weights import WEIGHTS_DIGEST
from components.pods import NO_RESOLVER, TMP_MOUNT, TMP_VOLUME, container_security, pod, same
from isthmus.contracts.errors import InputError

if TYPE_CHECKING:
    from components.onprem.door import StoreAddress

FETCH_CPU, FETCH_MEMORY = "2", "4Gi"
"""What the job asks for: eight files at a time, each in pieces of some MiB."""
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
            todo="Say store, cache and fetch_image",
        )
    if found[0] is not None:
        _place(found[0], where)
    return found


def cached(
    name: str, args: ModelServerArgs, namespace: str, parent: pulumi.Resource
) -> list[pulumi.Resource]:
    """What must be there before pods read weights of `s3://`; nothing for others. Raises what `check` does."""
    weights = args["weights"]
    store, cache, image = check(args)
    if store is None or cache is None or image is None:
        return []
    from pulumi_kubernetes.batch.v1 import Job
    from pulumi_kubernetes.core.v1 import PersistentVolumeClaim, ServiceAccount

    own = _labels(args["id"], args["sensitivity"])
    child = pulumi.ResourceOptions(parent=parent)
    claimed: Any = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": cache["storage_class"],
        "resources": {"requests": {"storage": f"{weights.get('size_gib', 200)}Gi"}},
    }
    claim = PersistentVolumeClaim(
        f"{name}-cache",
        metadata=metadata(cache_claim(args["id"]), own, namespace=namespace),
        spec=claimed,
        opts=child,
    )
    account = ServiceAccount(
        f"{name}-fetch-account",
        metadata=metadata(f"{args['id']}-fetch", own, namespace=namespace),
        automount_service_account_token=False,
        opts=child,
    )
    host, _ = _place(store, f"{args['id']}.weights")
    # A door that another stack made has its way out already.
    ways = (
        [] if "door" in args else [way_out(name, args["id"], args["sensitivity"], store, namespace, parent)]
    )
    body = _pod(args, store, image, host)
    digest = hashlib.sha256(json.dumps([body, weights["digest"]], sort_keys=True).encode()).hexdigest()[:10]
    patience = args.get("load_timeout_s", 1800)
    spec: Any = {
        "backoffLimit": 3,
        "activeDeadlineSeconds": patience,
        "template": {"metadata": {"labels": own}, "spec": body},
    }
    job = Job(
        f"{name}-fetch",
        metadata=metadata(
            f"{args['id']}-fetch-{digest}",
            own,
            namespace=namespace,
            annotations={WEIGHTS_DIGEST: weights["digest"]},
        ),
        spec=spec,
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=[claim, account, *ways],
            custom_timeouts=pulumi.CustomTimeouts(create=f"{patience + 120}s", update=f"{patience + 120}s"),
        ),
    )
    return [claim, job]


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
            todo="Write it like https://s3.fra1.bank.example:9000; credentials never stand here",
        )
    return host, int(port or 443)


def _pod(args: ModelServerArgs, store: ModelWeightStore, image: str, host: str) -> dict[str, Any]:
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
    volumes: list[dict[str, Any]] = [
        {"name": "store", "secret": {"secretName": store["credentials_secret"], "defaultMode": 0o440}}
    ]
    if store.get("ca_bundle"):
        mounts.append({"name": "ca", "mountPath": f"{_STORE}/ca", "readOnly": True})
        volumes.append({"name": "ca", "configMap": {"name": store.get("ca_bundle"), "defaultMode": 0o440}})
    box = {
        "name": "fetch",
        "image": image,
        "command": ["python", "-m", "edge.fetch"],
        "args": [*(f"--{key}={value}" for key, value in told.items()), *key_flag(args), MODELS],
        "volumeMounts": [
            {"name": "weights", "mountPath": MODELS},
            *mounts,
            *key_mount(args),
            TMP_MOUNT,
        ],
        "resources": same(FETCH_CPU, FETCH_MEMORY),
        "securityContext": container_security(),
    }
    return pod(
        f"{args['id']}-fetch",
        [box],
        [
            {"name": "weights", "persistentVolumeClaim": {"claimName": cache_claim(args["id"])}},
            *volumes,
            *key_volume(args),
            TMP_VOLUME,
        ],
        pull_secrets=args.get("pull_secrets"),
        restartPolicy="Never",
        # It asks no resolver: the store's address is given.
        dnsPolicy="None",
        dnsConfig={"nameservers": [NO_RESOLVER]},
        hostAliases=[{"ip": store["address"], "hostnames": [host]}],
    )
