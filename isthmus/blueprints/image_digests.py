"""What the overrides give no digest for comes from the project's lock, rewritten to the organisation's registry.

Precedence is one sentence: a reference that the overrides give is used as it stands; every other is the lock's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.contracts import images_lock
from isthmus.contracts.images_lock import FILE, IMAGES, Image
from isthmus.contracts.vocabulary import VLLM_TARGETS
from isthmus.core.errors import InputError

__all__ = ["FILE", "fill", "needed"]


def needed(platform: dict[str, Any]) -> list[Image]:
    """The images that a merged platform runs; vLLM's too where it does not say what it serves."""
    parts = platform.get("identities"), platform.get("endpoints"), platform.get("gateways")
    identities, endpoints, gateways = ([one for one in part or () if isinstance(one, dict)] for part in parts)
    by_certificate = [one for one in identities if one.get("assumed_by") in (None, "roles-anywhere")]
    served = [one for one in endpoints if one.get("target") in (None, *VLLM_TARGETS)]
    runs = {
        # It fetches weights and seals records, too.
        "translator": bool(identities)
        or any(_uri(one).startswith("s3://") for one in served)
        or any(one.get("audit") for one in gateways),
        "detector": any(one.get("screening") is not None for one in gateways),
        "credential_helper": bool(by_certificate),
        "resolver": _resolves(platform),
        "vllm": bool([one for one in served if one.get("engine") != "cpu"] or not endpoints),
        "vllm_cpu": any(one.get("engine") == "cpu" for one in served),
    }
    return [name for name in IMAGES if runs.get(name, True)]


def _resolves(platform: dict[str, Any]) -> bool:
    """Whether a gateway in a cluster asks a resolver of its class (`Site.cluster_dns`)."""
    sites = {each.get("name"): each for each in platform.get("sites") or () if isinstance(each, dict)}
    for gateway in platform.get("gateways") or ():
        if not isinstance(gateway, dict) or gateway.get("class") == "restricted":
            continue
        dns = sites.get(gateway.get("site"), {}).get("cluster_dns")
        filters = not isinstance(dns, dict) or dns.get("filter", True)
        if gateway.get("runs_on", "kubernetes") == "kubernetes" and filters:
            return True
    return False


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
    wanted: list[Image] = [name for name in needed(platform) if not images.get(name)]
    filled = {"registries": [f"{registry.rstrip('/')}/"], **images}
    if wanted:
        read = images_lock.load(lock)
        if unknown := [name for name in wanted if name not in read.images]:
            raise InputError(
                f"there is no image {', '.join(unknown)}", where=str(lock), fix="Name it with its reference"
            )
        open_: list[Image] = [name for name in wanted if read.images[name].digest is None]
        if open_ and not sandbox:
            raise images_lock.unresolved_error(
                {name: read.images[name].reference for name in open_}, lock, stack
            )
        filled |= {name: read.target(name, registry) for name in wanted}
    return {**platform, "images": filled}
