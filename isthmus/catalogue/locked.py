"""What the overrides give no digest for comes from the project's lock, rewritten to the organisation's registry.

Precedence is one sentence: a reference that the overrides give is used as it stands; every other is the lock's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.catalogue import missing
from isthmus.contracts import images_lock
from isthmus.contracts.images_lock import FILE, IMAGES, Image

__all__ = ["FILE", "fill"]


def fill(platform: dict[str, Any], lock: Path, stack: str, *, sandbox: bool) -> dict[str, Any]:
    """A merged platform with its images named; unchanged where no `images.registry` is given.

    Raises `InputError` that names every image without a digest. A `sandbox` runs no image, so there one that is
    not resolved gets the digest of its name.
    """
    images = platform.get("images")
    if not isinstance(images, dict) or not isinstance(images.get("registry"), str):
        return platform
    registry = images["registry"]
    bearers = {"translator": platform.get("identities"), "credential_helper": missing.certified(platform)}
    needed: list[Image] = [name for name in IMAGES if bearers.get(name, True)]
    wanted: list[Image] = [name for name in needed if not images.get(name)]
    filled = {"registries": [f"{registry.rstrip('/')}/"], **images}
    if wanted:
        read = images_lock.load(lock)
        open_: list[Image] = [name for name in wanted if read.images[name].digest is None]
        if open_ and not sandbox:
            raise images_lock.unresolved({name: read.images[name].reference for name in open_}, lock, stack)
        filled |= {name: read.target(name, registry) for name in wanted}
    return {**platform, "images": filled}
