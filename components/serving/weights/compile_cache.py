"""Decides where a model server stores compiled code, so that the next start need not compile it again.

torch.compile, Triton, FlashInfer and DeepGEMM take minutes. Their output is code that the engine runs, so it is
stored only where nobody else can write: in a folder or claim of the endpoint's own, separate from the read-only
weights. The subfolder's name contains the image and the weights, so another version of either starts with an empty
folder. vLLM locks the folder while it compiles, so replicas on one node can share it.
"""

import hashlib
from typing import Any

import pulumi

from components.base.argument_checks import check_choice
from components.cluster.objects import metadata
from components.serving.arguments import ModelServerArgs
from components.serving.weights.node_cache import COMPILED, compiled_claim_name, compiled_volume_and_claim
from components.serving.weights.paths import node_path
from isthmus.core.errors import InputError

PLACES = ("pod", "node", "volume")
MOUNT = "/compiled"
_IN_POD = "/cache"
_VOLUME = "compiled"


def place_of(args: ModelServerArgs) -> str:
    """Place of the cache: `pod`, `node` or `volume`. Raises `InputError` if the place is not available."""
    cache, where = args.get("compile_cache"), f"{args['id']}.compile_cache"
    has_digest = not isinstance(args["vllm_image"], str) or "@sha256:" in args["vllm_image"]
    if cache is None:
        # Another image with the same tag must not use what this one compiled.
        return "node" if node_path(args) is not None and has_digest else "pod"
    place = check_choice(cache["place"], PLACES, f"{where}.place")
    if place != "pod" and not has_digest:
        raise InputError(
            "a compile cache needs the vLLM image by digest, but it is set by tag",
            where=f"{args['id']}.vllm_image",
            fix="Set the image by its digest (NAME@sha256:…)",
        )
    if place == "node" and node_path(args) is None:
        raise InputError(
            "the compile cache is on the node, but no folder on the machines' disks is set",
            where=f"{where}.place",
            fix="Set weights.cache.node_path, or place: volume",
        )
    if place == "volume" and not _storage_class(args):
        raise InputError(
            "the compile cache has no storage class",
            where=f"{where}.storage_class",
            fix="Set a storage class whose volumes many machines can mount (ReadWriteMany)",
        )
    return place


def variables(args: ModelServerArgs) -> dict[str, str]:
    """Environment variables with which every compiler of the engine writes to the cache."""
    root = _IN_POD if place_of(args) == "pod" else MOUNT
    return {
        "VLLM_CACHE_ROOT": f"{root}/vllm",
        "TRITON_CACHE_DIR": f"{root}/triton",
        "TORCHINDUCTOR_CACHE_DIR": f"{root}/inductor",
        "FLASHINFER_WORKSPACE_BASE": f"{root}/flashinfer",
        "DG_JIT_CACHE_DIR": f"{root}/deep-gemm",
    }


def mounts(args: ModelServerArgs) -> list[dict[str, Any]]:
    """Mounts of the engine's container: the folder of this image and these weights, which kubelet creates."""
    if place_of(args) == "pod":
        return []
    key = pulumi.Output.from_input(args["vllm_image"]).apply(lambda image: _key(image, args))
    return [{"name": _VOLUME, "mountPath": MOUNT, "subPath": key}]


def fetcher_mounts(args: ModelServerArgs) -> list[dict[str, Any]]:
    """Mounts of the fetcher, for which kubelet creates the endpoint's folder on a node."""
    if place_of(args) != "node":
        return []
    return [{"name": "weights", "mountPath": MOUNT, "subPath": f"{COMPILED}/{args['id']}"}]


def volumes(args: ModelServerArgs) -> list[dict[str, Any]]:
    """Volumes of the pod, in addition to the weights' volume."""
    place = place_of(args)
    if place == "pod":
        return []
    name = compiled_claim_name(args, _storage(args)) if place == "node" else _claim_name(args)
    return [{"name": _VOLUME, "persistentVolumeClaim": {"claimName": name}}]


def claim(
    name: str, args: ModelServerArgs, namespace: str, labels: dict[str, str], parent: pulumi.Resource
) -> list[pulumi.Resource]:
    """Create the claim of the cache, and for `node` its volume. Empty for `pod`."""
    place = place_of(args)
    if place == "pod":
        return []
    if place == "node":
        return compiled_volume_and_claim(name, args, _storage(args), labels, parent)
    from pulumi_kubernetes.core.v1 import PersistentVolumeClaim

    spec: Any = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": _storage_class(args),
        "resources": {"requests": {"storage": _storage(args)}},
    }
    meta = metadata(_claim_name(args), labels, namespace=namespace)
    options = pulumi.ResourceOptions(parent=parent)
    return [PersistentVolumeClaim(f"{name}-compiled", metadata=meta, spec=spec, opts=options)]


def _storage(args: ModelServerArgs) -> str:
    return f"{args.get('compile_cache', {}).get('size_gib', 20)}Gi"


def _storage_class(args: ModelServerArgs) -> str | None:
    storage_class = args.get("compile_cache", {}).get("storage_class")
    return storage_class or args["weights"].get("cache", {}).get("storage_class")


def _claim_name(args: ModelServerArgs) -> str:
    return f"{args['id']}-compiled"


def _key(image: str, args: ModelServerArgs) -> str:
    """Name of the folder, from the image and the weights."""
    return hashlib.sha256(f"{image} {args['weights']['digest']}".encode()).hexdigest()[:16]
