"""Paths of weights on a machine and in a pod."""

from __future__ import annotations

from components.serving.arguments import ModelServerArgs

MODELS = "/models"
"""Where the weights are mounted."""


def weights_folder(digest: str) -> str:
    """The folder of these weights in the cache. During a rollout other versions are beside it."""
    return digest.removeprefix("sha256:")


def models_folder(settings: ModelServerArgs) -> str:
    """The folder in the container from which paths of adapters and of draft models lead.

    A machine's own disk is mounted whole, as one folder of the class: with a `subPath`, kubelet would make the
    folder that is missing, and the engine start from nothing.
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
    """The folder on each machine that holds the classes' folders; None where weights are kept otherwise."""
    return args["weights"].get("cache", {}).get("node_path")
