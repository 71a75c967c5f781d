"""What the overrides give no digest for comes from the project's lock, rewritten to the organisation's registry.

Precedence is one sentence: a reference that the overrides give is used as it stands; every other is the lock's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.contracts import images_lock
from isthmus.contracts.errors import InputError
from isthmus.contracts.images_lock import FILE, IMAGES, Image

__all__ = ["FILE", "fill"]

_WITH_IDENTITY = ("translator", "credential_helper")
"""What runs only where a translator has an AWS identity."""


def is_needed(name: str, platform: dict[str, Any]) -> bool:
    """Whether a pod of the platform runs it."""
    endpoints = [each for each in platform.get("endpoints") or [] if isinstance(each, dict)]
    if name == "vllm_cpu":
        return any(each.get("engine") == "cpu" for each in endpoints)
    if name == "translator" and any(_uri(each).startswith("s3://") for each in endpoints):
        return True  # it fetches weights, too
    return bool(platform.get("identities")) or name not in _WITH_IDENTITY


def _uri(endpoint: dict[str, Any]) -> str:
    weights = endpoint.get("weights")
    return str(weights.get("uri", "")) if isinstance(weights, dict) else ""


def fill(platform: dict[str, Any], lock: Path, stack: str, *, sandbox: bool) -> dict[str, Any]:
    """A merged platform with its images named; unchanged where no `images.registry` is given.

    Raises `InputError` that names every image without a digest. A `sandbox` runs no image, so there one that is
    not resolved gets the digest of its name.
    """
    images = platform.get("images")
    if not isinstance(images, dict) or not isinstance(images.get("registry"), str):
        return platform
    registry = images["registry"]
    needed: list[Image] = [name for name in IMAGES if is_needed(name, platform)]
    wanted: list[Image] = [name for name in needed if not images.get(name)]
    filled = {"registries": [f"{registry.rstrip('/')}/"], **images}
    if wanted:
        read = images_lock.load(lock)
        if unknown := [name for name in wanted if name not in read.images]:
            raise InputError(
                f"there is no image {', '.join(unknown)}", where=str(lock), todo="Name it with its reference"
            )
        open_: list[Image] = [name for name in wanted if read.images[name].digest is None]
        if open_ and not sandbox:
            raise images_lock.unresolved({name: read.images[name].reference for name in open_}, lock, stack)
        filled |= {name: read.target(name, registry) for name in wanted}
    return {**platform, "images": filled}
