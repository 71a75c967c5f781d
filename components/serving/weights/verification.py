"""Mounts the weights of a model server and verifies them before the engine starts."""

from __future__ import annotations

from typing import Any

from components.cluster.pod_defaults import TMP_MOUNT, container_security, guaranteed_resources
from components.serving.arguments import ModelServerArgs
from components.serving.weights.node_cache import claim_name
from components.serving.weights.paths import MODELS, node_path, weights_folder, weights_path

KEYS = "/etc/isthmus/weights"
"""Mount path of the public key."""


def cache_claim(args: ModelServerArgs) -> str:
    """Name of the claim with an endpoint's fetched weights."""
    return f"{args['id']}-weights" if node_path(args) is None else claim_name(args)


def weights_mount(args: ModelServerArgs) -> dict[str, Any]:
    mount: dict[str, Any] = {"name": "weights", "mountPath": MODELS, "readOnly": True}
    if args["weights"]["uri"].startswith("s3://") and node_path(args) is None:
        mount["subPath"] = weights_folder(args["weights"]["digest"])
    return mount


def is_verified(args: ModelServerArgs) -> bool:
    weights = args["weights"]
    return bool(
        weights.get("verify", False) or weights.get("public_key") or weights["uri"].startswith("s3://")
    )


def key_volume(args: ModelServerArgs) -> list[dict[str, Any]]:
    """The ConfigMap with the key, if a signature is required."""
    key_config_map = args["weights"].get("public_key")
    return (
        [{"name": "weights-key", "configMap": {"name": key_config_map, "defaultMode": 0o440}}]
        if key_config_map
        else []
    )


def key_mount(args: ModelServerArgs) -> list[dict[str, Any]]:
    if not args["weights"].get("public_key"):
        return []
    return [{"name": "weights-key", "mountPath": KEYS, "readOnly": True}]


def key_flag(args: ModelServerArgs) -> list[str]:
    return [f"--public-key={KEYS}/weights.pub"] if args["weights"].get("public_key") else []


def verification(args: ModelServerArgs) -> list[dict[str, Any]]:
    """The container that reads every byte before the engine starts, in each pod on its node.

    It uses the edge's image, requests no more than the engine does later, and leaves the files in the page cache.
    """
    if not is_verified(args):
        return []
    digest = args["weights"]["digest"]
    # A node that has just joined the pool may still be fetching them.
    patience = [] if node_path(args) is None else [f"--wait={args.get('load_timeout_s', 1800)}"]
    return [
        {
            "name": "verify-weights",
            "image": args["edge_image"],
            "command": ["python", "-m", "edge.weights", "verify"],
            "args": [f"--digest={digest}", *key_flag(args), *patience, weights_path(args)],
            "volumeMounts": [weights_mount(args), *key_mount(args), TMP_MOUNT],
            "resources": guaranteed_resources(args.get("cpu", "8"), "1Gi"),
            "securityContext": container_security(),
        }
    ]
