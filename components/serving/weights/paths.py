"""Paths of weights on a node and in a pod."""

from __future__ import annotations

from components.serving.arguments import ModelServerArgs

MODELS = "/models"
"""Mount path of the weights."""


def weights_folder(digest: str) -> str:
    """The folder of these weights in the cache. During a rollout other versions are beside it."""
    return digest.removeprefix("sha256:")


def models_folder(settings: ModelServerArgs) -> str:
    """The folder in the container to which paths of adapters and draft models are relative.

    A node's disk is mounted as the whole folder of the class. With a `subPath`, kubelet would create a missing
    folder, and the engine would start without weights.
    """
    if node_path(settings) is None:
        return MODELS
    return f"{MODELS}/{settings['id']}/{weights_folder(settings['weights']['digest'])}"


def weights_path(settings: ModelServerArgs) -> str:
    """Path of the weights in the container."""
    uri = settings["weights"]["uri"]
    path = uri.removeprefix("pvc://").partition("/")[2] if uri.startswith("pvc://") else ""
    return f"{models_folder(settings)}/{path}".rstrip("/")


def node_path(args: ModelServerArgs) -> str | None:
    """The folder on each node with the classes' folders. None: the weights are not on nodes."""
    return args["weights"].get("cache", {}).get("node_path")
