"""Where a model server keeps what it compiles at its start, so that the next start need not compile it again.

torch.compile, Triton, FlashInfer and DeepGEMM take minutes. What they write is code that the engine runs, so it is
kept only where nobody else writes: in a folder or a claim of the endpoint's own, apart from the weights, which stay
read-only. In it a folder is named after the image and the weights: another version of either begins with an empty one.
vLLM locks the folder while it compiles, so replicas on one machine share it.
"""

import hashlib
from typing import Any

import pulumi

from components.base.argument_checks import one_of
from components.cluster.objects import metadata
from components.serving.arguments import ModelServerArgs
from components.serving.weights.node_cache import (
    COMPILED,
    compiled_claim_name,
    compiled_volume_and_claim,
    node_path,
)
from isthmus.core.errors import InputError

PLACES = ("pod", "node", "volume")
MOUNT = "/compiled"
_IN_POD = "/cache"
_VOLUME = "compiled"


def place_of(args: ModelServerArgs) -> str:
    """`pod`, `node` or `volume`. Raises `InputError` for a place that the endpoint does not have."""
    cache, where = args.get("compile_cache"), f"{args['id']}.compile_cache"
    by_digest = not isinstance(args["vllm_image"], str) or "@sha256:" in args["vllm_image"]
    if cache is None:
        # Another image under the same tag must not read what this one compiled.
        return "node" if node_path(args) is not None and by_digest else "pod"
    place = one_of(cache["place"], PLACES, f"{where}.place")
    if place != "pod" and not by_digest:
        raise InputError(
            "what is compiled is kept for one image, and the image is named by a tag",
            where=f"{args['id']}.vllm_image",
            fix="Name the image by its digest (NAME@sha256:…)",
        )
    if place == "node" and node_path(args) is None:
        raise InputError(
            "no folder on the machines' disks is known",
            where=f"{where}.place",
            fix="State weights.cache.node_path, or place: volume",
        )
    if place == "volume" and not _storage_class(args):
        raise InputError(
            "no storage class is known for what is compiled",
            where=f"{where}.storage_class",
            fix="State one whose volumes many machines can mount (ReadWriteMany)",
        )
    return place


def variables(args: ModelServerArgs) -> dict[str, str]:
    """Environment by which every compiler of the engine writes to that place."""
    root = _IN_POD if place_of(args) == "pod" else MOUNT
    return {
        "VLLM_CACHE_ROOT": f"{root}/vllm",
        "TRITON_CACHE_DIR": f"{root}/triton",
        "TORCHINDUCTOR_CACHE_DIR": f"{root}/inductor",
        "FLASHINFER_WORKSPACE_BASE": f"{root}/flashinfer",
        "DG_JIT_CACHE_DIR": f"{root}/deep-gemm",
    }


def mounts(args: ModelServerArgs) -> list[dict[str, Any]]:
    """Mounts of the engine's container: the folder of this image and these weights, which kubelet makes."""
    if place_of(args) == "pod":
        return []
    key = pulumi.Output.from_input(args["vllm_image"]).apply(lambda image: _key(image, args))
    return [{"name": _VOLUME, "mountPath": MOUNT, "subPath": key}]


def fetcher_mounts(args: ModelServerArgs) -> list[dict[str, Any]]:
    """Mounts by which kubelet makes the endpoint's folder on a machine, before its pods need it there."""
    if place_of(args) != "node":
        return []
    return [{"name": "weights", "mountPath": MOUNT, "subPath": f"{COMPILED}/{args['id']}"}]


def volumes(args: ModelServerArgs) -> list[dict[str, Any]]:
    """Volumes of the pod beside the weights'."""
    place = place_of(args)
    if place == "pod":
        return []
    name = compiled_claim_name(args, _storage(args)) if place == "node" else _claim_name(args)
    return [{"name": _VOLUME, "persistentVolumeClaim": {"claimName": name}}]


def claim(
    name: str, args: ModelServerArgs, namespace: str, own: dict[str, str], parent: pulumi.Resource
) -> list[pulumi.Resource]:
    """The claim that holds what is compiled, where the endpoint has one, and its volume on the machines' disks."""
    place = place_of(args)
    if place == "pod":
        return []
    if place == "node":
        return compiled_volume_and_claim(name, args, _storage(args), own, parent)
    from pulumi_kubernetes.core.v1 import PersistentVolumeClaim

    spec: Any = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": _storage_class(args),
        "resources": {"requests": {"storage": _storage(args)}},
    }
    meta = metadata(_claim_name(args), own, namespace=namespace)
    options = pulumi.ResourceOptions(parent=parent)
    return [PersistentVolumeClaim(f"{name}-compiled", metadata=meta, spec=spec, opts=options)]


def _storage(args: ModelServerArgs) -> str:
    return f"{args.get('compile_cache', {}).get('size_gib', 20)}Gi"


def _storage_class(args: ModelServerArgs) -> str | None:
    stated = args.get("compile_cache", {}).get("storage_class")
    return stated or args["weights"].get("cache", {}).get("storage_class")


def _claim_name(args: ModelServerArgs) -> str:
    return f"{args['id']}-compiled"


def _key(image: str, args: ModelServerArgs) -> str:
    """Name of the folder: new with the image and with the weights."""
    return hashlib.sha256(f"{image} {args['weights']['digest']}".encode()).hexdigest()[:16]
